/*
 * One pass over a pack: what its functions share, the ground that linear.c and the parts stand on. Internal to
 * the model.
 */
#ifndef MPILORA_MODEL_STEP_H
#define MPILORA_MODEL_STEP_H

#include "acts.h"
#include "math/attention.h"
#include "math/kern.h"

/* The search for the first tensor that is not finite. */
struct trace {
    bool found;
    char what[ARCH_PATH_SIZE];
    size_t row; /* of the pack */
};

struct step;

/* Attention of its own: given q, k, v of a layer, rotated, writes its `attention`. */
struct step_attention {
    void (*forward)(void *context, const struct step *s, size_t layer);
    void *context;
};

struct step {
    const struct model *m;
    const struct acts *acts;
    const struct lora *lora;          /* NULL: the base alone */
    const struct lora_layout *layout; /* its own, or NULL */
    const void *adapter;              /* its params in reals */
    const struct model_grads *grads;  /* NULL: a forward pass only */
    enum dtype type;                  /* of reals */
    const struct kern *kern;
    const struct kern_typed *real;
    const struct model_input *in;
    const int32_t *turns;                /* [n] rows of a layer's cos and sin: the positions, or more */
    struct attention_shape attention;    /* but for what a layer's kind says: step_attention() */
    const struct step_attention *attend; /* NULL: each example of the pack to itself */
    bool dropout;
    bool recompute;      /* backward goes through a part of the forward pass once more */
    struct trace *trace; /* NULL: nothing is searched */
};

/* The rows that a linear layer works on; samples and positions key the dropout masks. */
struct step_rows {
    size_t n;
    const uint64_t *samples;
    const int32_t *positions;
};
/* All tokens of the pack. */
struct step_rows step_rows(const struct step *s);

/* The attention of a layer, by its kind. */
struct attention_shape step_attention(const struct step *s, size_t layer);

/* Checks the pack against vocabulary and plan. */
enum err_code step_begin(struct step *s, const struct model *m, const struct acts *acts,
                         const struct model_input *in, const struct model_grads *grads, struct err *e);

/* The pack has given all that it adds to a layer's gradients. */
void step_grads_ready(const struct step *s, size_t layer);

/* With a trace, and nothing found before: looks for NaN and infinity in x[n, ld] of this type, columns
 * [0, columns). `what` is the path of the module whose output x is. */
void step_check(const struct step *s, enum dtype type, const void *x, size_t ld, size_t n, size_t columns,
                const char *what);

/* An array of reals, moved on by `count` of them. */
const void *step_at(const struct step *s, const void *reals, size_t count);

#endif
