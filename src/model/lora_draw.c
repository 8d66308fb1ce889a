#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "lora_schemes.h"
#include "math/lapack.h"

static struct rng_key key_of(const struct lora_module *m, enum rng_stream stream,
                             const struct lora_spec *spec)
{
    return rng_key_make(spec->seed, stream, rng_hash(m->path));
}

static void fill_normal(float *out, size_t count, struct rng_key key, double std)
{
    rng_fill_normal(out, key, 0, count);
    for (size_t i = 0; i < count; i++)
        out[i] *= (float)std;
}

static void draw_a(float *A, const struct lora_module *m, const struct lora_spec *spec, double std)
{
    fill_normal(A, m->rank * m->in, key_of(m, RNG_LORA_A, spec), std);
}

static void draw_b(float *B, const struct lora_module *m, const struct lora_spec *spec, double std)
{
    fill_normal(B, m->rank * m->out, key_of(m, RNG_LORA_B, spec), std);
}

static double std_of_a(const struct lora_module *m, const struct lora_spec *spec)
{
    return spec->init_std > 0 ? spec->init_std : sqrt(1.0 / (3.0 * (double)m->in));
}

enum err_code lora_draw_normal(float *A, float *B, const struct lora_module *m, const struct lora_spec *spec,
                               struct err *e)
{
    (void)B;
    (void)e;
    draw_a(A, m, spec, std_of_a(m, spec));
    return ERR_OK;
}

enum err_code lora_draw_kaiming_uniform(float *A, float *B, const struct lora_module *m,
                                        const struct lora_spec *spec, struct err *e)
{
    (void)B;
    (void)e;
    struct rng_key key = key_of(m, RNG_LORA_A, spec);
    double bound = sqrt(3) * std_of_a(m, spec); /* 1 / sqrt(in), unless the user wants another deviation */
    for (size_t i = 0; i < m->rank * m->in; i++)
        A[i] = (float)(bound * (2 * (double)rng_uniform(key, i) - 1));
    return ERR_OK;
}

enum err_code lora_draw_gaussian(float *A, float *B, const struct lora_module *m,
                                 const struct lora_spec *spec, struct err *e)
{
    (void)B;
    (void)e;
    draw_a(A, m, spec, spec->init_std > 0 ? spec->init_std : 1 / (double)m->rank);
    return ERR_OK;
}

enum err_code lora_draw_zero(float *A, float *B, const struct lora_module *m, const struct lora_spec *spec,
                             struct err *e)
{
    (void)A;
    (void)B;
    (void)m;
    (void)spec;
    (void)e;
    return ERR_OK;
}

enum err_code lora_draw_both_normal(float *A, float *B, const struct lora_module *m,
                                    const struct lora_spec *spec, struct err *e)
{
    (void)e;
    draw_a(A, m, spec, std_of_a(m, spec));
    draw_b(B, m, spec, spec->init_std_b > 0 ? spec->init_std_b : std_of_a(m, spec));
    return ERR_OK;
}

enum err_code lora_draw_b_normal(float *A, float *B, const struct lora_module *m,
                                 const struct lora_spec *spec, struct err *e)
{
    (void)A;
    (void)e;
    draw_b(B, m, spec, spec->init_std_b > 0 ? spec->init_std_b : sqrt(1.0 / (3.0 * (double)m->rank)));
    return ERR_OK;
}

enum err_code lora_draw_constant(float *A, float *B, const struct lora_module *m,
                                 const struct lora_spec *spec, struct err *e)
{
    (void)B;
    (void)e;
    for (size_t i = 0; i < m->rank * m->in; i++)
        A[i] = (float)std_of_a(m, spec);
    return ERR_OK;
}

/* out[i * stride_i + j * stride_j] = sum over k of G[k, i] Q[2 k + odd, j] / 10: normal numbers, turned into
 * the half of a random orthogonal basis that the rows `odd` of Q span. */
static void span_half(float *out, size_t stride_i, size_t stride_j, size_t count, const double *Q,
                      size_t rank, int odd, struct rng_key key)
{
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < rank; j++)
            out[i * stride_i + j * stride_j] = 0;
    for (size_t k = 0; k < rank / 2; k++)
        for (size_t i = 0; i < count; i++) {
            float number;
            rng_fill_normal(&number, key, k * count + i, 1);
            for (size_t j = 0; j < rank; j++)
                out[i * stride_i + j * stride_j] +=
                    (float)((double)number * Q[(2 * k + (size_t)odd) * rank + j] / 10);
        }
}

enum err_code lora_draw_orthogonal(float *A, float *B, const struct lora_module *m,
                                   const struct lora_spec *spec, struct err *e)
{
    size_t r = m->rank;
    struct rng_key key = key_of(m, RNG_LORA_BASIS, spec);
    double *Q = malloc(r * r * sizeof *Q);
    if (!Q)
        return err_set(e, ERR_MEMORY, "lora-init: no memory for an orthogonal basis of rank %zu", r);
    for (size_t i = 0; i < r * r; i++) {
        float number;
        rng_fill_normal(&number, key, i, 1);
        Q[i] = (double)number;
    }
    enum err_code code = lapack_orthonormalize(Q, r, r, e);
    if (!code) {
        span_half(A, 1, m->in, m->in, Q, r, 0, key_of(m, RNG_LORA_A, spec));
        span_half(B, r, 1, m->out, Q, r, 1, key_of(m, RNG_LORA_B, spec));
    }
    free(Q);
    return code;
}
