#include <assert.h>
#include <cblas.h>
#include <dlfcn.h>
#include <limits.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gemm_backend.h"
#include "gemm_stall.h"

static void openblas_f32(enum gemm_op op_a, enum gemm_op op_b, size_t m, size_t n, size_t k, float alpha,
                         const float *a, size_t lda, const float *b, size_t ldb, float beta, float *c,
                         size_t ldc)
{
    cblas_sgemm(CblasRowMajor, op_a == GEMM_T ? CblasTrans : CblasNoTrans,
                op_b == GEMM_T ? CblasTrans : CblasNoTrans, (blasint)m, (blasint)n, (blasint)k, alpha, a,
                (blasint)lda, b, (blasint)ldb, beta, c, (blasint)ldc);
}

void gemm_f64(enum gemm_op op_a, enum gemm_op op_b, size_t m, size_t n, size_t k, double alpha,
              const double *a, size_t lda, const double *b, size_t ldb, double beta, double *c, size_t ldc)
{
    assert(m <= INT_MAX && n <= INT_MAX && k <= INT_MAX && k > 0);
    assert(lda <= INT_MAX && ldb <= INT_MAX && ldc <= INT_MAX);
    if (m == 0 || n == 0)
        return;
    cblas_dgemm(CblasRowMajor, op_a == GEMM_T ? CblasTrans : CblasNoTrans,
                op_b == GEMM_T ? CblasTrans : CblasNoTrans, (blasint)m, (blasint)n, (blasint)k, alpha, a,
                (blasint)lda, b, (blasint)ldb, beta, c, (blasint)ldc);
}

void gemm_set_threads(int threads)
{
    assert(threads > 0);
    omp_set_num_threads(threads);
    gemm_stall_begin();
    openblas_set_num_threads(threads);
    gemm_stall_end();
#ifdef MPILORA_HAVE_ONEDNN
    gemm_onednn_set_threads(threads);
#endif
}

int gemm_threads(void)
{
    return omp_get_max_threads();
}

static void openblas_describe(char *text, size_t size)
{
    char version[32] = "?";
    /* "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH ... MAX_THREADS=128" */
    if (sscanf(openblas_get_config(), "OpenBLAS %31s", version) != 1)
        snprintf(version, sizeof version, "?");
    static const char *const parallel[] = {
        [OPENBLAS_SEQUENTIAL] = "sequential", [OPENBLAS_THREAD] = "pthreads", [OPENBLAS_OPENMP] = "OpenMP"};
    snprintf(text, size, "OpenBLAS %s %s %s", version, parallel[openblas_get_parallel()],
             openblas_get_corename());
}

const struct gemm_backend gemm_openblas = {.describe = openblas_describe, .f32 = openblas_f32};

const char *gemm_with_own_threads(void)
{
    Dl_info found;
    if (openblas_get_parallel() != OPENBLAS_THREAD)
        return NULL;
    return dladdr((void *)openblas_get_parallel, &found) && found.dli_fname ? found.dli_fname : "OpenBLAS";
}

const char *gemm_better_core(void)
{
    if (getenv("OPENBLAS_CORETYPE") || !strstr(openblas_get_config(), "DYNAMIC_ARCH"))
        return NULL;
    return gemm_core_for(cpu_isa_best(), openblas_get_corename());
}
