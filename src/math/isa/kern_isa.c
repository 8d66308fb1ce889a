/*
 * The vector kernels, compiled once per instruction set as `kern_isa_<KERN_ISA>`.
 *
 * Vectorising is left to the compiler. Sums are `omp simd` reductions over whole rows or blocks of fixed
 * length: lane i of a sum holds the same elements wherever the data lie and however many threads there are,
 * so results depend on neither (the build forbids peeling for alignment).
 */
#include "math/kern.h"

#include <math.h>

#include "vec_exp.h"

#define JOIN_(a, b) a##b
#define JOIN(a, b)  JOIN_(a, b)
#define TEXT_(a)    #a
#define TEXT(a)     TEXT_(a)

/* Loops over fewer elements than this stay on one thread. */
enum { PARALLEL_MIN = 1 << 14 };
/* Element-wise work is handed out in pieces of this many elements. */
enum { CHUNK = 1 << 13 };

static inline size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* ---- Norm ---- */

static float dot_row(const float *a, const float *b, size_t count)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < count; i++)
        sum += a[i] * b[i];
    return sum;
}

static void apply_norm_row(float *y, const float *x, float rstd, const float *w, size_t D)
{
#pragma omp simd
    for (size_t i = 0; i < D; i++)
        y[i] = x[i] * rstd * w[i];
}

static void rmsnorm_forward(float *y, float *rstd, const float *x, const float *w, size_t n, size_t D,
                            float eps)
{
#pragma omp parallel for schedule(static) if (n * D >= PARALLEL_MIN)
    for (size_t row = 0; row < n; row++) {
        const float *in = x + row * D;
        rstd[row] = 1.0F / sqrtf(dot_row(in, in, D) / (float)D + eps);
        if (y)
            apply_norm_row(y + row * D, in, rstd[row], w, D);
    }
}

static void rmsnorm_apply(float *y, const float *x, const float *rstd, const float *w, size_t n, size_t D)
{
#pragma omp parallel for schedule(static) if (n * D >= PARALLEL_MIN)
    for (size_t row = 0; row < n; row++)
        apply_norm_row(y + row * D, x + row * D, rstd[row], w, D);
}

static void rmsnorm_backward(float *dx, const float *dy, const float *x, const float *rstd, const float *w,
                             size_t n, size_t D)
{
#pragma omp parallel for schedule(static) if (n * D >= PARALLEL_MIN)
    for (size_t row = 0; row < n; row++) {
        const float *in = x + row * D, *g = dy + row * D;
        float *out = dx + row * D;
        float sum = 0, r = rstd[row];
#pragma omp simd reduction(+ : sum)
        for (size_t i = 0; i < D; i++)
            sum += w[i] * g[i] * in[i];
        float slope = sum / (float)D * r * r;
#pragma omp simd
        for (size_t i = 0; i < D; i++)
            out[i] += r * (w[i] * g[i] - in[i] * slope);
    }
}

/* ---- Rotary positions ---- */

static void rope(float *x, size_t ld, const int32_t *positions, const float *cos, const float *sin, size_t n,
                 size_t heads, size_t head_dim, float sign)
{
    size_t half = head_dim / 2;
#pragma omp parallel for schedule(static) if (n * heads * head_dim >= PARALLEL_MIN)
    for (size_t row = 0; row < n; row++) {
        const float *c = cos + (size_t)positions[row] * half, *s = sin + (size_t)positions[row] * half;
        for (size_t head = 0; head < heads; head++) {
            float *low = x + row * ld + head * head_dim, *high = low + half;
#pragma omp simd
            for (size_t i = 0; i < half; i++) {
                float a = low[i], b = high[i];
                low[i] = a * c[i] - b * (sign * s[i]);
                high[i] = b * c[i] + a * (sign * s[i]);
            }
        }
    }
}

/* ---- SwiGLU ---- */

static void swiglu_forward(float *y, const float *gu, size_t n, size_t F)
{
#pragma omp parallel for schedule(static) if (n * F >= PARALLEL_MIN)
    for (size_t row = 0; row < n; row++) {
        const float *gate = gu + row * 2 * F, *up = gate + F;
        float *out = y + row * F;
#pragma omp simd
        for (size_t i = 0; i < F; i++)
            out[i] = gate[i] / (1.0F + vec_exp(-gate[i])) * up[i];
    }
}

static void swiglu_backward_row(float *dgate, float *dup, float *y, const float *dy, const float *gate,
                                const float *up, size_t F)
{
#pragma omp simd
    for (size_t i = 0; i < F; i++) {
        float g = gate[i], u = up[i], d = dy[i];
        float sigmoid = 1.0F / (1.0F + vec_exp(-g)), silu = g * sigmoid;
        dgate[i] = d * u * (sigmoid + silu * (1.0F - sigmoid));
        dup[i] = d * silu;
        y[i] = silu * u;
    }
}

