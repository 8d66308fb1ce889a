/*
 * Local steps, for networks too slow for a gradient every step: each rank steps its own copy of the adapter
 * by its own share of each batch, and every H steps the ranks meet. What the copies have changed by, on
 * average, is the gradient of an outer optimizer, SGD with Nesterov's momentum, that steps the adapter they
 * all go on from (DiLoCo, Douillard et al. 2023, there for whole models). Here the means of AdamW's moments
 * are taken along as well: what the ranks have when they have met is then one state, so that a checkpoint of
 * it is small, and a run can go on from it to the bit on the same number of ranks, or on another.
 */
#ifndef MPILORA_TRAIN_OUTER_H
#define MPILORA_TRAIN_OUTER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "model/lora.h"
#include "ranks/reduce.h"

struct outer {
    uint64_t every; /* H; 1: no local steps, and nothing below */
    double learning_rate, momentum;
    float *start; /* [layout.size] the values that the ranks last met with */
    float *grads; /* [layout.size] of a rank's local step */
};

enum err_code outer_init(struct outer *o, uint64_t every, double learning_rate, double momentum,
                         const struct lora_layout *l, struct arena *a, struct err *e);

/* Zeros for the gradient of a rank's next step, which is added up there. */
const float *outer_clear_grads(struct outer *o, const struct lora_layout *l);

/* The ranks' values are equal now, and these. */
void outer_begin(struct outer *o, const struct lora *l);

/* The step, from 1, before which the ranks last met: `step` - 1 without local steps. */
uint64_t outer_last_meeting(const struct outer *o, uint64_t step);
/* Do they meet at the end of this step, of `total` in the run? */
bool outer_meets(const struct outer *o, uint64_t step, uint64_t total);

/* Collective. The outer step: values and moments, of which there are all three, are the same on all ranks
 * afterwards. `r` is idle. */
enum err_code outer_step(struct outer *o, struct lora *l, struct lora_moments *moments, struct reduce *r,
                         struct err *e);

#endif
