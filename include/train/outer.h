/*
 * Local steps, for networks that are too slow to send a gradient at every step (DiLoCo, Douillard et al. 2023,
 * there for whole models). Each rank updates its own copy of the adapter with its own share of each batch, and
 * every H steps the ranks make an outer step: the mean change of the copies is the gradient of an outer optimizer,
 * SGD with Nesterov momentum, which updates the adapter from which all ranks continue. Unlike DiLoCo, the ranks
 * also take the mean of AdamW's moments. So after an outer step all ranks have the same state: a checkpoint of it
 * is small, and a run can be resumed from it bit-identically on the same number of ranks, or continued on another
 * number.
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
    uint64_t every; /* H; 1: no local steps, and the other fields are unused */
    double learning_rate, momentum;
    float *start; /* [layout.size] the values after the last outer step */
    float *grads; /* [layout.size] gradient of this rank's local step */
};

enum err_code outer_init(struct outer *o, uint64_t every, double learning_rate, double momentum,
                         const struct lora_layout *l, struct arena *a, struct err *e);

/* Sets the array for the gradient of this rank's next step to zero and returns it. */
const float *outer_clear_grads(struct outer *o, const struct lora_layout *l);

/* Says that all ranks now have these values. */
void outer_begin(struct outer *o, const struct lora *l);

/* The number of the step after which the last outer step before `step` (from 1) was made; `step` - 1 without local
 * steps. */
uint64_t outer_last_meeting(const struct outer *o, uint64_t step);
/* Is there an outer step after this step, in a run of `total` steps? */
bool outer_meets(const struct outer *o, uint64_t step, uint64_t total);

/* Collective. Does the outer step: afterwards values and moments are the same on all ranks. `moments` must have all
 * three arrays; no reduction may be in progress on `r`. */
enum err_code outer_step(struct outer *o, struct lora *l, struct lora_moments *moments, struct reduce *r,
                         struct err *e);

#endif
