#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "lora_schemes.h"
#include "math/gemm.h"
#include "math/lapack.h"

static double *copy_double(const float *x, size_t count, struct err *e)
{
    double *copy = count < SIZE_MAX / sizeof *copy ? malloc((count + 1) * sizeof *copy) : NULL;
    if (!copy)
        err_set(e, ERR_MEMORY, "no memory for a matrix of %zu numbers in double precision", count);
    for (size_t i = 0; copy && i < count; i++)
        copy[i] = (double)x[i];
    return copy;
}

/* The eigenvectors of the smaller of W W^T and W^T W are one side's singular vectors, W times them the
 * other's: with the r largest only, in double, that is several times faster than the whole decomposition. The
 * `near` side is the shorter one, of length n; the other has length k. */
struct sides {
    size_t n, k;
    bool rows; /* near is the side of the rows of W, B's */
};

/* far[r, k] = (W^T or W) applied to near[r, n] */
static void apply(double *far, const double *near, const double *W, const struct sides *s, size_t r,
                  size_t in)
{
    gemm_f64(GEMM_N, s->rows ? GEMM_N : GEMM_T, r, s->k, s->n, 1, near, s->n, W, in, 0, far, s->k);
}

static void store_pissa(float *A, float *B, const struct lora_module *m, const struct sides *s,
                        const double *values, const double *near, const double *far)
{
    double tiny = values[0] * DBL_EPSILON * (double)s->k; /* below it, squares of singular values are noise */
    for (size_t j = 0; j < m->rank; j++) {
        bool none = !(values[j] > tiny);
        double sigma = none ? 0 : sqrt(values[j]), share = sqrt(sigma / (double)m->scaling);
        const double *to_a = s->rows ? far : near, *to_b = s->rows ? near : far;
        double scale_far = none ? 0 : share / sigma;
        for (size_t i = 0; i < m->in; i++)
            A[j * m->in + i] = (float)(to_a[j * m->in + i] * (s->rows ? scale_far : share));
        for (size_t i = 0; i < m->out; i++)
            B[i * m->rank + j] = (float)(to_b[j * m->out + i] * (s->rows ? share : scale_far));
    }
}

enum err_code lora_derive_pissa(float *A, float *B, const struct lora_module *m, const float *W,
                                struct err *e)
{
    const struct sides s = {
        .n = m->out < m->in ? m->out : m->in, .k = m->out < m->in ? m->in : m->out, .rows = m->out < m->in};
    size_t r = m->rank;
    if (!(m->scaling > 0))
        return err_set(e, ERR_USAGE, "pissa needs a scaling above 0, this one is %g", (double)m->scaling);
    double *wide = copy_double(W, m->out * m->in, e);
    double *gram = wide ? malloc(s.n * s.n * sizeof *gram) : NULL;
    double *values = gram ? malloc((r + r * s.n + r * s.k) * sizeof *values) : NULL;
    enum err_code code = ERR_OK;
    if (!wide)
        code = ERR_MEMORY;
    else if (!values)
        code = err_set(e, ERR_MEMORY, "no memory for the decomposition of %zu x %zu", m->out, m->in);
    if (!code) {
        double *near = values + r, *far = near + r * s.n;
        gemm_f64(s.rows ? GEMM_N : GEMM_T, s.rows ? GEMM_T : GEMM_N, s.n, s.n, s.k, 1, wide, m->in, wide,
                 m->in, 0, gram, s.n);
        code = lapack_largest_eigen(values, near, r, gram, s.n, e);
        if (!code) {
            apply(far, near, wide, &s, r, m->in);
            store_pissa(A, B, m, &s, values, near, far);
        }
    }
    free(values);
    free(gram);
    free(wide);
    return code;
}

/* The first r columns of Q come from the first r columns of W alone, and R = Q^T W. */
enum err_code lora_derive_olora(float *A, float *B, const struct lora_module *m, const float *W,
                                struct err *e)
{
    size_t r = m->rank;
    double *wide = copy_double(W, m->out * m->in, e);
    double *Q = wide ? malloc((r * m->out + r * m->in) * sizeof *Q) : NULL; /* columns of length out */
    enum err_code code = ERR_OK;
    if (!wide)
        code = ERR_MEMORY;
    else if (!Q)
        code = err_set(e, ERR_MEMORY, "no memory for the decomposition of %zu x %zu", m->out, m->in);
    for (size_t j = 0; j < r && !code; j++)
        for (size_t i = 0; i < m->out; i++)
            Q[j * m->out + i] = wide[i * m->in + j]; /* NOLINT: copy_double() has filled it */
    if (!code)
        code = lapack_orthonormalize(Q, m->out, r, e);
    if (!code) {
        double *R = Q + r * m->out;
        gemm_f64(GEMM_N, GEMM_N, r, m->in, m->out, 1, Q, m->out, wide, m->in, 0, R, m->in);
        for (size_t i = 0; i < r * m->in; i++)
            A[i] = (float)R[i];
        for (size_t i = 0; i < m->out; i++)
            for (size_t j = 0; j < r; j++)
                B[i * r + j] = (float)Q[j * m->out + i];
    }
    free(Q);
    free(wide);
    return code;
}
