/*
 * A tap on the forward pass: measures how large A x, s B A x and W x are (s is the scaling), for every adapted
 * module, on some rows of a pack. While a model has a tap, each forward pass adds to its sums. A tap changes no
 * result.
 */
#ifndef MPILORA_MODEL_TAP_H
#define MPILORA_MODEL_TAP_H

#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"
#include "model/model.h"

/* Rows of each product that are measured, evenly spread over the pack: enough for a mean, and cheap. */
#define MODEL_TAP_ROWS 32

struct model_tap_sums {
    double ax, bax, wx; /* sums of squares */
    size_t rows;
};

struct model_tap {
    const struct model *model;
    struct model_tap_sums *sums; /* [modules of the adapter] */
    float *x, *low, *y;          /* memory for MODEL_TAP_ROWS rows */
    float *weight;               /* memory for as many rows of a matrix */
    struct arena arena;
};

/* Opens a tap for the model's adapter, m->lora. */
enum err_code model_tap_open(struct model_tap *t, const struct model *m, struct err *e);
void model_tap_close(struct model_tap *t);
void model_tap_clear(struct model_tap *t);

/* Called by the forward pass with the input x[n, in] of a group of linear layers, before dropout, in the
 * model's compute dtype. */
void model_tap_add(struct model_tap *t, size_t layer, enum linear_group g, const void *x, size_t n);

#endif
