/*
 * Matrices of any element type on disk as f32 or bf16 (rounded to nearest even).
 */
#ifndef MPILORA_MATH_CONVERT_H
#define MPILORA_MATH_CONVERT_H

#include <stdbool.h>
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

/* Rows first .. first + count - 1 as `to`, to out[count, columns], on the calling thread. */
void convert_rows(void *out, enum dtype to, const struct convert_matrix *in, size_t first, size_t count);

/* The same; returns the number of the first of these rows that holds a NaN or an infinity as `to`, or
 * first + count. `out` may be NULL: they are looked at only. */
size_t convert_rows_checked(void *out, enum dtype to, const struct convert_matrix *in, size_t first,
                            size_t count);

/* All rows, by all threads of the process. */
void convert_all(void *out, enum dtype to, const struct convert_matrix *in);

/* The matrix needs no conversion: its data are its rows as `to`. */
bool convert_is_copy(enum dtype to, const struct convert_matrix *in);

/* The same for numbers in memory, f32 from and to `type` (DTYPE_F32 or DTYPE_BF16), on the calling thread. */
void convert_from_f32(void *out, enum dtype type, const float *in, size_t count);

#endif
