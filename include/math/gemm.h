/*
 * Matrix products of row-major matrices, computed by a library. A product runs on all threads of the process;
 * inside a parallel region it runs on the calling thread only. With oneDNN, and so always in bf16, a product has
 * the same bits on 1 to 8 threads (and on 9 to 16, 17 to 32, ...); with OpenBLAS, only on the same number of
 * threads. Every dimension and stride must fit an int. There are no errors, but if oneDNN has no memory the process
 * ends.
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
 * bf16 or f32. Sums are f32; a bf16 C is rounded to nearest even, once per call. Without oneDNN or AVX-512, bf16
 * products use the reference's plain loops, which is only for tests: check gemm_bf16_is_fast() first. */
void gemm(enum dtype in, enum dtype out, enum gemm_op op_a, enum gemm_op op_b, size_t m, size_t n, size_t k,
          float alpha, const void *a, size_t lda, const void *b, size_t ldb, float beta, void *c, size_t ldc);

/* C[m,n] = op(A)[m,k] * op(B)[k,n] + beta * C of dense matrices, A and B of type `in` (f32 or bf16), C f32, on the
 * calling thread only. It is meant for products of a few shapes that are used very often, such as the tiles of
 * attention: oneDNN generates code for each shape and keeps it, which is 10 % faster than gemm_f32(). */
void gemm_tile(enum dtype in, enum gemm_op op_a, enum gemm_op op_b, size_t m, size_t n, size_t k,
               const void *a, const void *b, float beta, float *c);

/* Can this build multiply bf16 (with oneDNN)? And is that faster than f32 on this processor (AVX512_BF16 or
 * AMX)? */
bool gemm_has_bf16(void);
bool gemm_bf16_is_fast(void);

/* gemm_f32() in double precision, for factorisations; k must be above 0. */
void gemm_f64(enum gemm_op op_a, enum gemm_op op_b, size_t m, size_t n, size_t k, double alpha,
              const double *a, size_t lda, const double *b, size_t ldb, double beta, double *c, size_t ldc);

/* The reference for gemm_f32(): plain loops, sums in double. */
void gemm_f32_reference(enum gemm_op op_a, enum gemm_op op_b, size_t m, size_t n, size_t k, float alpha,
                        const float *a, size_t lda, const float *b, size_t ldb, float beta, float *c,
                        size_t ldc);

/* The reference for gemm(): the same sums, rounded once at the end. */
void gemm_reference(enum dtype in, enum dtype out, enum gemm_op op_a, enum gemm_op op_b, size_t m, size_t n,
                    size_t k, float alpha, const void *a, size_t lda, const void *b, size_t ldb, float beta,
                    void *c, size_t ldc);

/* Sets the number of threads of BLAS and OpenMP, for the whole process. */
void gemm_set_threads(int threads);
int gemm_threads(void);

/* Chooses the library for gemm_f32(), for the whole process; the default is GEMM_AUTO. ERR_UNSUPPORTED if the
 * library is not built in. GEMM_AUTO depends only on the build and the processor, so that runs can be repeated; see
 * gemm.c. */
enum gemm_library { GEMM_AUTO, GEMM_OPENBLAS, GEMM_ONEDNN, GEMM_LIBRARIES };
enum err_code gemm_choose(enum gemm_library library, struct err *e);

/* "OpenBLAS 0.3.21 OpenMP SkylakeX", "oneDNN 2.6.3 for f32, OpenBLAS ..." */
const char *gemm_backend(void);

/* Is it this library that multiplies? */
bool gemm_uses(enum gemm_library library);

/* The path of the OpenBLAS library if it is a build with its own threads (pthreads), else NULL. Such a build starts
 * threads in addition to those of OpenMP: a product inside a parallel region does not stay on one thread, and is
 * slower. The system chooses the build when the program starts, not when it is linked. The text belongs to the
 * library. */
const char *gemm_with_own_threads(void);

/*
 * OpenBLAS chooses its kernels when the library is loaded, and on a processor that is newer than the library it
 * chooses slow ones. Returns the OPENBLAS_CORETYPE that would be better for this processor, or NULL if the choice
 * is good, the user has set the variable, or nothing better is known. The caller sets the variable and restarts the
 * program, before MPI starts.
 */
const char *gemm_better_core(void);

/* The rule that it uses: the better core type for a processor with `isa` on which OpenBLAS chose `detected`, or
 * NULL. */
const char *gemm_core_for(enum cpu_isa isa, const char *detected);

#endif
