#include "run/origin.h"

#include <string.h>

#include "base/log.h"
#include "run/rundir.h"

void origin_set(struct origin *o, const char *name, const char *config, const struct ckpt_state *state,
                const struct ckpt_identity *identity)
{
    struct err ignored;
    *o = (struct origin){.known = true, .step = state->step, .state = *state, .identity = *identity};
    o->has_options = !options_read_yaml(&o->options, "train", name, config, strlen(config), &ignored);
    if (!o->has_options)
        options_release(&o->options);
}

/* Can the number of examples be told from it? */
static bool is_end(const struct metrics_point *p, const struct ckpt_state *state)
{
    return p->step == state->step && p->epoch > 0 && (double)state->cursor >= p->epoch &&
           (double)state->cursor / p->epoch < 1e15;
}

void origin_read_log(struct origin *o, const char *folder)
{
    char path[PATH_MAX];
    struct err e = {0};
    enum err_code code = rundir_path(path, folder, RUNDIR_METRICS, &e);
    if (!code)
        code = metrics_read(&o->log, path, o->state.step, &e);
    if (code)
        log_warn("the losses of the run are left out of the export: %s", e.message);
    if (code || (o->log.count && !is_end(&o->log.points[o->log.count - 1], &o->state)))
        metrics_log_release(&o->log);
}

struct objective origin_objective(const struct origin *o)
{
    return o->has_options ? options_objective(&o->options) : (struct objective){.kind = OBJECTIVE_SFT};
}

bool origin_has_history(const struct origin *o)
{
    return o->has_options && o->log.count > 0;
}

void origin_release(struct origin *o)
{
    metrics_log_release(&o->log);
    if (o->has_options)
        options_release(&o->options);
    *o = (struct origin){0};
}
