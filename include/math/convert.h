/*
 * Matrices of any element type expanded to f32, by all threads of the process.
 */
#ifndef MPILORA_MATH_CONVERT_H
#define MPILORA_MATH_CONVERT_H

#include <stddef.h>

#include "math/dtype.h"

struct convert_matrix {
    enum dtype type;
    const void *data; /* [rows, columns], rows of whole blocks */
    size_t rows, columns;
    /* 0: rows stay in order. Otherwise the rows of each head of this size are pairs (i of the first half, i
     * of the second half), as GGUF has the query and key rows of Llama models, and come out as two halves. */
    size_t interleaved_head;
};

/* out[rows, columns]. Returns the number of the first row (of `out`) that holds a NaN or an infinity, or
 * `rows`. */
size_t convert_to_f32(float *out, const struct convert_matrix *in);

#endif
