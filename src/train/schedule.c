#include "train/schedule.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>

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

enum err_code schedule_check(const struct schedule *s, struct err *e)
{
    if (s->warmup > s->total)
        return err_set(e, ERR_USAGE,
                       "--warmup-steps %" PRIu64 " is more than the %" PRIu64
                       " steps of the whole run: lower it "
                       "or train longer",
                       s->warmup, s->total);
    return ERR_OK;
}

double schedule_rate(const struct schedule *s, uint64_t step)
{
    if (step < s->warmup)
        return s->peak * ((double)step + 1) / (double)s->warmup;
    if (step >= s->total)
        return s->peak * shapes[s->shape](1);
    double progress = (double)(step - s->warmup) / (double)(s->total - s->warmup);
    return s->peak * shapes[s->shape](progress);
}
