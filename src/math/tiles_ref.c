#include "tiles.h"

#include <math.h>

/* Element i of an array of f32 (word_elements 1) or bf16 (2). */
static float load(size_t word_elements, const void *x, size_t i)
{
    return word_elements == 1 ? ((const float *)x)[i] : dtype_bf16_to_f32(((const uint16_t *)x)[i]);
}

static void store(size_t word_elements, void *x, size_t i, float value)
{
    if (word_elements == 1)
        ((float *)x)[i] = value;
    else
        ((uint16_t *)x)[i] = dtype_f32_to_bf16(value);
}

/* Where element (k, column) of words[k / word_elements][columns] lies. */
static size_t in_words(size_t word_elements, size_t k, size_t column, size_t columns)
{
    return (k / word_elements * columns + column) * word_elements + k % word_elements;
}

static void product(size_t e, size_t m, size_t n, size_t k, struct tiles_left a, const void *b, size_t ldb,
                    bool add, float *c)
{
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j++) {
            double sum = add ? (double)c[i * n + j] : 0;
            for (size_t l = 0; l < k * e; l++)
                sum += (double)load(e, a.words, (i * a.row + l / e * a.word) * e + l % e) *
                       (double)load(e, b, in_words(e, l, j, ldb));
            c[i * n + j] = (float)sum;
        }
    }
}

static void transpose(size_t e, void *words, const void *x, size_t rows, size_t columns)
{
    for (size_t row = 0; row < rows; row++)
        for (size_t i = 0; i < columns; i++)
            store(e, words, in_words(e, i, row, rows), load(e, x, row * columns + i));
}

static const void *lines(size_t e, void *place, const void *x, size_t rows, size_t columns)
{
    if (e == 1)
        return x;
    for (size_t row = 0; row < rows; row++)
        for (size_t i = 0; i < columns; i++)
            store(e, place, in_words(e, row, i, columns), load(e, x, row * columns + i));
    return place;
}

static bool sees(const struct tiles_part *part, size_t query, size_t key)
{
    return key <= part->first + (part->row + query) / part->heads;
}

static void softmax(size_t e, void *probs, const float *scores, float *max, float *sum, float *out,
                    size_t head_dim, const struct tiles_part *part)
{
    for (size_t i = 0; i < TILES_QUERIES; i++) {
        float largest = max[i], shrink;
        for (size_t key = 0; key < part->keys; key++)
            largest = fmaxf(largest, sees(part, i, key) ? scores[key * TILES_QUERIES + i] : -INFINITY);
        shrink = expf((max[i] - largest) * part->scale);
        max[i] = largest;
        sum[i] *= shrink;
        for (size_t j = 0; j < head_dim; j++)
            out[i * head_dim + j] *= shrink;
        for (size_t key = 0; key < part->keys; key++) {
            float score = sees(part, i, key) ? scores[key * TILES_QUERIES + i] : -INFINITY;
            float p = expf((score - largest) * part->scale);
            sum[i] += p;
            store(e, probs, in_words(e, key, i, TILES_QUERIES), p);
        }
    }
}

static void gradient(size_t e, void *probs, void *dscores, void *words, const float *scores,
                     const float *dprobs, const float *log2_sum, const float *delta,
                     const struct tiles_part *part)
{
    for (size_t key = 0; key < part->keys; key++) {
        for (size_t i = 0; i < TILES_QUERIES; i++) {
            size_t x = key * TILES_QUERIES + i;
            float p = expf(part->scale * scores[x] - (float)M_LN2 * log2_sum[i]);
            float d = sees(part, i, key) ? p * (dprobs[x] - delta[i]) : 0;
            store(e, probs, x, sees(part, i, key) ? p : 0);
            store(e, dscores, x, d);
            if (e > 1)
                store(e, words, in_words(e, key, i, TILES_QUERIES), d);
        }
    }
}

#define TILES_REFERENCE(type, elements)                                                                      \
    static void product_##type(size_t m, size_t n, size_t k, struct tiles_left a, const void *b, size_t ldb, \
                               bool add, float *c)                                                           \
    {                                                                                                        \
        product(elements, m, n, k, a, b, ldb, add, c);                                                       \
    }                                                                                                        \
    static void transpose_##type(void *words, const void *x, size_t rows, size_t columns)                    \
    {                                                                                                        \
        transpose(elements, words, x, rows, columns);                                                        \
    }                                                                                                        \
    static const void *lines_##type(void *place, const void *x, size_t rows, size_t columns)                 \
    {                                                                                                        \
        return lines(elements, place, x, rows, columns);                                                     \
    }                                                                                                        \
    static void softmax_##type(void *probs, const float *scores, float *max, float *sum, float *out,         \
                               size_t head_dim, const struct tiles_part *part)                               \
    {                                                                                                        \
        softmax(elements, probs, scores, max, sum, out, head_dim, part);                                     \
    }                                                                                                        \
    static void gradient_##type(void *probs, void *dscores, void *words, const float *scores,                \
                                const float *dprobs, const float *log2_sum, const float *delta,              \
                                const struct tiles_part *part)                                               \
    {                                                                                                        \
        gradient(elements, probs, dscores, words, scores, dprobs, log2_sum, delta, part);                    \
    }                                                                                                        \
    const struct tiles tiles_reference_##type = {elements,     product_##type, transpose_##type,             \
                                                 lines_##type, softmax_##type, gradient_##type};

TILES_REFERENCE(f32, 1)
TILES_REFERENCE(bf16, 2)
