/*
 * Evaluates a model on a data set, over all ranks. The result has the same bits on any number of ranks.
 */
#ifndef MPILORA_TRAIN_EVALUATE_H
#define MPILORA_TRAIN_EVALUATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "data/examples/loader.h"
#include "train/preference.h"
#include "train/reference.h"
#include "train/session.h"
#include "train/tally.h"

struct evaluation {
    double loss;           /* mean over all supervised tokens */
    double perplexity;     /* exp(loss) */
    double token_accuracy; /* share of supervised tokens that have the largest logit */
    double exact_match;    /* share of examples for which this holds for all supervised tokens */
    uint64_t supervised_tokens, examples;
    bool prefers;                   /* with an objective for preferences, whose loss `loss` then is */
    struct metrics_rewards rewards; /* without one, zeros */
};

struct evaluator {
    struct session *session;
    struct arena arena;
    struct loader loader;
    struct tally tally;
    struct preference preference;
    double *log_prob; /* [examples of a pack], with an objective for preferences */
};

/* Collective. The data set must outlive the evaluator. After an error there is nothing to close. */
enum err_code evaluate_open(struct evaluator *v, struct session *s, const struct dataset *d, struct err *e);
void evaluate_close(struct evaluator *v); /* a zeroed one is fine */

/* Increases the plan to what the evaluation's packs need; the caller passes it to model_plan_memory(). */
void evaluate_plan(const struct evaluator *v, struct model_plan *plan);

/* Collective, after model_plan_memory(). Sets log_prob[2 * examples] to the reference's, which is the base, or what is
 * left of it and the adapter's start. The caller passes them on in v->preference.reference. */
enum err_code evaluate_reference(struct evaluator *v, double *log_prob, struct err *e);

/* Collective. One pass over the data. ERR_STOPPED if a rank wants to stop before the end; v->tally.stop says
 * why. */
enum err_code evaluate_run(struct evaluator *v, struct evaluation *out, struct err *e);

#endif
