/*
 * The conversion of tensors that have been found and given their places. Internal to weights_load.c.
 */
#ifndef MPILORA_MODEL_WEIGHTS_CONVERT_H
#define MPILORA_MODEL_WEIGHTS_CONVERT_H

#include "io/store/store.h"
#include "math/convert.h"

/* What becomes of one tensor. */
struct task {
    const struct store_tensor *t;
    struct convert_matrix in;
    enum dtype type; /* to be converted to */
    float scale, offset; /* 0: none; each element, which is f32 then, becomes scale * it + offset */
    void *out;       /* NULL: it is looked at only */
    size_t rows_before, pieces_before, pieces_left;
};

/* Converts all of them, or only looks at them, on all threads; tensors that have been copied out of the file are
 * released in the store. ERR_NUMERIC names the first tensor with a value that is not finite. */
enum err_code weights_convert(struct task *tasks, size_t count, const struct store *store, struct err *e);

#endif
