#include "train/schedule.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

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

static const struct shape {
    const char *name;
    double (*value)(double progress);
} shapes[] = {{"constant", constant_shape}, {"linear", linear_shape}, {"cosine", cosine_shape}};

static const struct shape *find_shape(const char *name)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (strcmp(shapes[i].name, name) == 0)
            return &shapes[i];
    return NULL;
}

enum err_code schedule_check(const struct schedule *s, struct err *e)
{
    if (!find_shape(s->shape))
        return err_set(e, ERR_USAGE, "--lr-schedule %s is not known: constant, linear and cosine are",
                       s->shape);
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
        return s->peak * find_shape(s->shape)->value(1);
    double progress = (double)(step - s->warmup) / (double)(s->total - s->warmup);
    return s->peak * find_shape(s->shape)->value(progress);
}
