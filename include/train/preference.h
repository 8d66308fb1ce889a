/*
 * Preference training: applies an objective (model/objective.h) to the packs of batches of pairs. For each pack it
 * gives the weights of the backward pass, and sums that are added up over packs and ranks (train/tally.h); from these
 * follow the loss and the rewards of a batch.
 *
 * In a pack, examples 2 i and 2 i + 1 are the chosen and the rejected side of a pair (data/examples/pack.h).
 */
#ifndef MPILORA_TRAIN_PREFERENCE_H
#define MPILORA_TRAIN_PREFERENCE_H

#include "data/examples/batcher.h"
#include "model/model.h"
#include "model/objective.h"
#include "run/metrics.h"
#include "run/options.h"

/* Of the pairs of a pack: losses, log-probabilities of what the likelihood counts, rewards, and how often the chosen
 * answer's is higher. */
enum preference_sum {
    PREFERENCE_LOSS,
    PREFERENCE_LIKELIHOOD,
    PREFERENCE_CHOSEN_REWARD,
    PREFERENCE_REJECTED_REWARD,
    PREFERENCE_RIGHT,
    PREFERENCE_SUMS
};

struct preference {
    struct objective objective;
    struct objective_batch batch;  /* what loss and rewards are means over */
    struct objective_batch weighed; /* what the weights are of: `batch`, unless the caller sets it to a rank's share */
    const double *reference; /* [2 * examples of the data set] (train/reference.h); NULL: the objective needs none */
    struct model_weigher weigher;
    const struct batcher *batcher; /* of the present batch */
    const uint32_t *pairs;         /* of the present pack: their places in the batch */
    struct model_input in;         /* the present pack */
    double sums[PREFERENCE_SUMS];  /* of the present pack */
};

/* The sums that a tally needs for this objective: none for supervised fine-tuning. */
size_t preference_sums(enum objective_kind kind);

/* Sets the objective. With supervised fine-tuning there is nothing to apply, and preference_input() changes nothing.
 * *p must not be moved between preference_input() and the step. */
void preference_init(struct preference *p, const struct objective *objective);

/* The batch that `b` has planned begins. */
void preference_begin(struct preference *p, const struct batcher *b);

/* The input of model_step_grad() for a pack: `in` with weights, for loss_scale 1. */
struct model_input preference_input(struct preference *p, size_t pack, const struct model_input *in);

/* After such a step: the sums [PREFERENCE_SUMS] of the pack. They belong to *p. */
const double *preference_sums_of(struct preference *p, const struct model_result *result);

/* The same from the log-probabilities and the result that model_evaluate() gives. */
const double *preference_measure(struct preference *p, size_t pack, const struct model_input *in,
                                 const double *log_prob, const struct model_result *result);

/* Returns the loss and sets the rewards of the batch p->batch, from its total sums. */
double preference_finish(struct metrics_rewards *rewards, const struct preference *p, const double *totals);

#endif
