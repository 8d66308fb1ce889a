/*
 * The base's weights in memory, f32, laid out for the step: q, k, v rows together and gate, up rows together,
 * so that one matrix product serves each. Everything is expanded once, by all threads; the store may be
 * closed afterwards. The base is never written to.
 */
#ifndef MPILORA_MODEL_WEIGHTS_H
#define MPILORA_MODEL_WEIGHTS_H

#include "base/arena.h"
#include "base/err.h"
#include "io/store.h"
#include "model/arch.h"

enum block_norm { NORM_ATTENTION, NORM_MLP, NORM_COUNT };

struct layer_weights {
    const float *norm[NORM_COUNT];    /* [D] before attention, before the MLP */
    const float *weight[GROUP_COUNT]; /* [rows of the group, columns], row-major */
    const float *bias[GROUP_COUNT];   /* [rows of the group] or NULL */
};

struct weights {
    struct arena arena;
    const float *embedding; /* [V, D] */
    const float *head;      /* [V, D]; == embedding when tied */
    const float *norm;      /* [D] final */
    struct layer_weights *layers;
};

/* Finds, checks and converts every tensor. Missing, surplus (unknown names) or misshapen tensors and
 * non-finite values are errors that name file and tensor. */
enum err_code weights_load(struct weights *w, const struct arch *a, const struct store *store, struct err *e);
void weights_release(struct weights *w);

#endif
