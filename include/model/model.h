/*
 * The model: base, adapter and the memory of a step. Forward and backward over one pack; gradients of A and B
 * only. Knows no ranks, files or options.
 */
#ifndef MPILORA_MODEL_MODEL_H
#define MPILORA_MODEL_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "model/arch.h"
#include "model/lora.h"
#include "model/weights.h"

struct acts; /* planned memory of a step; internal to the model */
struct model_tap;

struct model {
    struct arch arch;
    struct weights weights;
    struct lora *lora;     /* NULL: the base alone. Owned by the caller, may be swapped between calls */
    float *inv_freq;       /* [rotations, rotated / 2] */
    struct acts *acts;     /* NULL before model_plan_memory() */
    struct model_tap *tap; /* NULL: nothing is looked at (model/tap.h) */
    struct arena arena;
};

/* One pack as the model sees it: whole examples end to end (the arrays are the data layer's, borrowed). */
struct model_input {
    const int32_t *tokens;     /* [n], each < vocab */
    const int32_t *positions;  /* [n], restarting at 0 with each example */
    const uint8_t *supervised; /* [n]; never the first token of an example */
    const uint32_t *offsets;   /* [examples + 1] */
    const uint64_t *samples;   /* [examples] keys of dropout */
    const double *weights;     /* [examples] of their losses in the gradient; NULL: all 1 */
    size_t n, examples;
};

/* Where the gradients of a pack go. */
struct model_grads {
    float *values; /* [lora->layout.size] what the pack gives is added to them */
    /* NULL, or called when the pack has given all that it adds to a layer's (lora_layer_range): first
     * lm_head's (layer == arch.layers), then from the last layer down to the lowest adapted one. */
    void (*ready)(void *context, size_t layer);
    void *context;
};

struct model_result {
    double loss_sum; /* over supervised tokens, neither normalised nor weighted */
    uint64_t supervised;
    uint64_t correct; /* supervised tokens that are the argmax */
    uint64_t exact;   /* examples all of whose supervised tokens are (and that have one) */
    size_t
        first_nonfinite; /* first example of the pack whose loss is NaN or infinite; == in->examples: none */
};

/* The store must stay open until the release. */
enum err_code model_load(struct model *m, const struct store *store, const struct weights_options *o,
                         struct err *e);
/* The same with the weights in memory of the caller's (model/weights.h), which must be there until the
 * release. */
enum err_code model_load_at(struct model *m, const struct store *store, const struct weights_options *o,
                            const struct weights_place *place, struct err *e);
void model_release(struct model *m); /* a zeroed model is fine */

/* Sizes and allocates all memory for packs of up to `tokens` tokens and `examples` examples of up to
 * `longest` tokens; backward's share only with `train`, for the adapter that m->lora is then (or one of no
 * higher ranks and no lower layers). May be called again with other sizes. Afterwards no call below
 * allocates. */
enum model_recompute {
    RECOMPUTE_NONE,      /* backward finds all that it needs in memory */
    RECOMPUTE_ATTENTION, /* it recomputes q, k, v and attention from the kept input of the block */
    RECOMPUTE_LAYER      /* the whole block: only its input is kept */
};
struct model_plan {
    size_t tokens, examples, longest;
    int threads;
    bool train;
    enum model_recompute
        recompute; /* f32 has the same bits in all modes; bf16 recomputes from rounded inputs */
};
enum err_code model_plan_memory(struct model *m, const struct model_plan *plan, struct err *e);
size_t model_memory_weights(const struct model *m);
size_t model_memory_acts(const struct model *m);
/* Rows of logits that are made at a time; memory is planned. */
size_t model_head_rows(const struct model *m);

/* For all calls below: ERR_MISMATCH when tokens are outside of the vocabulary, or the pack or adapter is
 * larger than planned. ERR_NUMERIC when the loss is not finite: the message names the first tensor that was
 * not, found by running the pack again, result->first_nonfinite the example. */

/* What is wanted of each example: arrays [examples] of the caller's, or NULL. */
struct model_each {
    double *log_prob; /* sum of the log-probabilities of its supervised tokens */
    uint8_t *exact;   /* 1 for an example that counts in result->exact */
};

/* Adds the gradient of loss_scale * sum of weight * loss over the examples, the loss of one being the sum of
 * cross-entropy over its supervised tokens, to grads->values (after ERR_NUMERIC their content is undefined);
 * nothing with loss_scale 0, for losses alone. With dropout, the masks are functions of (lora->seed, module
 * path, sample, position, column) alone. `each` may be NULL. */
enum err_code model_step_grad(struct model *m, const struct model_input *in, double loss_scale,
                              const struct model_grads *grads, struct model_result *result,
                              const struct model_each *each, struct err *e);

/* Loss, accuracy and exact match without gradients and without dropout. `each` may be NULL. */
enum err_code model_evaluate(struct model *m, const struct model_input *in, struct model_result *result,
                             const struct model_each *each, struct err *e);

/* Logits of every token of the pack, no dropout: logits[n, V]. `supervised` and `samples` may be NULL. */
enum err_code model_logits(struct model *m, const struct model_input *in, float *logits, struct err *e);

#endif
