/*
 * The reference of struct kern_typed for one element type. kern_ref.c includes this file once for each type. REAL
 * is the type in memory, LOAD and STORE convert from it to double and back, TYPED(name) makes the name of a
 * function.
 */

static void TYPED(from_f32)(void *y, const float *x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ((REAL *)y)[i] = STORE((double)x[i]);
}

static void TYPED(to_f32)(float *y, const void *x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        y[i] = (float)LOAD(((const REAL *)x)[i]);
}

static void TYPED(add)(float *y, const void *x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        y[i] = (float)((double)y[i] + LOAD(((const REAL *)x)[i]));
}

static void TYPED(add_bias)(void *y, size_t ld, const float *bias, size_t n, size_t D)
{
    for (size_t row = 0; row < n; row++) {
        for (size_t i = 0; i < D; i++) {
            REAL *out = (REAL *)y + row * ld + i;
            *out = STORE(LOAD(*out) + (double)bias[i]);
        }
    }
}

static void TYPED(rmsnorm_apply)(void *y, const void *x, const float *rstd, const float *w, size_t n,
                                 size_t D)
{
    for (size_t i = 0; i < n * D; i++)
        ((REAL *)y)[i] = STORE(LOAD(((const REAL *)x)[i]) * (double)rstd[i / D] * (double)w[i % D]);
}

static void TYPED(rmsnorm_forward)(void *y, void *copy, float *rstd, const float *x, const float *w, size_t n,
                                   size_t D, float eps)
{
    for (size_t row = 0; row < n; row++)
        rstd[row] = (float)(1 / sqrt(dot(x + row * D, x + row * D, D) / (double)D + (double)eps));
    for (size_t i = 0; i < n * D && y; i++)
        ((REAL *)y)[i] = STORE((double)x[i] * (double)rstd[i / D] * (double)w[i % D]);
    if (copy)
        TYPED(from_f32)(copy, x, n * D);
}

static void TYPED(rmsnorm_backward)(float *dx, void *copy, const float *dy, const void *x, const float *rstd,
                                    const float *w, size_t n, size_t D)
{
    for (size_t row = 0; row < n; row++) {
        const REAL *in = (const REAL *)x + row * D;
        const float *g = dy + row * D;
        double mean = 0, r = (double)rstd[row];
        for (size_t i = 0; i < D; i++)
            mean += (double)w[i] * (double)g[i] * LOAD(in[i]) / (double)D;
        for (size_t i = 0; i < D; i++) {
            double slope = (double)w[i] * (double)g[i] - LOAD(in[i]) * r * r * mean;
            dx[row * D + i] = (float)((double)dx[row * D + i] + r * slope);
        }
    }
    if (copy)
        TYPED(from_f32)(copy, dx, n * D);
}

static void TYPED(rmsnorm_heads_forward)(void *x, size_t ld, void *copy, float *rstd, const float *w, size_t n,
                                         size_t heads, size_t width, float eps)
{
    for (size_t i = 0; i < n * heads; i++) {
        REAL *here = (REAL *)x + i / heads * ld + i % heads * width;
        double squares = 0;
        for (size_t j = 0; j < width; j++)
            squares += LOAD(here[j]) * LOAD(here[j]);
        rstd[i] = (float)(1 / sqrt(squares / (double)width + (double)eps));
        for (size_t j = 0; j < width; j++) {
            if (copy)
                ((REAL *)copy)[i * width + j] = here[j];
            here[j] = STORE(LOAD(here[j]) * (double)rstd[i] * (double)w[j]);
        }
    }
}

static void TYPED(rmsnorm_heads_backward)(void *dx, size_t ld, const void *copy, const float *rstd, const float *w,
                                          size_t n, size_t heads, size_t width)
{
    for (size_t i = 0; i < n * heads; i++) {
        REAL *g = (REAL *)dx + i / heads * ld + i % heads * width;
        const REAL *in = (const REAL *)copy + i * width;
        double mean = 0, r = (double)rstd[i];
        for (size_t j = 0; j < width; j++)
            mean += (double)w[j] * LOAD(g[j]) * LOAD(in[j]) / (double)width;
        for (size_t j = 0; j < width; j++)
            g[j] = STORE(r * ((double)w[j] * LOAD(g[j]) - LOAD(in[j]) * r * r * mean));
    }
}

