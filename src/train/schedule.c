#include "train/schedule.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>

#include "base/log.h"

static double constant_shape(double progress)
{
    (void)progress;
    return 1;
}

static double linear_shape(double progress)
{
    return 1 - progress;
}

static double cosine_shape(double progress)
{
    return 0.5 * (1 + cos(M_PI * progress));
}

static double (*const shapes[])(double progress) = {
    [SCHEDULE_CONSTANT] = constant_shape, [SCHEDULE_LINEAR] = linear_shape, [SCHEDULE_COSINE] = cosine_shape};

uint64_t schedule_warmup(const struct schedule *s)
{
    return opt_amount(s->warmup, s->total);
}

enum err_code schedule_check(const struct schedule *s, struct err *e)
{
    const uint64_t warmup = schedule_warmup(s);
    if (warmup > s->total)
        return err_set(e, ERR_USAGE,
                       "--warmup-steps %" PRIu64 " is more than the %" PRIu64
                       " steps of the whole run: lower it "
                       "or train longer",
                       warmup, s->total);
    if (s->end > s->peak)
        return err_set(e, ERR_USAGE, "--min-learning-rate %g is above --learning-rate %g", s->end, s->peak);
    return ERR_OK;
}

/* Exactly the peak where the shape is 1, and its product with the shape where the end is 0. */
static double rate_at(const struct schedule *s, double progress)
{
    double shape = shapes[s->shape](progress);
    return shape < 1 ? s->end + (s->peak - s->end) * shape : s->peak;
}

enum err_code schedule_go_on(const struct schedule *s, const struct schedule *then, uint64_t step, bool allowed,
                             struct err *e)
{
    if (step >= s->total || s->total == then->total || s->shape == SCHEDULE_CONSTANT)
        return ERR_OK;
    const double next = schedule_rate(s, step), last = schedule_rate(then, step - 1);
    if (step >= then->total && next <= last)
        return ERR_OK;
    if (step < then->total)
        log_note("the end moves from step %" PRIu64 " to %" PRIu64
                 ", and the learning rate with it: step %" PRIu64 " has %.3g, not %.3g",
                 then->total, s->total, step + 1, next, schedule_rate(then, step));
    else if (allowed)
        log_warn("the learning rate goes back up: it went down to %.3g in the %" PRIu64
                 " steps that this run was to have, and is %.3g at step %" PRIu64 " of %" PRIu64,
                 last, step, next, step + 1, s->total);
    else
        return err_set(e, ERR_MISMATCH,
                       "this run was finished with its %" PRIu64
                       " steps, in which the learning rate went down to %.3g; as one of %" PRIu64
                       " steps it would go back up to %.3g. Say which is meant: --lr-schedule constant "
                       "--learning-rate X for further steps at the rate X, or --allow-changed-options for a rate that "
                       "goes back up",
                       step, last, s->total, next);
    return ERR_OK;
}

double schedule_rate(const struct schedule *s, uint64_t step)
{
    const uint64_t warmup = schedule_warmup(s);
    if (step < warmup)
        return s->peak * ((double)step + 1) / (double)warmup;
    if (step >= s->total)
        return rate_at(s, 1);
    return rate_at(s, (double)(step - warmup) / (double)(s->total - warmup));
}
