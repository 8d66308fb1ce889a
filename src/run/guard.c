#include "run/guard.h"

#include <inttypes.h>
#include <math.h>

#include "base/log.h"

uint64_t guard_steps_taken(const struct guard *g, uint64_t step)
{
    return step - g->nonfinite - g->spikes;
}

enum err_code guard_forgive(struct guard *g, const struct guard_options *o, enum err_code code, struct err *e)
{
    if (code != ERR_NUMERIC || o->nonfinite_max == 0)
        return code;
    if (g->nonfinite >= o->nonfinite_max)
        return err_wrap(e, "the %" PRIu64 " steps that --skip-nonfinite allows are used up",
                        o->nonfinite_max);
    g->nonfinite++;
    log_warn("%s; skipped, %" PRIu64 " of %" PRIu64 " that --skip-nonfinite allows", e->message, g->nonfinite,
             o->nonfinite_max);
    return ERR_OK;
}

bool guard_is_spike(struct guard *g, const struct guard_options *o, uint64_t step, double loss)
{
    double limit = g->mean + o->spike_sigma * sqrt(g->variance);
    bool spike = o->spike_sigma > 0 && g->losses >= GUARD_TRUSTED && loss > limit;
    if (spike) {
        g->spikes++;
        log_warn("step %" PRIu64
                 ": the loss %.4f is more than %g standard deviations (%.4f) above the running mean "
                 "%.4f; skipped (--spike-sigma)",
                 step, loss, o->spike_sigma, sqrt(g->variance), g->mean);
        loss = limit;
    }
    /* The exponentially weighted mean and variance, as West (1979) updates them. */
    double weight = g->losses < GUARD_WINDOW ? 1 / (double)(g->losses + 1) : 1.0 / GUARD_WINDOW;
    double difference = loss - g->mean;
    g->mean += weight * difference;
    g->variance = (1 - weight) * (g->variance + weight * difference * difference);
    g->losses++;
    return spike;
}
