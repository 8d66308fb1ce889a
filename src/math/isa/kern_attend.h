/*
 * Attention's rows of the table: a part of kern_isa.c, whose helpers it uses. They run on the calling thread
 * alone.
 */
#ifndef MPILORA_MATH_ISA_KERN_ATTEND_H
#define MPILORA_MATH_ISA_KERN_ATTEND_H

static void clear_row(float *x, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++)
        x[i] = 0;
}

static void softmax_causal(float *scores, size_t ld, float *lse, size_t rows, size_t first, float scale)
{
    for (size_t row = 0; row < rows; row++) {
        float *x = scores + row * ld;
        size_t count = first + row + 1;
        float max = max_block(x, count) * scale;
        double sum = exp_row(x, count, scale, max);
        lse[row] = (float)((double)max + log(sum));
        scale_row(x, (float)(1.0 / sum), count);
        clear_row(x, count, first + rows);
    }
}

static void softmax_causal_backward(float *scores, float *dprobs, size_t ld, const float *lse,
                                    const float *delta, size_t rows, size_t first, float scale)
{
    for (size_t row = 0; row < rows; row++) {
        float *x = scores + row * ld, *d = dprobs + row * ld;
        float shift = lse[row], mean = delta[row];
        size_t count = first + row + 1;
#pragma omp simd
        for (size_t i = 0; i < count; i++) {
            float p = vec_exp(x[i] * scale - shift);
            x[i] = p;
            d[i] = scale * p * (d[i] - mean);
        }
        clear_row(x, count, first + rows);
        clear_row(d, count, first + rows);
    }
}

static void row_dots(float *out, const float *a, size_t lda, const float *b, size_t ldb, size_t rows,
                     size_t cols)
{
    for (size_t row = 0; row < rows; row++)
        out[row] = dot_row(a + row * lda, b + row * ldb, cols);
}

static void attend_one(float *out, const float *q, const float *keys, const float *values, size_t count,
                       size_t head_dim, float scale)
{
    enum { BLOCK = 64 };
    float scores[BLOCK], max = -INFINITY;
    double total = 0;
    clear_row(out, 0, head_dim);
    for (size_t begin = 0; begin < count; begin += BLOCK) {
        size_t block = min_size(BLOCK, count - begin);
        for (size_t j = 0; j < block; j++)
            scores[j] = scale * dot_row(q, keys + (begin + j) * head_dim, head_dim);
        float here = max_block(scores, block);
        if (here > max) { /* what was summed so far is rescaled to the new maximum */
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
