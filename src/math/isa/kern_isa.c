/*
 * The vector kernels, compiled once per instruction set as `kern_isa_<KERN_ISA>`.
 *
 * Vectorising is left to the compiler. Sums are `omp simd` reductions over whole rows or blocks of fixed
 * length: lane i of a sum holds the same elements wherever the data lie and however many threads there are,
 * so results depend on neither (the build forbids peeling for alignment).
 */
#include "math/kern.h"

#include <math.h>
#include <string.h>

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

static float dot_row(const float *a, const float *b, size_t count)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < count; i++)
        sum += a[i] * b[i];
    return sum;
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

static void scale_row(float *x, float factor, size_t count)
{
#pragma omp simd
    for (size_t i = 0; i < count; i++)
        x[i] *= factor;
}

/* The largest number of a row, the first index that has it (0 when nothing is above -inf), and the sum of
 * exp(x - max). */
struct exp_sum {
    float max;
    int32_t best;
    double sum;
};

static float exp_sum_block(const float *x, size_t count, float shift)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < count; i++)
        sum += vec_exp2((x[i] - shift) * LOG2_E);
    return sum;
}

/* In one pass: what was summed so far is rescaled when a block has a new maximum. */
static struct exp_sum exp_sum_row(const float *x, size_t count)
{
    struct exp_sum s = {.max = -INFINITY};
    size_t best = 0;
    for (size_t begin = 0; begin < count; begin += SUM_BLOCK) {
        size_t length = min_size(SUM_BLOCK, count - begin);
        float max = max_block(x + begin, length);
        if (max > s.max) {
            s.sum *= exp((double)s.max - (double)max);
            s.max = max;
            best = begin;
        }
        s.sum += (double)exp_sum_block(x + begin, length, s.max > -INFINITY ? s.max : 0);
    }
    while (s.max > -INFINITY && x[best] != s.max)
        best++;
    s.best = (int32_t)best;
    return s;
}

/* ---- Dropout ---- */

/* Philox4x32-10 for the counters (c0, c1, c2, first + lane): the words as rng_block() gives them, counter
 * after counter. */
enum { PHILOX_LANES = 64, PHILOX_WORDS = 4 * PHILOX_LANES };

static void philox_words(uint32_t words[PHILOX_WORDS], struct rng_key key, uint32_t c0, uint32_t c1,
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
        const uint32_t at = 4 * lane;
        words[at] = x0;
        words[at + 1] = x1;
        words[at + 2] = x2;
        words[at + 3] = x3;
    }
}

#include "kern_attend.h"

/* ---- Activations, for each element type ---- */

/* 1 / (1 + e^-x); below -88 it stays at the 6e-39 of -88. */
static inline __attribute__((always_inline)) float sigmoid(float x)
{
    float power = x * -LOG2_E;
    return 1.0F / (1.0F + vec_exp2(power > 127.0F ? 127.0F : power));
}

#define ALWAYS_INLINE static inline __attribute__((always_inline))

ALWAYS_INLINE float silu(float x)
{
    return x * sigmoid(x);
}

ALWAYS_INLINE float silu_slope(float x)
{
    float s = sigmoid(x);
    return s + x * s * (1.0F - s);
}

/* sqrt(2 / pi) (x + 0.044715 x^3), whose tanh GELU's approximation takes; (1 + tanh u) / 2 = sigmoid(2 u), which does
 * not cancel. */
ALWAYS_INLINE float gelu_tanh(float x)
{
    return x * sigmoid(2 * 0.7978845608F * (x + 0.044715F * x * x * x));
}

ALWAYS_INLINE float gelu_tanh_slope(float x)
{
    float power = -2 * 0.7978845608F * LOG2_E * (x + 0.044715F * x * x * x);
    float e = vec_exp2(power > 127.0F ? 127.0F : power), s = 1.0F / (1.0F + e); /* 1 - s = e s */
    return s + x * (e * s) * s * 2 * 0.7978845608F * (1.0F + 3 * 0.044715F * x * x);
}

/* x Phi(x), Phi the normal distribution function, and Phi(x) + x phi(x). */
ALWAYS_INLINE float gelu(float x)
{
    return x * vec_normal(x);
}

ALWAYS_INLINE float gelu_slope(float x)
{
    return vec_normal(x) + x * 0.3989422804F * vec_exp(-0.5F * x * x);
}

ALWAYS_INLINE float relu2(float x)
{
    return x > 0 ? x * x : x * 0.0F; /* a product, so that NaN shows */
}

ALWAYS_INLINE float relu2_slope(float x)
{
    return x > 0 ? 2 * x : x * 0.0F;
}

/* Where e^x - 1 would cancel, its series is exact enough. */
ALWAYS_INLINE float xielu_expm1(float x)
{
    float series = x * (1.0F + x * (0.5F + x * (1.0F / 6 + x * (1.0F / 24 + x * (1.0F / 120 + x * (1.0F / 720))))));
    return x > -0.25F ? series : vec_exp(x) - 1.0F;
}

ALWAYS_INLINE float xielu(float x, const struct kern_xielu *p)
{
    float low = x > p->most ? p->most : x; /* lets NaN through */
    float curve = x > 0 ? p->positive * x * x : p->negative * (xielu_expm1(low) - x);
    return curve + p->beta * x;
}

ALWAYS_INLINE float xielu_slope(float x, const struct kern_xielu *p)
{
    float below = x < p->most ? xielu_expm1(x) : x * 0.0F - 1.0F;
    return (x > 0 ? 2.0F * p->positive * x : p->negative * below) + p->beta;
}

#define REAL        float
#define LOAD(x)     (x)
#define STORE(x)    (x)
#define TYPED(name) name##_f32
#include "kern_typed.h"

#define REAL        uint16_t
#define LOAD(x)     dtype_bf16_to_f32(x)
#define STORE(x)    dtype_f32_to_bf16(x)
#define TYPED(name) name##_bf16
#include "kern_typed.h"

/* ---- Element-wise ---- */

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

#include "../kern_table.h"

extern const struct kern JOIN(kern_isa_, KERN_ISA);
const struct kern JOIN(kern_isa_, KERN_ISA) = {
    .name = TEXT(KERN_ISA),
    KERN_BOTH_TYPES,
    .axpy = axpy,
    .sum_squares = sum_squares,
    .attend_add = attend_add,
    .softcap = softcap,
    .cap_logits = cap_logits,
    .attend_one = attend_one,
    .adamw = adamw,
};
