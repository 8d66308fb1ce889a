#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/str.h"
#include "data/examples/batcher.h"
#include "io/json.h"
#include "run/export/export.h"
#include "run/length.h"

/* transformers' steps of an action are at least 1: what is done at the end only is due after all. */
static uint64_t every(int64_t steps, uint64_t total)
{
    return steps > 0 ? (uint64_t)steps : total;
}

/* A member of a row; none of a number that was not finite, which JSON does not have. */
static enum err_code append_number(struct str *out, const char *key, double value, struct err *e)
{
    if (!isfinite(value))
        return ERR_OK;
    if (str_appendf(out, e, "      \"%s\": ", key) || json_append_real(out, value, e))
        return e->code;
    return str_append(out, ",\n", 2, e);
}

static enum err_code append_rewards(struct str *out, const char *prefix, const struct metrics_rewards *rewards,
                                    struct err *e)
{
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < METRICS_REWARDS && !code; i++) {
        char key[64];
        snprintf(key, sizeof key, "%s%s", prefix, metrics_trl_fields[i].name);
        code = append_number(out, key, metrics_value(rewards, &metrics_trl_fields[i]), e);
    }
    return code;
}

static enum err_code begin_row(struct str *out, bool first, double epoch, struct err *e)
{
    return str_appendf(out, e, "%s\n    {\n", first ? "" : ",") ? e->code : append_number(out, "epoch", epoch, e);
}

static enum err_code end_row(struct str *out, uint64_t step, struct err *e)
{
    return str_appendf(out, e, "      \"step\": %" PRIu64 "\n    }", step);
}

/* A step, and in a row of its own its evaluation. */
static enum err_code append_point(struct str *out, const struct metrics_point *p, bool first, struct err *e)
{
    if (begin_row(out, first, p->epoch, e) || append_number(out, "grad_norm", p->grad_norm, e) ||
        append_number(out, "learning_rate", p->learning_rate, e) || append_number(out, "loss", p->loss, e) ||
        append_rewards(out, "", &p->rewards, e) || end_row(out, p->step, e))
        return e->code;
    if (isfinite(p->eval_loss) && (begin_row(out, false, p->epoch, e) ||
                                   append_number(out, "eval_loss", p->eval_loss, e) ||
                                   append_rewards(out, "eval_", &p->eval_rewards, e) || end_row(out, p->step, e)))
        return e->code;
    return ERR_OK;
}

static enum err_code append_best(struct str *out, const struct best *best, struct err *e)
{
    if (!best->step)
        return str_appendf(out, e, "  \"best_global_step\": null,\n  \"best_metric\": null,\n");
    if (str_appendf(out, e, "  \"best_global_step\": %" PRIu64 ",\n  \"best_metric\": ", best->step) ||
        json_append_real(out, best->loss, e))
        return e->code;
    return str_append(out, ",\n", 2, e);
}

static enum err_code append_history(struct str *out, const struct metrics_log *log, struct err *e)
{
    if (str_appendf(out, e, "  \"log_history\": ["))
        return e->code;
    for (size_t i = 0; i < log->count; i++)
        if (append_point(out, &log->points[i], i == 0, e))
            return e->code;
    return str_appendf(out, e, "\n  ],\n");
}

/* Of the whole run; 0, as where nobody has counted, if its first steps are in the folder of another. */
static uint64_t count_tokens(const struct metrics_log *log)
{
    uint64_t tokens = 0;
    for (size_t i = 0; i < log->count && log->points[0].step == 1; i++)
        tokens += log->points[i].tokens;
    return tokens;
}

/* Keys in alphabetical order, as transformers writes them. */
enum err_code export_state(struct str *out, const struct origin *origin, struct err *e)
{
    const struct options *o = &origin->options;
    const struct ckpt_state *state = &origin->state;
    const struct metrics_point *last = &origin->log.points[origin->log.count - 1];
    const struct length length = {.examples = (uint64_t)llround((double)state->cursor / last->epoch),
                                  .batch_size = (uint64_t)o->batch_size,
                                  .step = state->step,
                                  .cursor = state->cursor};
    const uint64_t planned = length_steps(&length, o->epochs, o->max_steps);
    const uint64_t total = planned > state->step ? planned : state->step;
    if (str_appendf(out, e, "{\n") || append_best(out, &state->best, e) ||
        str_appendf(out, e, "  \"best_model_checkpoint\": null,\n  \"epoch\": ") ||
        json_append_real(out, last->epoch, e) ||
        str_appendf(out, e,
                    ",\n  \"eval_steps\": %" PRIu64 ",\n  \"global_step\": %" PRIu64
                    ",\n  \"is_hyper_param_search\": false,\n  \"is_local_process_zero\": true,\n"
                    "  \"is_world_process_zero\": true,\n",
                    every(o->eval_every, total), state->step) ||
        append_history(out, &origin->log, e))
        return e->code;
    return str_appendf(out, e,
                       "  \"logging_steps\": 1,\n  \"max_steps\": %" PRIu64 ",\n  \"num_input_tokens_seen\": %" PRIu64
                       ",\n  \"num_train_epochs\": %" PRIu64 ",\n  \"save_steps\": %" PRIu64
                       ",\n  \"stateful_callbacks\": {},\n  \"total_flos\": 0,\n  \"train_batch_size\": %" PRIu64
                       ",\n  \"trial_name\": null,\n  \"trial_params\": null\n}\n",
                       total, count_tokens(&origin->log),
                       batcher_batches(total, batcher_batches(length.examples, length.batch_size)),
                       every(o->save_every, total), length.batch_size);
}