static void swiglu_backward(float *dgu, float *y, const float *dy, const float *gu, size_t n, size_t F)
{
    enum { PIECE = 512 };
#pragma omp parallel for schedule(static) if (n * F >= PARALLEL_MIN)
    for (size_t row = 0; row < n; row++) {
        const float *gate = gu + row * 2 * F, *d = dy + row * F;
        float *dgate = dgu + row * 2 * F;
        for (size_t i = 0; i < F; i += PIECE) {
            float unwanted[PIECE], *out = y ? y + row * F + i : unwanted;
            swiglu_backward_row(dgate + i, dgate + F + i, out, d + i, gate + i, gate + F + i,
                                min_size(PIECE, F - i));
        }
    }
}

/* ---- Softmax and cross-entropy ---- */

/* Sums of long rows: single precision inside a block, double over the blocks. */
enum { SUM_BLOCK = 1024 };

/* The largest element that is not NaN, -inf if there is none. The lanes are written out because compilers do
 * not vectorise a maximum that must heed NaN. */
static float max_block(const float *x, size_t count)
{
    enum { LANES = 32 };
    float lane[LANES], max = -INFINITY;
    size_t i = 0;
    for (size_t l = 0; l < LANES; l++)
        lane[l] = -INFINITY;
    for (; i + LANES <= count; i += LANES)
        for (size_t l = 0; l < LANES; l++)
            lane[l] = x[i + l] > lane[l] ? x[i + l] : lane[l];
    for (size_t l = 0; l < LANES; l++)
        max = lane[l] > max ? lane[l] : max;
    for (; i < count; i++)
        max = x[i] > max ? x[i] : max;
    return max;
}

/* x becomes exp(x * scale - shift); returns the sum. */
static double exp_row(float *x, size_t count, float scale, float shift)
{
    double total = 0;
    for (size_t begin = 0; begin < count; begin += SUM_BLOCK) {
        size_t end = min_size(count, begin + SUM_BLOCK);
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (size_t i = begin; i < end; i++) {
            x[i] = vec_exp(x[i] * scale - shift);
            sum += x[i];
        }
        total += (double)sum;
    }
    return total;
}

/* The sum of exp(x - shift), x kept. */
static double exp_row_sum(const float *x, size_t count, float shift)
{
    double total = 0;
    for (size_t begin = 0; begin < count; begin += SUM_BLOCK) {
        size_t end = min_size(count, begin + SUM_BLOCK);
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (size_t i = begin; i < end; i++)
            sum += vec_exp(x[i] - shift);
        total += (double)sum;
    }
    return total;
}

/* The largest element of a row and the first index that has it (0 when nothing is above -inf). */
static float max_row(const float *x, size_t count, int32_t *best)
{
    float max = -INFINITY;
    size_t block = 0;
    for (size_t begin = 0; begin < count; begin += SUM_BLOCK) {
        float here = max_block(x + begin, min_size(SUM_BLOCK, count - begin));
        if (here > max) {
            max = here;
            block = begin;
        }
    }
    *best = 0;
    if (max > -INFINITY) {
        while (x[block] != max)
            block++;
        *best = (int32_t)block;
    }
    return max;
}

static void scale_row(float *x, float factor, size_t count)
{
#pragma omp simd
    for (size_t i = 0; i < count; i++)
        x[i] *= factor;
}

static void cross_entropy(double *loss, int32_t *best, float *logits, size_t ld, const int32_t *targets,
                          size_t n, size_t V, float dscale)
{
#pragma omp parallel for schedule(static) if (n * V >= PARALLEL_MIN)
    for (size_t row = 0; row < n; row++) {
        float *x = logits + row * ld;
        int32_t argmax;
        float max = max_row(x, V, &argmax);
        double margin = (double)max - (double)x[targets[row]];
        double sum = dscale != 0 ? exp_row(x, V, 1, max) : exp_row_sum(x, V, max);
        loss[row] = log(sum) + margin;
        if (best)
            best[row] = argmax;
        if (dscale != 0) {
            scale_row(x, (float)((double)dscale / sum), V);
            x[targets[row]] -= dscale;
        }
    }
}

/* ---- Dropout ---- */

/* Philox4x32-10 for the counters (c0, c1, c2, first + lane): the words as rng_block() gives them, counter
 * after counter. */
enum { PHILOX_LANES = 64 };

static void philox_words(uint32_t words[4 * PHILOX_LANES], struct rng_key key, uint32_t c0, uint32_t c1,
                         uint32_t c2, uint32_t first)
{
#pragma omp simd
    for (uint32_t lane = 0; lane < PHILOX_LANES; lane++) {
        uint32_t x0 = c0, x1 = c1, x2 = c2, x3 = first + lane;
        uint32_t k0 = key.word[0], k1 = key.word[1];
        for (int round = 0; round < 10; round++) {
            uint64_t p0 = (uint64_t)0xD2511F53 * x0, p1 = (uint64_t)0xCD9E8D57 * x2;
            x0 = (uint32_t)(p1 >> 32) ^ x1 ^ k0;
            x2 = (uint32_t)(p0 >> 32) ^ x3 ^ k1;
            x1 = (uint32_t)p1;
            x3 = (uint32_t)p0;
            k0 += 0x9E3779B9;
            k1 += 0xBB67AE85;
        }
        words[4 * lane] = x0;
        words[4 * lane + 1] = x1;
        words[4 * lane + 2] = x2;
        words[4 * lane + 3] = x3;
    }
}

