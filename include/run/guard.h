/*
 * Steps that are better skipped: a loss or gradient that is not finite, a loss far above those before it. The
 * same on any number of ranks, since it is decided from sums that are; and across a resume, since what is
 * remembered is in the checkpoint.
 */
#ifndef MPILORA_RUN_GUARD_H
#define MPILORA_RUN_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* Mean and variance look back over an exponential window of about this many losses, and are not trusted
 * before so many. */
#define GUARD_WINDOW  50
#define GUARD_TRUSTED 20

/* All zero at the start of a run. */
struct guard {
    uint64_t nonfinite, spikes; /* steps skipped in the whole run */
    uint64_t losses;            /* seen */
    double mean, variance;
};

struct guard_options {
    uint64_t nonfinite_max; /* --skip-nonfinite */
    double spike_sigma;     /* --spike-sigma; 0: off */
};

/* The steps that took part in the optimizer's moments, of `step` in all. */
uint64_t guard_steps_taken(const struct guard *g, uint64_t step);

/* A step has failed with `code` and `e`: ERR_OK, with a warning, if that is to be skipped. */
enum err_code guard_forgive(struct guard *g, const struct guard_options *o, enum err_code code,
                            struct err *e);

/* The loss of a step, before its update: is it a spike? Then it was warned of. The window takes a spike as if
 * it had been at the limit: one hardly moves it, a lasting change gets through. */
bool guard_is_spike(struct guard *g, const struct guard_options *o, uint64_t step, double loss);

#endif
