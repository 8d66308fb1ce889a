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
    double peak, end;       /* rates: the highest, and what the shape ends at */
    double warmup;          /* steps, or a share of them (opt_amount()) */
    uint64_t total;         /* steps */
};

/* Steps of the warmup. */
uint64_t schedule_warmup(const struct schedule *s);

/* ERR_USAGE when the warmup is longer than the run, or the end above the peak. */
enum err_code schedule_check(const struct schedule *s, struct err *e);

/* A run whose steps so far had the rates of `then` goes on after `step` of them with `s`. Where a rate that goes down
 * to 0 is stretched over another length, that is said. One that has got there, since that run was over, would go back
 * up: ERR_MISMATCH with the choices, or a warning if that is `allowed`. */
enum err_code schedule_go_on(const struct schedule *s, const struct schedule *then, uint64_t step, bool allowed,
                             struct err *e);

/* Learning rate of step `step`, counted from 0. With k = step:
 *   k < warmup  peak * (k + 1) / warmup: the warmup ends at the peak, and no step is spent at rate 0
 *   after it    end + (peak - end) * f, where with p = (k - warmup) / (total - warmup) f is 1 (constant), 1 - p
 *               (linear), (1 + cos(pi p)) / 2 (cosine)
 * The second part is what transformers' get_*_schedule_with_warmup give at step k; their warmup is one step
 * behind (k / warmup), so that their first step changes nothing. */
double schedule_rate(const struct schedule *s, uint64_t step);

#endif