static void dropout(float *y, const float *x, struct rng_key key, const uint64_t *samples,
                    const int32_t *positions, size_t n, size_t D, float p)
{
    /* number < p for a number of 24 bits, in integers */
    uint32_t threshold = (uint32_t)ceilf(p * 0x1p24F);
    float kept = 1.0F / (1.0F - p);
#pragma omp parallel for schedule(static) if (n * D >= PARALLEL_MIN)
    for (size_t row = 0; row < n; row++) {
        const float *in = x + row * D;
        float *out = y + row * D;
        uint32_t low = (uint32_t)samples[row], high = (uint32_t)(samples[row] >> 32);
        for (size_t begin = 0; begin < D; begin += 4 * PHILOX_LANES) {
            uint32_t words[4 * PHILOX_LANES];
            philox_words(words, key, low, high, (uint32_t)positions[row], (uint32_t)(begin / 4));
            size_t count = min_size(4 * PHILOX_LANES, D - begin);
#pragma omp simd
            for (size_t i = 0; i < count; i++) /* a product, so that a dropped NaN stays NaN */
                out[begin + i] = in[begin + i] * ((words[i] >> 8) < threshold ? 0.0F : kept);
        }
    }
}

/* ---- Element-wise ---- */

static void add_bias(float *y, size_t ld, const float *bias, size_t n, size_t D)
{
#pragma omp parallel for schedule(static) if (n * D >= PARALLEL_MIN)
    for (size_t row = 0; row < n; row++) {
        float *out = y + row * ld;
#pragma omp simd
        for (size_t i = 0; i < D; i++)
            out[i] += bias[i];
    }
}

static void axpy(float *y, float a, const float *x, size_t count)
{
#pragma omp parallel for schedule(static) if (count >= PARALLEL_MIN)
    for (size_t begin = 0; begin < count; begin += CHUNK) {
        size_t end = min_size(count, begin + CHUNK);
#pragma omp simd
        for (size_t i = begin; i < end; i++)
            y[i] += a * x[i];
    }
}

static double sum_squares(const float *x, size_t count)
{
    enum { PARTS = 256, ALIGN = 1024 };
    /* The parts depend on `count` alone, and are added in order. */
    double partial[PARTS] = {0};
    size_t part = (count / PARTS + ALIGN) / ALIGN * ALIGN;
#pragma omp parallel for schedule(static) if (count >= PARALLEL_MIN)
    for (size_t k = 0; k < PARTS; k++) {
        size_t begin = min_size(count, k * part), end = min_size(count, begin + part);
        double sum = 0;
#pragma omp simd reduction(+ : sum)
        for (size_t i = begin; i < end; i++)
            sum += (double)x[i] * (double)x[i];
        partial[k] = sum;
    }
    double total = 0;
    for (size_t k = 0; k < PARTS; k++)
        total += partial[k];
    return total;
}

static void adamw(float *params, const float *grads, float *m, float *v, size_t count,
                  const struct adamw_step *step)
{
    const struct adamw_step s = *step;
    float kept = 1.0F - s.learning_rate * s.weight_decay, size = s.learning_rate / s.correction1;
    float root = 1.0F / sqrtf(s.correction2), rest1 = 1.0F - s.beta1, rest2 = 1.0F - s.beta2;
#pragma omp parallel for schedule(static) if (count >= PARALLEL_MIN)
    for (size_t begin = 0; begin < count; begin += CHUNK) {
        size_t end = min_size(count, begin + CHUNK);
#pragma omp simd
        for (size_t i = begin; i < end; i++) {
            float g = grads[i] * s.grad_scale;
            m[i] = s.beta1 * m[i] + rest1 * g;
            v[i] = s.beta2 * v[i] + rest2 * g * g;
            params[i] = params[i] * kept - size * m[i] / (sqrtf(v[i]) * root + s.epsilon);
        }
    }
}

#include "kern_attend.h"

extern const struct kern JOIN(kern_isa_, KERN_ISA);
const struct kern JOIN(kern_isa_, KERN_ISA) = {
    .name = TEXT(KERN_ISA),
    .rmsnorm_forward = rmsnorm_forward,
    .rmsnorm_apply = rmsnorm_apply,
    .rmsnorm_backward = rmsnorm_backward,
    .rope = rope,
    .swiglu_forward = swiglu_forward,
    .swiglu_backward = swiglu_backward,
    .cross_entropy = cross_entropy,
    .dropout = dropout,
    .add_bias = add_bias,
    .axpy = axpy,
    .sum_squares = sum_squares,
    .softmax_causal = softmax_causal,
    .softmax_causal_backward = softmax_causal_backward,
    .row_dots = row_dots,
    .attend_one = attend_one,
    .adamw = adamw,
};
