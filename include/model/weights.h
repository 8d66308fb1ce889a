/*
 * The base's weights in memory, f32, laid out for the step: q, k, v rows together and gate, up rows together, so that
 * one matrix product serves each. Tensors that are f32 already and lie alone in the file could stay mapped; the rest
 * is expanded once, by all threads. The base is never written to.
 */
#ifndef MPILORA_MODEL_WEIGHTS_H
#define MPILORA_MODEL_WEIGHTS_H

#include "base/arena.h"
#include "base/err.h"
#include "io/store.h"
#include "model/arch.h"

struct layer_weights {
    const float *norm[2];            /* [D] before attention, before the MLP */
    const float *weight[GROUP_COUNT]; /* [rows of the group, columns], row-major */
    const float *bias[GROUP_COUNT];  /* [rows of the group] or NULL */
};

struct weights {
    struct arena arena;
    const float *embedding; /* [V, D] */
    const float *head;      /* [V, D]; == embedding when tied */
    const float *head_bias; /* NULL */
    const float *norm;      /* [D] final */
    struct layer_weights *layers;
};

/* Rows of a group's output, and where a linear's rows start in it. */
size_t weights_group_rows(const struct arch *a, enum linear_group g);
size_t weights_row_offset(const struct arch *a, enum linear l);

/* Finds, checks and converts every tensor. Missing, surplus (unknown names) or misshapen tensors and non-finite values are errors that
 * name file and tensor. */
enum err_code weights_load(struct weights *w, const struct arch *a, const struct store *store, struct err *e);
void weights_release(struct weights *w);

#endif
