/*
 * Converts matrices of any element type that files have to f32 or bf16 (rounded to nearest even). The functions
 * neither allocate nor fail.
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
    /* 0: rows stay in order. Otherwise the number of rows of a head whose two halves are interleaved: row i of the
     * first half is followed by row i of the second half, as in GGUF files for q and k of Llama models. The result
     * has the first half, then the second. */
    size_t interleaved_head;
    /* No heads: rows stay in order. Otherwise they are those of all query heads, all key heads and all value heads, and
     * come out key head by key head: its queries, its key, its value. */
    struct convert_heads {
        size_t queries, keys, size;
    } sorted;
    bool transposed; /* the data are [columns, rows], of a type whose blocks have one element; rows stay in order */
};

/* Converts rows first .. first + count - 1 to the type `to`, into out[count, columns], on the calling thread. */
void convert_rows(void *out, enum dtype to, const struct convert_matrix *in, size_t first, size_t count);

/* The same; returns the number of the first of these rows that has a NaN or an infinity after conversion, or first
 * + count if none has. `out` may be NULL: then the rows are only checked. */
size_t convert_rows_checked(void *out, enum dtype to, const struct convert_matrix *in, size_t first,
                            size_t count);

/* The other way round: puts rows first .. first + count - 1, [count, in->columns] of the type `to`, where they belong
 * in a matrix `out` of that type, all rows and columns in the order of in->data. `to` has one element a block. */
void convert_put_rows(void *out, enum dtype to, const struct convert_matrix *in, size_t first, size_t count,
                      const void *rows);

/* Converts all rows, on all threads of the process. */
void convert_all(void *out, enum dtype to, const struct convert_matrix *in);

/* Does the matrix need no conversion, because its data already are its rows in type `to`? */
bool convert_is_copy(enum dtype to, const struct convert_matrix *in);

/* Converts f32 numbers in memory to `type` (DTYPE_F32 or DTYPE_BF16), on the calling thread. */
void convert_from_f32(void *out, enum dtype type, const float *in, size_t count);

#endif
