#include "math/lowrank.h"

#include <math.h>
#include <stdlib.h>

#include "math/gemm.h"
#include "math/lapack.h"

static double *take(size_t count, const struct lowrank *s, struct err *e)
{
    double *x = calloc(count + 1, sizeof *x);
    if (!x)
        err_set(e, ERR_MEMORY, "no memory to measure a product of rank %zu, %zu x %zu", s->r, s->out, s->in);
    return x;
}

/* L[out, r or 2 r] and R[r or 2 r, in] of the formula; returns their common length. */
static size_t lay_out(double *L, double *R, const struct lowrank *s, const float *A1, const float *B1,
                      const float *A0, const float *B0)
{
    size_t r = s->r, length = A0 ? 2 * r : r;
    for (size_t i = 0; i < s->out; i++)
        for (size_t k = 0; k < r; k++) {
            double b1 = (double)B1[i * r + k], b0 = B0 ? (double)B0[i * r + k] : 0;
            L[i * length + k] = b1 - b0;
            if (B0)
                L[i * length + r + k] = b0;
        }
    for (size_t i = 0; i < r * s->in; i++) {
        R[i] = (double)A1[i];
        if (A0)
            R[r * s->in + i] = (double)A1[i] - (double)A0[i];
    }
    return length;
}

enum err_code lowrank_distance(double *norm, const struct lowrank *s, const float *A1, const float *B1,
                               const float *A0, const float *B0, struct err *e)
{
    size_t most = 2 * s->r;
    double *L = take(most * (s->out + s->in + 2 * most), s, e);
    if (!L)
        return e->code;
    double *R = L + most * s->out, *left = R + most * s->in, *right = left + most * most, sum = 0;
    size_t n = lay_out(L, R, s, A1, B1, A0, B0);
    gemm_f64(GEMM_T, GEMM_N, n, n, s->out, 1, L, n, L, n, 0, left, n);
    gemm_f64(GEMM_N, GEMM_T, n, n, s->in, 1, R, s->in, R, s->in, 0, right, n);
    for (size_t i = 0; i < n * n; i++) /* both are symmetric */
        sum += left[i] * right[i];
    *norm = sum > 0 ? sqrt(sum) : 0;
    free(L);
    return ERR_OK;
}

enum err_code lowrank_singular_values(float *values, const struct lowrank *s, const float *A, const float *B,
                                      struct err *e)
{
    size_t r = s->r, longest = s->out > s->in ? s->out : s->in;
    double *x = take(r * (longest + 3 * r + 1), s, e);
    if (!x)
        return e->code;
    double *of_a = x + r * longest, *of_b = of_a + r * r, *core = of_b + r * r, *found = core + r * r;
    for (size_t i = 0; i < r * s->in; i++) /* A, row-major, is A^T as LAPACK sees it */
        x[i] = (double)A[i];
    enum err_code code = lapack_triangle(of_a, x, s->in, r, e);
    for (size_t k = 0; k < r && !code; k++)
        for (size_t i = 0; i < s->out; i++)
            x[k * s->out + i] = (double)B[i * r + k];
    if (!code)
        code = lapack_triangle(of_b, x, s->out, r, e);
    if (!code) { /* row-major, the triangles are transposed: core = R_B^T^T R_A^T, and its transpose serves
                    too */
        gemm_f64(GEMM_T, GEMM_N, r, r, r, 1, of_b, r, of_a, r, 0, core, r);
        code = lapack_singular_values(found, core, r, e);
    }
    for (size_t k = 0; k < r && !code; k++)
        values[k] = (float)found[k];
    free(x);
    return code;
}
