/*
 * The oracle of the vector kernels: the formulas as loops, sums in double, one thread.
 */
#include "math/kern.h"

#include <math.h>
#include <stdbool.h>

static double dot(const float *a, const float *b, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static double silu(double x)
{
    return x * sigmoid(x);
}

static double silu_slope(double x)
{
    return sigmoid(x) * (1 + x * (1 - sigmoid(x)));
}

static double gelu(double x)
{
    return 0.5 * x * erfc(-x * M_SQRT1_2);
}

static double gelu_slope(double x)
{
    return 0.5 * erfc(-x * M_SQRT1_2) + x * exp(-0.5 * x * x) * M_SQRT1_2 / sqrt(M_PI);
}

static double gelu_tanh(double x)
{
    return 0.5 * x * (1 + tanh(M_2_SQRTPI * M_SQRT1_2 * (x + 0.044715 * x * x * x)));
}

static double gelu_tanh_slope(double x)
{
    double t = tanh(M_2_SQRTPI * M_SQRT1_2 * (x + 0.044715 * x * x * x));
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * M_2_SQRTPI * M_SQRT1_2 * (1 + 3 * 0.044715 * x * x);
}

static double relu2(double x)
{
    return x > 0 ? x * x : x * 0;
}

static double relu2_slope(double x)
{
    return x > 0 ? 2 * x : x * 0;
}

static double xielu(double x, const struct kern_xielu *p)
{
    double most = (double)p->most, beta = (double)p->beta;
    if (x > 0)
        return (double)p->positive * x * x + beta * x;
    return (double)p->negative * (expm1(x < most ? x : most) - x) + beta * x;
}

static double xielu_slope(double x, const struct kern_xielu *p)
{
    if (x > 0)
        return 2 * (double)p->positive * x + (double)p->beta;
    return (double)p->negative * (x < (double)p->most ? expm1(x) : -1) + (double)p->beta;
}

/* The bf16 nearest to x, which is rounded once. */
static uint16_t bf16_of(double x)
{
    int exponent;
    if (isfinite(x) && x != 0) {
        frexp(x, &exponent); /* bf16 has 8 bits down to 2^-126, and the same spacing below */
        double spacing = ldexp(1, (exponent > -125 ? exponent : -125) - 8);
        x = rint(x / spacing) * spacing;
    }
    union {
        float number;
        uint32_t bits;
    } exact = {.number = (float)x};
    return (uint16_t)(exact.bits >> 16);
}

#define REAL        float
#define LOAD(x)     ((double)(x))
#define STORE(x)    ((float)(x))
#define TYPED(name) name##_f32
#include "kern_ref_typed.h"

#define REAL        uint16_t
#define LOAD(x)     ((double)dtype_bf16_to_f32(x))
#define STORE(x)    bf16_of(x)
#define TYPED(name) name##_bf16
#include "kern_ref_typed.h"

static void axpy(float *y, float a, const float *x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        y[i] = (float)((double)y[i] + (double)a * (double)x[i]);
}

static double sum_squares(const float *x, size_t count)
{
    return dot(x, x, count);
}

static void attend_add(float *y, size_t ld, float a, const float *x, size_t rows, size_t cols)
{
    for (size_t i = 0; i < rows * cols; i++)
        y[i / cols * ld + i % cols] += a * x[i];
}

static void softcap(float *scores, float *dprobs, const float *delta, size_t rows, size_t columns, float in,
                       float out)
{
    for (size_t i = 0; i < rows * columns; i++) {
        double t = tanh((double)in * (double)scores[i]);
        scores[i] = (float)((double)out * t);
        if (dprobs) {
            double offset = (double)delta[i % columns];
            dprobs[i] = (float)(offset + ((double)dprobs[i] - offset) * (1 - t * t));
        }
    }
}

static void cap_logits(float *x, size_t n, size_t V, float cap)
{
    softcap(x, NULL, NULL, n, V, 1.0F / cap, cap);
}

static double score_of(const float *q, const float *key, size_t head_dim, float scale, float cap)
{
    double raw = (double)scale * dot(q, key, head_dim);
    return cap > 0 ? (double)cap * tanh(raw / (double)cap) : raw;
}

static void attend_one(float *out, const float *q, const float *keys, const float *values, size_t count,
                       size_t head_dim, float scale, float cap)
{
    double max = -INFINITY, sum = 0;
    for (size_t j = 0; j < count; j++)
        max = fmax(max, score_of(q, keys + j * head_dim, head_dim, scale, cap));
    for (size_t j = 0; j < count; j++)
        sum += exp(score_of(q, keys + j * head_dim, head_dim, scale, cap) - max);
    for (size_t i = 0; i < head_dim; i++) {
        double mean = 0;
        for (size_t j = 0; j < count; j++) {
            double p = exp(score_of(q, keys + j * head_dim, head_dim, scale, cap) - max) / sum;
            mean += p * (double)values[j * head_dim + i];
        }
        out[i] = (float)mean;
    }
}

static void adamw(float *params, const float *grads, float *m, float *v, size_t count,
                  const struct adamw_step *s)
{
    for (size_t i = 0; i < count; i++) {
        double g = (double)grads[i] * (double)s->grad_scale;
        double first = (double)s->beta1 * (double)m[i] + (1 - (double)s->beta1) * g;
        double second = (double)s->beta2 * (double)v[i] + (1 - (double)s->beta2) * g * g;
        double decayed = (double)params[i] * (1 - (double)s->learning_rate * (double)s->weight_decay);
        double mean = first / (double)s->correction1, root = sqrt(second / (double)s->correction2);
        params[i] = (float)(decayed - (double)s->learning_rate * mean / (root + (double)s->epsilon));
        m[i] = (float)first;
        v[i] = (float)second;
    }
}

#include "kern_table.h"

const struct kern kern_reference = {
    .name = "reference",
    KERN_BOTH_TYPES,
    .axpy = axpy,
    .sum_squares = sum_squares,
    .attend_add = attend_add,
    .softcap = softcap,
    .cap_logits = cap_logits,
    .attend_one = attend_one,
    .adamw = adamw,
};
