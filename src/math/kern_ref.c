/*
 * The oracle of the vector kernels: the formulas as loops, sums in double, one thread.
 */
#include "math/kern.h"

#include <math.h>

static double dot(const float *a, const float *b, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

static void rmsnorm_apply(float *y, const float *x, const float *rstd, const float *w, size_t n, size_t D)
{
    for (size_t row = 0; row < n; row++)
        for (size_t i = 0; i < D; i++)
            y[row * D + i] = (float)((double)x[row * D + i] * (double)rstd[row] * (double)w[i]);
}

static void rmsnorm_forward(float *y, float *rstd, const float *x, const float *w, size_t n, size_t D,
                            float eps)
{
    for (size_t row = 0; row < n; row++)
        rstd[row] = (float)(1 / sqrt(dot(x + row * D, x + row * D, D) / (double)D + (double)eps));
    if (y)
        rmsnorm_apply(y, x, rstd, w, n, D);
}

static void rmsnorm_backward(float *dx, const float *dy, const float *x, const float *rstd, const float *w,
                             size_t n, size_t D)
{
    for (size_t row = 0; row < n; row++) {
        const float *in = x + row * D, *g = dy + row * D;
        double mean = 0, r = (double)rstd[row];
        for (size_t i = 0; i < D; i++)
            mean += (double)w[i] * (double)g[i] * (double)in[i] / (double)D;
        for (size_t i = 0; i < D; i++) {
            double slope = (double)w[i] * (double)g[i] - (double)in[i] * r * r * mean;
            dx[row * D + i] = (float)((double)dx[row * D + i] + r * slope);
        }
    }
}

static void rope(float *x, size_t ld, const int32_t *positions, const float *cos, const float *sin, size_t n,
                 size_t heads, size_t head_dim, float sign)
{
    size_t half = head_dim / 2;
    for (size_t row = 0; row < n; row++) {
        for (size_t head = 0; head < heads; head++) {
            for (size_t i = 0; i < half; i++) {
                float *low = x + row * ld + head * head_dim + i, *high = low + half;
                double c = (double)cos[(size_t)positions[row] * half + i];
                double s = (double)sign * (double)sin[(size_t)positions[row] * half + i];
                double a = (double)*low, b = (double)*high;
                *low = (float)(a * c - b * s);
                *high = (float)(b * c + a * s);
            }
        }
    }
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static void swiglu_forward(float *y, const float *gu, size_t n, size_t F)
{
    for (size_t row = 0; row < n; row++) {
        for (size_t i = 0; i < F; i++) {
            double gate = (double)gu[row * 2 * F + i], up = (double)gu[row * 2 * F + F + i];
            y[row * F + i] = (float)(gate * sigmoid(gate) * up);
        }
    }
}

static void swiglu_backward(float *dgu, float *y, const float *dy, const float *gu, size_t n, size_t F)
{
    if (y)
        swiglu_forward(y, gu, n, F);
    for (size_t row = 0; row < n; row++) {
        for (size_t i = 0; i < F; i++) {
            size_t g = row * 2 * F + i, u = g + F;
            double gate = (double)gu[g], up = (double)gu[u], d = (double)dy[row * F + i], s = sigmoid(gate);
            dgu[g] = (float)(d * up * (s + gate * s * (1 - s)));
            dgu[u] = (float)(d * gate * s);
        }
    }
}

static void cross_entropy(double *loss, int32_t *best, float *logits, size_t ld, const int32_t *targets,
                          size_t n, size_t V, float dscale)
{
    for (size_t row = 0; row < n; row++) {
        float *x = logits + row * ld;
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
        for (size_t i = 0; i < V && dscale != 0; i++)
            x[i] = (float)((double)dscale * (exp((double)x[i] - max) / sum - (i == (size_t)targets[row])));
    }
}

static void dropout(float *y, const float *x, struct rng_key key, const uint64_t *samples,
                    const int32_t *positions, size_t n, size_t D, float p)
{
    for (size_t row = 0; row < n; row++) {
        for (size_t col = 0; col < D; col++) {
            uint32_t words[4], counter[4] = {(uint32_t)samples[row], (uint32_t)(samples[row] >> 32),
                                             (uint32_t)positions[row], (uint32_t)(col / 4)};
            rng_block(words, key, counter);
            float number = (float)(words[col % 4] >> 8) * 0x1p-24F;
            y[row * D + col] = x[row * D + col] * (number < p ? 0 : 1 / (1 - p));
        }
    }
}

static void add_bias(float *y, size_t ld, const float *bias, size_t n, size_t D)
{
    for (size_t row = 0; row < n; row++)
        for (size_t i = 0; i < D; i++)
            y[row * ld + i] += bias[i];
}

static void axpy(float *y, float a, const float *x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        y[i] = (float)((double)y[i] + (double)a * (double)x[i]);
}

static double sum_squares(const float *x, size_t count)
{
    return dot(x, x, count);
}

static void softmax_causal(float *scores, size_t ld, float *lse, size_t rows, size_t first, float scale)
{
    for (size_t row = 0; row < rows; row++) {
        float *x = scores + row * ld;
        size_t count = first + row + 1;
        double max = -INFINITY, sum = 0;
        for (size_t i = 0; i < count; i++)
            max = fmax(max, (double)x[i] * (double)scale);
        for (size_t i = 0; i < count; i++)
            sum += exp((double)x[i] * (double)scale - max);
        for (size_t i = 0; i < first + rows; i++)
            x[i] = i < count ? (float)(exp((double)x[i] * (double)scale - max) / sum) : 0;
        lse[row] = (float)(max + log(sum));
    }
}

static void softmax_causal_backward(float *scores, float *dprobs, size_t ld, const float *lse,
                                    const float *delta, size_t rows, size_t first, float scale)
{
    for (size_t row = 0; row < rows; row++) {
        for (size_t i = 0; i < first + rows; i++) {
            float *x = scores + row * ld + i, *d = dprobs + row * ld + i;
            double p = i <= first + row ? exp((double)*x * (double)scale - (double)lse[row]) : 0;
            *d = p != 0 ? (float)((double)scale * p * ((double)*d - (double)delta[row])) : 0;
            *x = (float)p;
        }
    }
}

static void row_dots(float *out, const float *a, size_t lda, const float *b, size_t ldb, size_t rows,
                     size_t cols)
{
    for (size_t row = 0; row < rows; row++)
        out[row] = (float)dot(a + row * lda, b + row * ldb, cols);
}

static void attend_one(float *out, const float *q, const float *keys, const float *values, size_t count,
                       size_t head_dim, float scale)
{
    double max = -INFINITY, sum = 0;
    for (size_t j = 0; j < count; j++)
        max = fmax(max, (double)scale * dot(q, keys + j * head_dim, head_dim));
    for (size_t j = 0; j < count; j++)
        sum += exp((double)scale * dot(q, keys + j * head_dim, head_dim) - max);
    for (size_t i = 0; i < head_dim; i++) {
        double mean = 0;
        for (size_t j = 0; j < count; j++) {
            double p = exp((double)scale * dot(q, keys + j * head_dim, head_dim) - max) / sum;
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

const struct kern kern_reference = {
    .name = "reference",
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
