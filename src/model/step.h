/*
 * One pass over a pack: the data and functions that linear.c and the parts share. Internal to the model.
 */
#ifndef MPILORA_MODEL_STEP_H
#define MPILORA_MODEL_STEP_H

#include "acts.h"
#include "math/attention.h"
#include "math/kern.h"

/* The search for the first value that is not finite. */
struct trace {
    bool found;
    char what[ARCH_PATH_SIZE];
    size_t row; /* its token in the pack */
};

struct step;

/* Another implementation of attention: from the rotated q, k, v of a layer, writes its `attention`. */
struct step_attention {
    void (*forward)(void *context, const struct step *s, size_t layer);
    void *context;
};

struct step {
    const struct model *m;
    const struct acts *acts;
    const struct lora *lora;          /* NULL: the base alone */
    const struct lora_layout *layout; /* that of `lora`, or NULL */
    const void *adapter;              /* params of `lora`, of type real */
    const struct model_grads *grads;  /* NULL: a forward pass only */
    enum dtype type;                  /* of real */
    const struct kern *kern;
    const struct kern_typed *real;
    const struct model_input *in;
    const double *weights;               /* [examples] of their losses; NULL: all 1 */
    const int32_t *turns;                /* [n] row of cos and sin for each token: its position, or that row of
                                          * rotation 1 */
    struct attention_shape attention;    /* without the properties of a layer's kind: see step_attention() */
    const struct step_attention *attend; /* NULL: attention within each example of the pack */
    bool dropout;
    bool recompute;      /* backward is repeating a part of the forward pass */
    struct trace *trace; /* NULL: no search */
};

/* The rows that a linear layer computes; samples and positions are the keys of the dropout masks. */
struct step_rows {
    size_t n;
    const uint64_t *samples;
    const int32_t *positions;
};
/* All tokens of the pack. */
struct step_rows step_rows(const struct step *s);

/* Tokens of another example that an example begins with. */
static inline uint32_t step_prefix(const struct model_input *in, size_t example)
{
    return in->prefixes ? in->prefixes[example] : 0;
}

/* The attention of a layer, by its kind. */
struct attention_shape step_attention(const struct step *s, size_t layer);

/* Sets up a pass; ERR_MISMATCH if the pack does not fit the vocabulary or the plan. */
enum err_code step_begin(struct step *s, const struct model *m, const struct acts *acts,
                         const struct model_input *in, const struct model_grads *grads, struct err *e);

/* Says that the pack's gradient of a layer is complete. */
void step_grads_ready(const struct step *s, size_t layer);

/* With a trace that has found nothing yet: searches columns [0, columns) of x[n, ld] of this type for NaN and
 * infinity. `what` is the path of the module whose output x is. */
void step_check(const struct step *s, enum dtype type, const void *x, size_t ld, size_t n, size_t columns,
                const char *what);

/* The address of element `count` of an array of type real. */
const void *step_at(const struct step *s, const void *reals, size_t count);

#endif
