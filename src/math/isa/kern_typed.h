/*
 * struct kern_typed for one element type. kern_isa.c includes this file once for each type; it uses the helpers
 * there. REAL is the type in memory, LOAD and STORE convert from it to float and back, TYPED(name) makes the name
 * of a function.
 */

/* ---- Element-wise ---- */

static void TYPED(from_row)(REAL *y, const float *x, size_t count)
{
#pragma omp simd
    for (size_t i = 0; i < count; i++)
        y[i] = STORE(x[i]);
}

static void TYPED(from_f32)(void *y, const float *x, size_t count)
{
    REAL *out = y;
#pragma omp parallel for schedule(static) if (count >= PARALLEL_MIN)
    for (size_t begin = 0; begin < count; begin += CHUNK)
        TYPED(from_row)(out + begin, x + begin, min_size(CHUNK, count - begin));
}

static void TYPED(to_f32)(float *y, const void *x, size_t count)
{
    const REAL *in = x;
#pragma omp parallel for schedule(static) if (count >= PARALLEL_MIN)
    for (size_t begin = 0; begin < count; begin += CHUNK) {
        size_t end = min_size(count, begin + CHUNK);
#pragma omp simd
        for (size_t i = begin; i < end; i++)
            y[i] = LOAD(in[i]);
    }
}

static void TYPED(add)(float *y, const void *x, size_t count)
{
    const REAL *in = x;
#pragma omp parallel for schedule(static) if (count >= PARALLEL_MIN)
    for (size_t begin = 0; begin < count; begin += CHUNK) {
        size_t end = min_size(count, begin + CHUNK);
#pragma omp simd
        for (size_t i = begin; i < end; i++)
            y[i] += LOAD(in[i]);
    }
}

static void TYPED(add_bias)(void *y, size_t ld, const float *bias, size_t n, size_t D)
{
#pragma omp parallel for schedule(static) if (n * D >= PARALLEL_MIN)
    for (size_t row = 0; row < n; row++) {
        REAL *out = (REAL *)y + row * ld;
#pragma omp simd
        for (size_t i = 0; i < D; i++)
            out[i] = STORE(LOAD(out[i]) + bias[i]);
    }
}

#include "kern_norm_typed.h"

/* ---- Rotary positions ---- */

static void TYPED(rope)(void *x, size_t ld, const int32_t *positions, const float *cos, const float *sin,
                        size_t n, size_t heads, size_t head_dim, size_t rotated, float sign)
{
    size_t half = rotated / 2;
#pragma omp parallel for schedule(static) if (n * heads * head_dim >= PARALLEL_MIN)
    for (size_t row = 0; row < n; row++) {
        const float *c = cos + (size_t)positions[row] * half, *s = sin + (size_t)positions[row] * half;
        for (size_t head = 0; head < heads; head++) {
            REAL *low = (REAL *)x + row * ld + head * head_dim, *high = low + half;
#pragma omp simd
            for (size_t i = 0; i < half; i++) {
                float a = LOAD(low[i]), b = LOAD(high[i]);
                low[i] = STORE(a * c[i] - b * (sign * s[i]));
                high[i] = STORE(b * c[i] + a * (sign * s[i]));
            }
        }
    }
}

static void TYPED(rope_pairs)(void *x, size_t ld, const int32_t *positions, const float *cos, const float *sin,
                              size_t n, size_t heads, size_t head_dim, size_t rotated, float sign)
{
    size_t half = rotated / 2;
#pragma omp parallel for schedule(static) if (n * heads * head_dim >= PARALLEL_MIN)
    for (size_t row = 0; row < n; row++) {
        const float *c = cos + (size_t)positions[row] * half, *s = sin + (size_t)positions[row] * half;
        for (size_t head = 0; head < heads; head++) {
            REAL *pair = (REAL *)x + row * ld + head * head_dim;
#pragma omp simd
            for (size_t i = 0; i < half; i++) {
                float a = LOAD(pair[2 * i]), b = LOAD(pair[2 * i + 1]);
                pair[2 * i] = STORE(a * c[i] - b * (sign * s[i]));
                pair[2 * i + 1] = STORE(b * c[i] + a * (sign * s[i]));
            }
        }
    }
}

#include "kern_act_typed.h"

/* ---- Cross-entropy ---- */

/* out = dscale * (softmax(x) - onehot). A block is read before its gradient is written, front to back, so
 * that out may begin where x begins. */
static void TYPED(gradient_row)(REAL *out, const float *x, size_t count, size_t target, struct exp_sum s,
                                float dscale, float cap)
{
    float factor = (float)((double)dscale / s.sum);
    for (size_t begin = 0; begin < count; begin += SUM_BLOCK) {
        size_t length = min_size(SUM_BLOCK, count - begin);
        float block[SUM_BLOCK];
#pragma omp simd
        for (size_t i = 0; i < length; i++)
            block[i] = factor * vec_exp2((x[begin + i] - s.max) * LOG2_E);
        if (target - begin < length)
            block[target - begin] -= dscale;
        if (cap != 0) {
#pragma omp simd
            for (size_t i = 0; i < length; i++)
                block[i] *= 1.0F - x[begin + i] / cap * (x[begin + i] / cap);
        }
        TYPED(from_row)(out + begin, block, length);
    }
}

static void TYPED(cross_entropy)(double *loss, int32_t *best, void *dlogits, size_t ldd, float *logits,
                                 size_t ld, const int32_t *targets, size_t n, size_t V, const float *dscale,
                                 float cap)
{
#pragma omp parallel for schedule(static) if (n * V >= PARALLEL_MIN)
    for (size_t row = 0; row < n; row++) {
        const float *x = logits + row * ld;
        size_t target = (size_t)targets[row];
        struct exp_sum s = exp_sum_row(x, V);
        loss[row] = log(s.sum) + ((double)s.max - (double)x[target]);
        if (best)
            best[row] = s.best;
        if (dscale)
            TYPED(gradient_row)((REAL *)dlogits + row * ldd, x, V, target, s, dscale[row], cap);
    }
}

/* ---- Dropout ---- */

static void TYPED(dropout)(void *y, const void *x, struct rng_key key, const uint64_t *samples,
                           const int32_t *positions, size_t n, size_t D, float p)
{
    /* number < p for a number of 24 bits, in integers */
    uint32_t threshold = (uint32_t)ceilf(p * 0x1p24F);
    float kept = 1.0F / (1.0F - p);
#pragma omp parallel for schedule(static) if (n * D >= PARALLEL_MIN)
    for (size_t row = 0; row < n; row++) {
        uint32_t low = (uint32_t)samples[row], high = (uint32_t)(samples[row] >> 32);
        for (size_t begin = 0; begin < D; begin += PHILOX_WORDS) {
            const REAL *in = (const REAL *)x + row * D + begin;
            REAL *out = (REAL *)y + row * D + begin;
            size_t count = min_size(PHILOX_WORDS, D - begin);
            uint32_t words[PHILOX_WORDS];
            philox_words(words, key, low, high, (uint32_t)positions[row], (uint32_t)(begin / 4));
#pragma omp simd
            for (size_t i = 0; i < count; i++) /* a product, so that a dropped NaN stays NaN */
                out[i] = STORE(LOAD(in[i]) * ((words[i] >> 8) < threshold ? 0.0F : kept));
        }
    }
}

#include "kern_attend_typed.h"

#undef REAL
#undef LOAD
#undef STORE
#undef TYPED