static void TYPED(layernorm_apply)(void *y, const void *x, const float *mean, const float *rstd, const float *w,
                                   const float *b, size_t n, size_t D)
{
    for (size_t i = 0; i < n * D; i++) {
        double from_mean = LOAD(((const REAL *)x)[i]) - (double)mean[i / D];
        ((REAL *)y)[i] = STORE(from_mean * (double)rstd[i / D] * (double)w[i % D] + (b ? (double)b[i % D] : 0));
    }
}

static void TYPED(layernorm_forward)(void *y, void *copy, float *mean, float *rstd, const float *x, const float *w,
                                     const float *b, size_t n, size_t D, float eps)
{
    for (size_t row = 0; row < n; row++) {
        double sum = 0, squares = 0;
        for (size_t i = 0; i < D; i++)
            sum += (double)x[row * D + i];
        for (size_t i = 0; i < D; i++)
            squares += pow((double)x[row * D + i] - sum / (double)D, 2);
        mean[row] = (float)(sum / (double)D);
        rstd[row] = (float)(1 / sqrt(squares / (double)D + (double)eps));
    }
    for (size_t i = 0; i < n * D && y; i++) {
        double from_mean = (double)x[i] - (double)mean[i / D];
        ((REAL *)y)[i] = STORE(from_mean * (double)rstd[i / D] * (double)w[i % D] + (b ? (double)b[i % D] : 0));
    }
    if (copy)
        TYPED(from_f32)(copy, x, n * D);
}

static void TYPED(layernorm_backward)(float *dx, void *copy, const float *dy, const void *x, const float *mean,
                                      const float *rstd, const float *w, size_t n, size_t D)
{
    for (size_t row = 0; row < n; row++) {
        const REAL *in = (const REAL *)x + row * D;
        double level = 0, product = 0, r = (double)rstd[row], middle = (double)mean[row];
        for (size_t i = 0; i < D; i++) {
            double g = (double)w[i] * (double)dy[row * D + i];
            level += g / (double)D;
            product += g * (LOAD(in[i]) - middle) / (double)D;
        }
        for (size_t i = 0; i < D; i++) {
            double g = (double)w[i] * (double)dy[row * D + i], from_mean = LOAD(in[i]) - middle;
            dx[row * D + i] = (float)((double)dx[row * D + i] + r * (g - level - from_mean * r * r * product));
        }
    }
    if (copy)
        TYPED(from_f32)(copy, dx, n * D);
}

/* Rotates column first * i of a head together with column first * i + second. */
static void TYPED(rotate)(void *x, size_t ld, const int32_t *positions, const float *cos, const float *sin, size_t n,
                          size_t heads, size_t head_dim, size_t half, size_t first, size_t second, float sign)
{
    for (size_t row = 0; row < n; row++) {
        for (size_t head = 0; head < heads; head++) {
            for (size_t i = 0; i < half; i++) {
                REAL *low = (REAL *)x + row * ld + head * head_dim + first * i, *high = low + second;
                double c = (double)cos[(size_t)positions[row] * half + i];
                double s = (double)sign * (double)sin[(size_t)positions[row] * half + i];
                double a = LOAD(*low), b = LOAD(*high);
                *low = STORE(a * c - b * s);
                *high = STORE(b * c + a * s);
            }
        }
    }
}

static void TYPED(rope)(void *x, size_t ld, const int32_t *positions, const float *cos, const float *sin, size_t n,
                        size_t heads, size_t head_dim, size_t rotated, float sign)
{
    TYPED(rotate)(x, ld, positions, cos, sin, n, heads, head_dim, rotated / 2, 1, rotated / 2, sign);
}

