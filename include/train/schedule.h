/*
 * The learning rate of each step.
 */
#ifndef MPILORA_TRAIN_SCHEDULE_H
#define MPILORA_TRAIN_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "run/options.h"

struct schedule {
    enum option_lr_schedule shape;
    double peak, end;       /* the highest learning rate, and the one at the end */
    double warmup;          /* number of steps, or a share of them (opt_amount()) */
    uint64_t total;         /* steps */
};

/* Number of steps of the warmup. */
uint64_t schedule_warmup(const struct schedule *s);

/* ERR_USAGE if the warmup is longer than the run, or the end is above the peak. */
enum err_code schedule_check(const struct schedule *s, struct err *e);

/* Checks that a run whose first `step` steps had the learning rates of `then` may continue with `s`. If a
 * decreasing learning rate is stretched to another length, a line says so. If the run was finished, its learning
 * rate would go back up: ERR_MISMATCH with the possible choices, or only a warning if `allowed`. */
enum err_code schedule_go_on(const struct schedule *s, const struct schedule *then, uint64_t step, bool allowed,
                             struct err *e);

/* Learning rate of step `step`, counted from 0. With k = step:
 *   k < warmup  peak * (k + 1) / warmup: the warmup ends at the peak, and no step is spent at rate 0
 *   after it    end + (peak - end) * f, where with p = (k - warmup) / (total - warmup) f is 1 (constant), 1 - p
 *               (linear), (1 + cos(pi p)) / 2 (cosine)
 * The second part is what transformers' get_*_schedule_with_warmup return at step k. Their warmup is one step later
 * (k / warmup), so that their first step has a learning rate of 0. */
double schedule_rate(const struct schedule *s, uint64_t step);

#endif
