#ifdef MPILORA_HAVE_ONEDNN

#include <dnnl.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>

#include "gemm_backend.h"

/* It takes its threads from OpenMP, one when called from inside a parallel region. Up to 3.11.1 its kernels
 * use a buffer of the heap as their stack: no thread that comes here may run the handler of a signal. */
static void onednn_f32(enum gemm_op op_a, enum gemm_op op_b, size_t m, size_t n, size_t k, float alpha,
                       const float *a, size_t lda, const float *b, size_t ldb, float beta, float *c,
                       size_t ldc)
{
    int threads = omp_get_max_threads();
    bool alone = threads > 1 && gemm_is_small(m, n, k);
    if (alone)
        omp_set_num_threads(1);
    dnnl_status_t status =
        dnnl_sgemm(op_a == GEMM_T ? 'T' : 'N', op_b == GEMM_T ? 'T' : 'N', (dnnl_dim_t)m, (dnnl_dim_t)n,
                   (dnnl_dim_t)k, alpha, a, (dnnl_dim_t)lda, b, (dnnl_dim_t)ldb, beta, c, (dnnl_dim_t)ldc);
    if (alone)
        omp_set_num_threads(threads);
    if (status == dnnl_success)
        return;
    /* Arguments were checked: what is left is no memory for its buffers, where OpenBLAS ends the process too.
     */
    fprintf(stderr, "oneDNN: a product of %zu x %zu x %zu failed (status %d)\n", m, n, k, (int)status);
    abort();
}

static void onednn_describe(char *text, size_t size)
{
    const dnnl_version_t *version = dnnl_version();
    snprintf(text, size, "oneDNN %d.%d.%d", version->major, version->minor, version->patch);
}

const struct gemm_backend gemm_onednn = {.name = "onednn", .describe = onednn_describe, .f32 = onednn_f32};

#else
typedef int gemm_onednn_is_not_built; /* a file of C must not be empty */
#endif
