/*
 * The libraries that compute gemm_f32(). Internal to gemm*.c.
 */
#ifndef GEMM_BACKEND_H
#define GEMM_BACKEND_H

#include "math/gemm.h"

struct gemm_backend {
    void (*describe)(char *text, size_t size);
    /* m, n and k are above 0, all dimensions fit an int */
    void (*f32)(enum gemm_op op_a, enum gemm_op op_b, size_t m, size_t n, size_t k, float alpha,
                const float *a, size_t lda, const float *b, size_t ldb, float beta, float *c, size_t ldc);
};

extern const struct gemm_backend gemm_openblas;
#ifdef MPILORA_HAVE_ONEDNN
extern const struct gemm_backend gemm_onednn;

/* gemm() for m, n and k above 0. With `cut`, C is split into parts for the threads; otherwise the calling thread
 * computes it as a whole, which gives other bits if C is large. */
void gemm_onednn_matmul(enum dtype in, enum dtype out, enum gemm_op op_a, enum gemm_op op_b, size_t m,
                        size_t n, size_t k, float alpha, const void *a, size_t lda, const void *b, size_t ldb,
                        float beta, void *c, size_t ldc, bool cut);
/* May the library use the processor's bf16 instructions? (ONEDNN_MAX_CPU_ISA can forbid this.) */
bool gemm_onednn_allows_bf16(void);

/* Allocates what each of the OpenMP threads needs, so that no thread has to do this during a step. */
void gemm_onednn_set_threads(int threads);

/* Does the library have AVX-512 kernels for this processor? Without them its primitives are slower than
 * dnnl_sgemm(), and it refuses bf16. */
bool gemm_onednn_has_avx512(void);
#endif

#endif
