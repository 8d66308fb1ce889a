/*
 * Decides which steps to skip: those with a loss or gradient that is not finite, and those with a loss far above
 * the previous ones. The decision is the same on any number of ranks, because it is made from sums that are, and in
 * a resumed run, because checkpoints contain the state.
 */
#ifndef MPILORA_RUN_GUARD_H
#define MPILORA_RUN_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* Mean and variance are exponential averages over about GUARD_WINDOW losses; they are used only after GUARD_TRUSTED
 * losses. */
#define GUARD_WINDOW  50
#define GUARD_TRUSTED 20

/* All zero at the start of a run. */
struct guard {
    uint64_t nonfinite, spikes; /* steps skipped in the whole run */
    uint64_t losses;            /* number of losses so far */
    double mean, variance;
};

struct guard_options {
    uint64_t nonfinite_max; /* --skip-nonfinite */
    double spike_sigma;     /* --spike-sigma; 0: off */
};

/* The number of steps that were not skipped, of `step` steps in all: AdamW's step count. */
uint64_t guard_steps_taken(const struct guard *g, uint64_t step);

/* A step has failed with `code` and `e`. Returns ERR_OK, after a warning, if the step is to be skipped; otherwise
 * `code`. */
enum err_code guard_forgive(struct guard *g, const struct guard_options *o, enum err_code code,
                            struct err *e);

/* Is the loss of this step, before its update, a spike? Prints a warning if it is. A spike enters the averages as
 * if it were exactly at the limit: one spike hardly changes them, but they follow a lasting change. */
bool guard_is_spike(struct guard *g, const struct guard_options *o, uint64_t step, double loss);

#endif
