/*
 * Kernels for tiles of attention that keep their sums in registers: small products of operands that are packed once
 * and used many times, and the passes between these products.
 *
 * Sizes are counted in words of 32 bits. A word is one f32, or two bf16 that are neighbours along the inner
 * dimension of a product (the input of the processor's bf16 dot product). The left operand of a product is read one
 * word at a time, with any strides. The right operand is read one line of columns at a time: words[k][columns]. The
 * result of a product, scores[keys, TILES_QUERIES], is used without repacking as the left operand of the next
 * products, after the pass over it: once by rows and once by columns. So nothing is repacked between the products
 * of a tile.
 *
 * All functions run on the calling thread only. Matrices are dense if no stride is given; their rows start at whole
 * words.
 */
#ifndef MPILORA_MATH_TILES_H
#define MPILORA_MATH_TILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "math/kern.h"

enum {
    TILES_QUERIES = 64, /* queries of a tile */
    TILES_LINE = 16     /* rows and columns of operands are multiples of this many words, except keys */
};

/* Word k of row m lies at words[m * row + k * word]. */
struct tiles_left {
    const void *words;
    size_t row, word;
};

/* The part of a tile that one call computes: scores[keys, TILES_QUERIES]; keys is even. Query i is at position
 * first + (row + i) / heads, counted from the tile's first key, and attends to the keys up to that position. */
struct tiles_part {
    size_t keys, heads, first, row;
    float scale; /* of the scores, above 0 */
};

struct tiles {
    size_t word_elements; /* 1 for f32, 2 for bf16 */
    /* C[m, n] = A B, or C += A B; k counts words, B has rows of ldb words, C is f32. */
    void (*product)(size_t m, size_t n, size_t k, struct tiles_left a, const void *b, size_t ldb, bool add,
                    float *c);
    /* The transpose of x[rows, columns] as a right operand: words[columns / word_elements][rows]. */
    void (*transpose)(void *words, const void *x, size_t rows, size_t columns);
    /* x[rows, columns] as a right operand, words[rows / word_elements][columns]: packed at `place`, or x itself if
     * it already has this form. */
    const void *(*lines)(void *place, const void *x, size_t rows, size_t columns);
    /* As kern_typed.attend_softmax, of transposed scores; probs are words[keys /
     * word_elements][TILES_QUERIES] and for f32 may be scores. */
    void (*softmax)(void *probs, const float *scores, float *max, float *sum, float *out, size_t head_dim,
                    const struct tiles_part *part);
    /* As kern_typed.attend_gradient. Also writes dscores as words[keys / word_elements][TILES_QUERIES]; for f32
     * this is dscores itself, and nothing more is written. */
    void (*gradient)(void *probs, void *dscores, void *words, const float *scores, const float *dprobs,
                     const float *log2_sum, const float *delta, const struct tiles_part *part);
};

extern const struct tiles tiles_reference_f32, tiles_reference_bf16;

/* The tile kernels that belong to a table of vector kernels, for DTYPE_F32 or DTYPE_BF16. NULL if the matrix
 * library computes attention's products: on processors without AVX-512; and for bf16 on processors without the bf16
 * dot product, and on those with AMX, which the library uses. */
const struct tiles *tiles_for(const struct kern *kern, enum dtype type);

#endif
