/*
 * The base's weights in memory, f32, laid out for the step: q, k, v rows together and gate, up rows together,
 * so that one matrix product serves each. Everything is expanded once, by all threads; the store may be
 * closed afterwards. What was loaded is never written to: a matrix that is to change is copied first.
 */
#ifndef MPILORA_MODEL_WEIGHTS_H
#define MPILORA_MODEL_WEIGHTS_H

#include <stdbool.h>

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

/* Memory for the weights that the caller owns: several processes that map the same have one base between
 * them. */
struct weights_place {
    void *memory; /* weights_size() bytes, aligned to ARENA_ALIGN */
    bool filled;  /* by another process, from the same store: nothing is converted or written here */
};

struct weights {
    struct arena arena;
    size_t placed;                /* bytes that lie in the caller's memory */
    const float *embedding;       /* [V, D] */
    const float *head;            /* [V, D]; == embedding when tied */
    const float *norm;            /* [D] final */
    struct layer_weights *layers; /* [layer_count] */
    size_t layer_count;
    /* The base of the file beside matrices that were changed in memory; NULL before the first change. */
    struct arena changed;
    struct layer_weights *file_layers;
    const float *file_head;
};

/* Finds, checks and converts every tensor. Missing, surplus (unknown names) or misshapen tensors and
 * non-finite values are errors that name file and tensor. */
enum err_code weights_load(struct weights *w, const struct arch *a, const struct store *store, struct err *e);
/* The same in memory of the caller's, which must stay until the release; NULL: in memory of its own. */
enum err_code weights_load_at(struct weights *w, const struct arch *a, const struct store *store,
                              const struct weights_place *place, struct err *e);
/* Bytes of all weights; ERR_MEMORY when that is more than can be addressed. */
enum err_code weights_size(size_t *bytes, const struct arch *a, struct err *e);
void weights_release(struct weights *w);

/* W [out, in] of a linear layer as it is used, and as the file has it. */
const float *weights_matrix(const struct weights *w, const struct arch *a, size_t layer, enum linear linear);
const float *weights_file_matrix(const struct weights *w, const struct arch *a, size_t layer,
                                 enum linear linear);

/* The same to be written to: from now on a copy is used in the place of what was loaded. */
enum err_code weights_change(float **matrix, struct weights *w, const struct arch *a, size_t layer,
                             enum linear linear, struct err *e);
/* Back to what was loaded. */
void weights_restore(struct weights *w);

#endif
