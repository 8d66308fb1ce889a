/*
 * Attention's tiles, written for registers: small products of operands that are laid out once and then used
 * many times, and the passes between them.
 *
 * All is counted in words of 32 bits: an f32, or two bf16 that are neighbours along the inner dimension of a
 * product (what a processor's dot product of bf16 takes). The left operand of a product is read a word at a
 * time, from anywhere; the right one a line of columns at a time: words[k][columns]. What a product leaves,
 * scores[keys, TILES_QUERIES], is after the pass over it the left operand of the next products as it lies,
 * once row by row and once column by column. So nothing is laid out again between the products of a tile.
 *
 * All on the calling thread alone; matrices are dense if no stride is given, their rows start at words.
 */
#ifndef MPILORA_MATH_TILES_H
#define MPILORA_MATH_TILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "math/kern.h"

enum {
    TILES_QUERIES = 64, /* of a tile */
    TILES_LINE = 16     /* columns and rows of operands come in multiples of so many words, but for keys */
};

/* Word k of row m lies at words[m * row + k * word]. */
struct tiles_left {
    const void *words;
    size_t row, word;
};

/* What is computed of scores[keys, TILES_QUERIES]; keys is even. Query i is number first + (row + i) / heads,
 * counted from the tile's first key, and sees the keys up to that one. */
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
    /* x[rows, columns] as a right operand: words[rows / word_elements][columns], at `place` or, if it lies so
     * already, x itself. */
    const void *(*lines)(void *place, const void *x, size_t rows, size_t columns);
    /* As kern_typed.attend_softmax, of transposed scores; probs are words[keys /
     * word_elements][TILES_QUERIES] and for f32 may be scores. */
    void (*softmax)(void *probs, const float *scores, float *max, float *sum, float *out, size_t head_dim,
                    const struct tiles_part *part);
    /* As kern_typed.attend_gradient; words = dscores once more as words[keys / word_elements][TILES_QUERIES],
     * which for f32 is dscores itself and is not written. */
    void (*gradient)(void *probs, void *dscores, void *words, const float *scores, const float *dprobs,
                     const float *log2_sum, const float *delta, const struct tiles_part *part);
};

extern const struct tiles tiles_reference_f32, tiles_reference_bf16;

/* The kernels that go with a table of vector kernels, for DTYPE_F32 or DTYPE_BF16; NULL where attention's
 * products are left to the matrix library: on processors without AVX-512 or, for bf16, without its dot
 * product, and for bf16 on those with AMX, which the library uses. */
const struct tiles *tiles_for(const struct kern *kern, enum dtype type);

#endif
