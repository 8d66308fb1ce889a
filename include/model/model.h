/*
 * The model: base, adapter and the memory of a step; forward and backward over one pack. Only A and B get
 * gradients. This module knows no ranks and no options. The functions use all threads of the process and are called
 * from one thread.
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
    struct lora *lora;     /* NULL: the base alone. Owned by the caller, who may change it between calls */
    float *inv_freq;       /* [rotations, most rotated columns / 2] */
    struct acts *acts;     /* NULL before model_plan_memory() */
    struct model_tap *tap; /* NULL: nothing is measured (model/tap.h) */
    struct arena arena;
};

/* Weights that depend on what the model thinks of the examples, as an objective's do (model/objective.h): sets
 * weights[examples] from log_prob[examples], the sums of the log-probabilities of their tokens with MARK_ANSWER. */
struct model_weigher {
    void (*weigh)(void *context, double *weights, const double *log_prob);
    void *context;
};

/* One pack: whole examples laid end to end. The arrays belong to the caller.
 *
 * An example may begin with the first tokens of another, its prefix, which is then not laid down and computed a second
 * time: only the tokens after it are the example's own. What each token is computed from is the same with and without,
 * so the results are equal within rounding. */
struct model_input {
    const int32_t *tokens;     /* [n], each < vocab */
    const int32_t *positions;  /* [n] within the example: from 0, or from its prefix on */
    const uint8_t *supervised; /* [n] marks (base/mark.h); never a token that nothing stands before */
    const uint32_t *offsets;   /* [examples + 1] first own token of each example, then n */
    const uint32_t *prefixes;  /* [examples] that many first tokens of the last example before it without a prefix come
                                * before an example's own; NULL: none have a prefix */
    const uint64_t *samples;   /* [examples] keys of dropout */
    const double *weights;     /* [examples] weights of their losses in the gradient; NULL: all 1 */
    double likelihood;         /* the weight of tokens with MARK_LIKELIHOOD instead */
    const struct model_weigher *weigher; /* NULL, or sets the weights, at the price of computing the logits twice */
    size_t n, examples;
};

/* The destination of a pack's gradients. */
struct model_grads {
    float *values; /* [lora->layout.size]; the pack's gradient is added to them */
    /* NULL, or called when the pack's gradient of a layer (lora_layer_range) is complete: first lm_head's (layer ==
     * arch.layers), then from the last layer down to the lowest adapted one. */
    void (*ready)(void *context, size_t layer);
    void *context;
};

struct model_result {
    double loss_sum; /* over supervised tokens, neither normalised nor weighted */
    double likelihood; /* sum of the log-probabilities of tokens with MARK_LIKELIHOOD, which are supervised, too */
    uint64_t supervised;
    uint64_t correct; /* supervised tokens that have the largest logit */
    uint64_t exact;   /* examples with at least one supervised token whose supervised tokens are all correct */
    size_t
        first_nonfinite; /* index of the first example whose loss is NaN or infinite; == in->examples: none */
};

/* Reads the architecture and the weights; errors are those of arch_read() and weights_load(). The store must stay
 * open until model_release(). */
enum err_code model_load(struct model *m, const struct store *store, const struct weights_options *o,
                         struct err *e);
/* The same with the weights in memory of the caller (model/weights.h), which must be valid until
 * model_release(). */
enum err_code model_load_at(struct model *m, const struct store *store, const struct weights_options *o,
                            const struct weights_place *place, struct err *e);
void model_release(struct model *m); /* a zeroed model is fine */

/* Allocates all memory for packs of up to `tokens` tokens and `examples` examples of up to `longest` tokens, with
 * their prefixes, which together are up to `repeated` tokens; the memory for backward only with `train`, for the
 * adapter that is m->lora at that time (or one without higher ranks and lower layers). May be called again with other
 * sizes. After it, the calls below do not allocate. */
enum model_recompute {
    RECOMPUTE_NONE,      /* forward keeps everything that backward needs */
    RECOMPUTE_ATTENTION, /* backward recomputes q, k, v and attention from the input of the block */
    RECOMPUTE_LAYER      /* backward recomputes the whole block from its input */
};
struct model_plan {
    size_t tokens, repeated, examples, longest;
    int threads;
    bool train;
    enum model_recompute
        recompute; /* f32 gives the same bits in all modes; bf16 recomputes from rounded inputs */
};
enum err_code model_plan_memory(struct model *m, const struct model_plan *plan, struct err *e);
size_t model_memory_weights(const struct model *m);
size_t model_memory_acts(const struct model *m);
/* Number of rows of logits that are computed at a time; after model_plan_memory(). */
size_t model_head_rows(const struct model *m);

/* For all calls below: ERR_MISMATCH if tokens are outside of the vocabulary, the pack or the adapter is larger than
 * planned, or an example has a prefix that its model does not allow: where long examples have another rotation
 * (model/arch.h), both must be long, or both short. ERR_NUMERIC if the loss is not finite: the message names the first
 * tensor that is not finite (found by running the pack a second time), and result->first_nonfinite is the example. */

/* Results for each example: arrays [examples] of the caller, or NULL. */
struct model_each {
    double *log_prob; /* sum of the log-probabilities of its tokens with MARK_ANSWER */
    uint8_t *exact;   /* 1 for an example that counts in result->exact */
};

/* Computes the losses of a pack and adds to grads->values the gradient of loss_scale * (sum of weight * loss over
 * the examples), where the loss of an example is the sum of the cross-entropies of its supervised tokens; those with
 * MARK_LIKELIHOOD have their own weight. With
 * loss_scale 0 no gradient is computed. After ERR_NUMERIC the content of grads->values is undefined. The dropout
 * masks depend only on (lora->seed, module path, sample, position, column). `each` may be NULL. */
enum err_code model_step_grad(struct model *m, const struct model_input *in, double loss_scale,
                              const struct model_grads *grads, struct model_result *result,
                              const struct model_each *each, struct err *e);

/* Loss, accuracy and exact match without gradients and without dropout. `each` may be NULL. */
enum err_code model_evaluate(struct model *m, const struct model_input *in, struct model_result *result,
                             const struct model_each *each, struct err *e);

/* Logits of every token of the pack, no dropout: logits[n, V]. `supervised` and `samples` may be NULL. */
enum err_code model_logits(struct model *m, const struct model_input *in, float *logits, struct err *e);

#endif
