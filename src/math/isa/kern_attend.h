/*
 * Kernels of attention for f32, and code that the kernels for both types share. kern_isa.c includes this file,
 * which uses its helpers. They run on the calling thread only.
 */
#ifndef MPILORA_MATH_ISA_KERN_ATTEND_H
#define MPILORA_MATH_ISA_KERN_ATTEND_H

static void fill_row(float *x, size_t begin, size_t end, float value)
{
    for (size_t i = begin; i < end; i++)
        x[i] = value;
}

static void attend_add(float *y, size_t ld, float a, const float *x, size_t rows, size_t cols)
{
    for (size_t row = 0; row < rows; row++) {
#pragma omp simd
        for (size_t i = 0; i < cols; i++)
            y[row * ld + i] += a * x[row * cols + i];
    }
}

static void softcap(float *scores, float *dprobs, const float *delta, size_t rows, size_t columns, float in,
                       float out)
{
    for (size_t row = 0; row < rows; row++) {
        float *x = scores + row * columns, *g = dprobs ? dprobs + row * columns : NULL;
        if (g) {
#pragma omp simd
            for (size_t i = 0; i < columns; i++) {
                float t = vec_tanh(x[i] * in);
                x[i] = out * t;
                g[i] = delta[i] + (g[i] - delta[i]) * (1.0F - t * t);
            }
        } else {
#pragma omp simd
            for (size_t i = 0; i < columns; i++)
                x[i] = out * vec_tanh(x[i] * in);
        }
    }
}

static void cap_logits(float *x, size_t n, size_t V, float cap)
{
#pragma omp parallel for schedule(static) if (n * V >= PARALLEL_MIN)
    for (size_t row = 0; row < n; row++)
        softcap(x + row * V, NULL, NULL, 1, V, 1.0F / cap, cap);
}

static void attend_one(float *out, const float *q, const float *keys, const float *values, size_t count,
                       size_t head_dim, float scale, float cap)
{
    enum { BLOCK = 64 };
    float scores[BLOCK], max = -INFINITY;
    double total = 0;
    fill_row(out, 0, head_dim, 0);
    for (size_t begin = 0; begin < count; begin += BLOCK) {
        size_t block = min_size(BLOCK, count - begin);
        for (size_t j = 0; j < block; j++)
            scores[j] = scale * dot_row(q, keys + (begin + j) * head_dim, head_dim);
        if (cap > 0)
            softcap(scores, NULL, NULL, 1, block, 1.0F / cap, cap);
        float here = max_block(scores, block);
        if (here > max) { /* rescale the sums so far to the new maximum */
            float shrink = vec_exp(max - here);
            total *= (double)shrink;
            scale_row(out, shrink, head_dim);
            max = here;
        }
        total += exp_row(scores, block, 1, max);
        for (size_t j = 0; j < block; j++) {
            const float *value = values + (begin + j) * head_dim;
#pragma omp simd
            for (size_t i = 0; i < head_dim; i++)
                out[i] += scores[j] * value[i];
        }
    }
    scale_row(out, (float)(1.0 / total), head_dim);
}

#endif
