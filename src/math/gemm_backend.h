/*
 * The libraries behind gemm_f32(). Internal to gemm*.c.
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

/* gemm() for m, n and k above 0, C cut into parts for the threads or, on the calling thread, as a whole (other
 * bits, if it is a large one); and whether the library may use a processor's bf16 instructions (its
 * ONEDNN_MAX_CPU_ISA can forbid them). */
void gemm_onednn_matmul(enum dtype in, enum dtype out, enum gemm_op op_a, enum gemm_op op_b, size_t m,
                        size_t n, size_t k, float alpha, const void *a, size_t lda, const void *b, size_t ldb,
                        float beta, void *c, size_t ldc, bool cut);
bool gemm_onednn_allows_bf16(void);

/* Sets up what each of the OpenMP threads needs, so that none does so in the middle of a step. */
void gemm_onednn_set_threads(int threads);

/* Whether the library has kernels for AVX-512 here. Without them its primitives are slower than dnnl_sgemm(),
 * and it refuses bf16. */
bool gemm_onednn_has_avx512(void);
#endif

#endif