static void TYPED(rope_pairs)(void *x, size_t ld, const int32_t *positions, const float *cos, const float *sin,
                              size_t n, size_t heads, size_t head_dim, size_t rotated, float sign)
{
    TYPED(rotate)(x, ld, positions, cos, sin, n, heads, head_dim, rotated / 2, 2, 1, sign);
}

#define ACTIVATION(name)                                                                                     \
    static void TYPED(name##_gated_forward)(void *y, const void *gu, size_t n, size_t F)                     \
    {                                                                                                        \
        for (size_t i = 0; i < n * F; i++) {                                                                 \
            const REAL *gate = (const REAL *)gu + i / F * 2 * F + i % F;                                     \
            ((REAL *)y)[i] = STORE(name(LOAD(gate[0])) * LOAD(gate[F]));                                     \
        }                                                                                                    \
    }                                                                                                        \
    static void TYPED(name##_gated_backward)(void *dgu, const float *dy, const void *gu, size_t n, size_t F) \
    {                                                                                                        \
        for (size_t i = 0; i < n * F; i++) {                                                                 \
            size_t at = i / F * 2 * F + i % F;                                                               \
            double gate = LOAD(((const REAL *)gu)[at]), up = LOAD(((const REAL *)gu)[at + F]);               \
            ((REAL *)dgu)[at] = STORE((double)dy[i] * up * name##_slope(gate));                              \
            ((REAL *)dgu)[at + F] = STORE((double)dy[i] * name(gate));                                       \
        }                                                                                                    \
    }                                                                                                        \
    static void TYPED(name##_forward)(void *y, const void *x, size_t n, size_t F)                            \
    {                                                                                                        \
        for (size_t i = 0; i < n * F; i++)                                                                   \
            ((REAL *)y)[i] = STORE(name(LOAD(((const REAL *)x)[i])));                                        \
    }                                                                                                        \
    static void TYPED(name##_backward)(void *dx, const float *dy, const void *x, size_t n, size_t F)         \
    {                                                                                                        \
        for (size_t i = 0; i < n * F; i++)                                                                   \
            ((REAL *)dx)[i] = STORE((double)dy[i] * name##_slope(LOAD(((const REAL *)x)[i])));               \
    }

ACTIVATION(silu)
ACTIVATION(gelu)
ACTIVATION(gelu_tanh)
ACTIVATION(relu2)
#undef ACTIVATION

static void TYPED(xielu_forward)(void *y, const void *x, size_t n, size_t F, const struct kern_xielu *p)
{
    for (size_t i = 0; i < n * F; i++)
        ((REAL *)y)[i] = STORE(xielu(LOAD(((const REAL *)x)[i]), p));
}

static void TYPED(xielu_backward)(void *dx, const float *dy, const void *x, size_t n, size_t F,
                                  const struct kern_xielu *p)
{
    for (size_t i = 0; i < n * F; i++)
        ((REAL *)dx)[i] = STORE((double)dy[i] * xielu_slope(LOAD(((const REAL *)x)[i]), p));
}

static void TYPED(cross_entropy)(double *loss, int32_t *best, void *dlogits, size_t ldd, float *logits,
                                 size_t ld, const int32_t *targets, size_t n, size_t V, const float *dscale,
                                 float cap)
{
    for (size_t row = 0; row < n; row++) {
        const float *x = logits + row * ld;
        double max = -INFINITY, sum = 0;
        int32_t argmax = 0;
        for (size_t i = 0; i < V; i++) {
            if ((double)x[i] > max) {
                max = (double)x[i];
                argmax = (int32_t)i;
            }
        }
        for (size_t i = 0; i < V; i++)
            sum += exp((double)x[i] - max);
        loss[row] = log(sum) + max - (double)x[targets[row]];
        if (best)
            best[row] = argmax;
        for (size_t i = 0; i < V && dscale; i++) {
            double p = exp((double)x[i] - max) / sum, slope = cap != 0 ? 1 - pow((double)x[i] / (double)cap, 2) : 1;
            ((REAL *)dlogits)[row * ldd + i] =
                STORE((double)dscale[row] * (p - (i == (size_t)targets[row])) * slope);
        }
    }
}

static void TYPED(dropout)(void *y, const void *x, struct rng_key key, const uint64_t *samples,
                           const int32_t *positions, size_t n, size_t D, float p)
{
    for (size_t row = 0; row < n; row++) {
        for (size_t col = 0; col < D; col++) {
            uint32_t words[4], counter[4] = {(uint32_t)samples[row], (uint32_t)(samples[row] >> 32),
                                             (uint32_t)positions[row], (uint32_t)(col / 4)};
            rng_block(words, key, counter);
            float number = (float)(words[col % 4] >> 8) * 0x1p-24F;
            double x_here = LOAD(((const REAL *)x)[row * D + col]);
            ((REAL *)y)[row * D + col] = STORE(x_here * (double)(number < p ? 0 : 1 / (1 - p)));
        }
    }
}

static void TYPED(from_f32_row)(void *y, const float *x, size_t count)
{
    TYPED(from_f32)(y, x, count);
}

static bool TYPED(attend_sees)(const struct attend_tile *tile, size_t query, size_t key)
{
    return key <= tile->first + query / tile->heads;
}

static void TYPED(attend_softmax)(void *probs, float *scores, float *max, float *sum, float *out,
                                  size_t head_dim, const struct attend_tile *tile)
{
    for (size_t i = 0; i < tile->queries; i++) {
        const float *x = scores + i * tile->keys;
        double scale = (double)tile->scale, top = (double)max[i], total = 0;
        for (size_t j = 0; j < tile->keys && TYPED(attend_sees)(tile, i, j); j++)
            top = fmax(top, (double)x[j]);
        for (size_t j = 0; j < tile->keys; j++) {
            double p = TYPED(attend_sees)(tile, i, j) ? exp(scale * ((double)x[j] - top)) : 0;
            ((REAL *)probs)[i * tile->keys + j] = STORE(p);
            total += p;
        }
        double shrink = exp(scale * ((double)max[i] - top));
        for (size_t d = 0; d < head_dim; d++)
            out[i * head_dim + d] = (float)(shrink * (double)out[i * head_dim + d]);
        sum[i] = (float)(shrink * (double)sum[i] + total);
        max[i] = (float)top;
    }
}

static void TYPED(attend_gradient)(void *probs, void *dscores, const float *scores, const float *dprobs,
                                   const float *log2_sum, const float *delta, const struct attend_tile *tile)
{
    for (size_t at = 0; at < tile->keys * tile->queries; at++) {
        size_t key = at / tile->queries, query = at % tile->queries;
        bool sees = TYPED(attend_sees)(tile, query, key);
        double x = (double)tile->scale * (double)scores[at] - log(2) * (double)log2_sum[query];
        double p = sees ? exp(x) : 0;
        ((REAL *)dscores)[at] = STORE(sees ? p * ((double)dprobs[at] - (double)delta[query]) : 0);
        ((REAL *)probs)[at] = STORE(p);
    }
}

static void TYPED(attend_finish)(void *out, const float *rows, const float *sum, size_t heads,
                                 size_t head_dim)
{
    for (size_t i = 0; i < heads * head_dim; i++)
        ((REAL *)out)[i] = STORE((double)rows[i] / (double)sum[i / head_dim]);
}

static void TYPED(attend_delta)(float *delta, void *copy, const float *dout, const void *out, size_t heads,
                                size_t head_dim)
{
    TYPED(from_f32)(copy, dout, heads * head_dim);
    for (size_t head = 0; head < heads; head++) {
        double sum = 0;
        for (size_t i = head * head_dim; i < (head + 1) * head_dim; i++)
            sum += LOAD(((const REAL *)copy)[i]) * LOAD(((const REAL *)out)[i]);
        delta[head] = (float)sum;
    }
}

#undef REAL
#undef LOAD
#undef STORE
#undef TYPED
