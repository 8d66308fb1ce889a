/*
 * Matrix products: row-major, over a library. All threads of the process; called from inside a parallel
 * region it runs on the calling thread alone. By oneDNN, and so always in bf16, the same product has the same
 * bits on 1 to 8 threads (and on 9 to 16, 17 to 32, ...); by OpenBLAS, each time on the same number. Every
 * dimension and stride must fit an int.
 */
#ifndef MPILORA_MATH_GEMM_H
#define MPILORA_MATH_GEMM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/cpu.h"
#include "base/err.h"
#include "math/dtype.h"

enum gemm_op { GEMM_N, GEMM_T };

/* C[m,n] = alpha * op(A)[m,k] * op(B)[k,n] + beta * C; ld* are row strides in elements of the matrices as
 * stored. beta == 0 never reads C. Any of m, n, k may be 0. */
void gemm_f32(enum gemm_op op_a, enum gemm_op op_b, size_t m, size_t n, size_t k, float alpha, const float *a,
              size_t lda, const float *b, size_t ldb, float beta, float *c, size_t ldc);

/* The same with A and B of type `in` and C of type `out`: DTYPE_F32 both (gemm_f32), or DTYPE_BF16 with C of
 * bf16 or f32. Sums are f32; C of bf16 is rounded to nearest even, once a call. Without oneDNN or
 * AVX-512 bf16 goes through the oracle's plain loops, for tests: who wants speed asks gemm_bf16_is_fast(). */
void gemm(enum dtype in, enum dtype out, enum gemm_op op_a, enum gemm_op op_b, size_t m, size_t n, size_t k,
          float alpha, const void *a, size_t lda, const void *b, size_t ldb, float beta, void *c, size_t ldc);

/* C[m,n] = op(A)[m,k] * op(B)[k,n] + beta * C of dense matrices, A and B of type `in` (f32 or bf16), C f32: a
 * product of one of few shapes that come again and again, as tiles of attention do, on the calling thread
 * alone. oneDNN makes code for each shape and keeps it, which is a tenth faster than gemm_f32(). */
void gemm_tile(enum dtype in, enum gemm_op op_a, enum gemm_op op_b, size_t m, size_t n, size_t k,
               const void *a, const void *b, float beta, float *c);

/* Whether this build multiplies bf16 (oneDNN), and whether this processor does so faster than f32
 * (AVX512_BF16 or AMX). */
bool gemm_has_bf16(void);
bool gemm_bf16_is_fast(void);

/* The same in double precision, for factorisations; k is above 0. */
void gemm_f64(enum gemm_op op_a, enum gemm_op op_b, size_t m, size_t n, size_t k, double alpha,
              const double *a, size_t lda, const double *b, size_t ldb, double beta, double *c, size_t ldc);

/* The oracle: plain loops, sums in double. */
void gemm_f32_reference(enum gemm_op op_a, enum gemm_op op_b, size_t m, size_t n, size_t k, float alpha,
                        const float *a, size_t lda, const float *b, size_t ldb, float beta, float *c,
                        size_t ldc);

/* The oracle of gemm(): the same sums, rounded once at the end. */
void gemm_reference(enum dtype in, enum dtype out, enum gemm_op op_a, enum gemm_op op_b, size_t m, size_t n,
                    size_t k, float alpha, const void *a, size_t lda, const void *b, size_t ldb, float beta,
                    void *c, size_t ldc);

/* Sets the number of threads of BLAS and OpenMP, for the whole process. */
void gemm_set_threads(int threads);
int gemm_threads(void);

/* Which library does gemm_f32(), for the whole process; GEMM_AUTO when nothing was chosen. ERR_UNSUPPORTED for one
 * that is not built in. GEMM_AUTO is a rule on the build and the processor, so that a run can be repeated; see
 * gemm.c. */
enum gemm_library { GEMM_AUTO, GEMM_OPENBLAS, GEMM_ONEDNN, GEMM_LIBRARIES };
enum err_code gemm_choose(enum gemm_library library, struct err *e);

/* "OpenBLAS 0.3.21 OpenMP SkylakeX", "oneDNN 2.6.3 for f32, OpenBLAS ..." */
const char *gemm_backend(void);

/* The file of an OpenBLAS that has threads of its own (its pthreads build), or NULL. They come on top of OpenMP's, so
 * that a product inside of a parallel region is not computed on one thread, and is slower; which build it is was not
 * decided when this program was linked, but by what the system finds when it starts. The text is the library's. */
const char *gemm_with_own_threads(void);

/*
 * OpenBLAS picks its kernels when the library is loaded, and on a processor younger than itself it picks slow
 * ones. Returns the OPENBLAS_CORETYPE that this processor should have been given, or NULL when the choice
 * made is fine, the user set the variable, or nothing better is known. The caller sets the variable and
 * executes itself again, before MPI starts.
 */
const char *gemm_better_core(void);

/* The rule behind it: the core type for a processor with `isa` on which OpenBLAS chose `detected`, or NULL.
 */
const char *gemm_core_for(enum cpu_isa isa, const char *detected);

#endif
