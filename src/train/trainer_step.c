#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/cpu.h"
#include "base/log.h"
#include "train/batch.h"
#include "ranks/watchdog.h"
#include "trainer_parts.h"

void trainer_note_trouble(struct trainer *t, enum err_code code, const struct err *e)
{
    if (!code || t->trouble_code)
        return;
    t->trouble_code = code;
    t->trouble = *e;
}

/* Local steps: the gradient of the rank's own packs. */
static void begin_local(struct trainer *t)
{
    uint64_t supervised = batch_share_supervised(&t->loader);
    t->loss_scale = supervised ? 1.0 / (double)supervised : 0;
    memset(t->outer.grads, 0, t->session->lora.layout.size * sizeof *t->outer.grads);
    t->grads = t->outer.grads;
}

static enum err_code add_gradient(void *context, size_t pack, const struct model_input *in,
                                  struct model_result *result, struct err *e)
{
    struct trainer *t = context;
    struct model *m = &t->session->model;
    bool watch = pack == 0 && tracer_is_due(&t->tracer, t->state.step);
    bool local = t->outer.every > 1;
    struct model_grads grads = {.values = t->outer.grads};
    if (!local)
        grads = (struct model_grads){reduce_pack_begin(&t->reduce, pack), reduce_layer_ready, &t->reduce};
    if (watch)
        tracer_watch_pack(&t->tracer, true);
    enum err_code code = model_step_grad(m, in, t->loss_scale, &grads, result, NULL, e);
    if (watch)
        tracer_watch_pack(&t->tracer, false);
    if (!code && !local)
        reduce_pack_end(&t->reduce);
    return code;
}

/* Collective. Losses and gradient of the next batch, on all ranks. At the end of a step where they are to
 * meet, they may stop. */
static enum err_code run_batch(struct trainer *t, struct metrics_row *row, bool meeting, struct err *e)
{
    enum err_code code = loader_next(&t->loader, e);
    size_t packs = code ? 0 : t->loader.batch.plan.pack_count;
    tally_begin(&t->tally, packs);
    t->loss_scale = 1.0 / (double)t->loader.batch.supervised;
    if (!code && t->outer.every > 1)
        begin_local(t);
    else if (!code)
        reduce_begin(&t->reduce, packs);
    if (!code && t->trouble_code) {
        code = t->trouble_code;
        *e = t->trouble;
    }
    if (!code)
        code = batch_run(&t->loader, &t->tally, add_gradient, t, e);
    t->tally.seconds = pace_arrive(&t->pace);
    code = tally_finish(&t->tally, t->dist, code,
                        meeting ? deadline_or_signal(&t->session->deadline) : STOP_NOT, e);
    if (code) {
        reduce_drop(&t->reduce);
        return code;
    }
    t->stop = t->tally.stop;
    watchdog_note_work(t->tally.slowest_seconds);
    if (t->outer.every == 1)
        code = reduce_finish(&t->reduce, &t->grads, e);
    if (!code)
        pace_finish(&t->pace, &t->tally, row);
    return code;
}

/* In the long run the outer step goes rate / (1 - momentum) times as far as the ranks have changed on
 * average. Much more than once, and the adapter swings about where they agree to go. */
static void warn_of_long_steps(const struct outer *o)
{
    const double times = o->learning_rate / (1 - o->momentum);
    if (times > 2)
        log_warn("--outer-learning-rate %g with --outer-momentum %g goes %.1f times as far as the ranks have "
                 "come: the adapter swings about where they agree to go, and a short run ends worse for it "
                 "(the defaults go once)",
                 o->learning_rate, o->momentum, times);
}

void trainer_report_first(const struct trainer *t)
{
    const double mib = 1024 * 1024, adapter = (double)(t->session->lora.layout.size * sizeof(float)) / mib;
    size_t packs = t->loader.batch.plan.pack_count, world = (size_t)t->dist->world;
    if (world > 1 && t->outer.every > 1) /* values and two moments, to be added and to be shared */
        log_note("  %-12s %.2f MiB of adapter and moments, a rank sends %.2f MiB for them every %" PRIu64
                 " steps (--local-steps)",
                 "network", 3 * adapter, 6 * adapter * (double)(world - 1) / (double)world, t->outer.every);
    else if (world > 1)
        log_note("  %-12s %.2f MiB of gradient a step, a rank sends up to %.2f MiB for it (--reduce %s)",
                 "network", adapter, (double)reduce_sent_bytes(&t->reduce) / mib,
                 options_word(t->options, "reduce"));
    if (t->outer.every > 1)
        warn_of_long_steps(&t->outer);
    if (packs < world)
        log_warn("a batch has %zu pack%s for %zu ranks, so that %zu of them ha%s nothing to do: a smaller "
                 "--micro-batch-tokens (now %" PRIu64 ") or a larger --batch-size (now %" PRId64
                 ") gives them work",
                 packs, packs == 1 ? "" : "s", world, world - packs, world - packs == 1 ? "s" : "ve",
                 t->loader.batch.options.pack_tokens, t->options->batch_size);
}

/* Gives the gradient's norm, or names the examples that it is of. */
static enum err_code measure_gradient(struct trainer *t, double *norm, struct err *e)
{
    char place[512];
    if (!optim_grad_norm(norm, &t->session->lora.layout, t->grads, e))
        return ERR_OK;
    dataset_place(place, sizeof place, t->data, t->loader.batch.index[0]);
    return err_wrap(e, "%s and the %zu examples behind it", place, t->loader.batch.examples - 1);
}

static void update_adapter(struct trainer *t, struct metrics_row *row, struct err *e)
{
    row->traced = tracer_is_due(&t->tracer, t->state.step);
    if (row->traced)
        trainer_note_trouble(t, tracer_before_step(&t->tracer, t->grads, t->state.step, e), e);
    optim_step(&t->session->lora, &t->moments, t->grads, &t->optim, row->grad_norm, row->learning_rate,
               guard_steps_taken(&t->state.guard, row->step));
    if (row->traced)
        trainer_note_trouble(t, tracer_after_step(&t->tracer, &row->trace, e), e);
}

/* The step that all ranks take, or skip, after a batch that went as `code` says. */
static enum err_code step_together(struct trainer *t, struct metrics_row *row, enum err_code code,
                                   struct err *e)
{
    if (!code)
        code = measure_gradient(t, &row->grad_norm, e);
    if (code) {
        err_wrap(e, "step %" PRIu64, row->step);
        if (guard_forgive(&t->state.guard, &t->guard, code, e))
            return e->code;
        row->skipped = "nonfinite";
        pace_meet(&t->pace);
    } else if (guard_is_spike(&t->state.guard, &t->guard, row->step, row->loss)) {
        row->skipped = "spike";
    } else {
        update_adapter(t, row, e);
    }
    return ERR_OK;
}

/* Collective. At the end of local steps: one adapter again. */
static enum err_code meet(struct trainer *t, struct metrics_row *row, struct err *e)
{
    if (t->trouble_code)
        *e = t->trouble;
    enum err_code code = dist_agree(t->dist, t->trouble_code, e);
    double begun = cpu_seconds();
    if (!code)
        code = outer_step(&t->outer, &t->session->lora, &t->moments, &t->reduce, e);
    pace_meet(&t->pace);
    row->comm_seconds += cpu_seconds() - begun;
    return code;
}

/* A local step. A rank may have nothing to step by; what goes wrong is its own until the ranks next agree. */
static enum err_code step_alone(struct trainer *t, struct metrics_row *row, bool meeting, enum err_code code,
                                struct err *e)
{
    if (!code && t->loss_scale > 0) {
        enum err_code own = measure_gradient(t, &row->grad_norm, e);
        if (own)
            trainer_note_trouble(t, own, e);
        else
            update_adapter(t, row, e);
    }
    if (!code && meeting)
        code = meet(t, row, e);
    return code ? err_wrap(e, "step %" PRIu64, row->step) : ERR_OK;
}

enum err_code trainer_step(struct trainer *t, struct metrics_row *row, struct err *e)
{
    double begun = cpu_seconds(), earlier[PROF_COUNT];
    uint64_t step = t->state.step + 1;
    bool meeting = outer_meets(&t->outer, step, t->schedule.total);
    prof_take(earlier);
    watchdog_note_step(step);
    *row = (struct metrics_row){.step = step,
                                .learning_rate = schedule_rate(&t->schedule, t->state.step),
                                .loss = NAN,
                                .grad_norm = NAN};
    enum err_code code = run_batch(t, row, meeting, e);
    if (!code)
        row->loss = t->tally.total.loss_sum / (double)t->tally.total.supervised;
    code = t->outer.every > 1 ? step_alone(t, row, meeting, code, e) : step_together(t, row, code, e);
    if (code)
        return code;
    t->state.step = step;
    t->state.cursor = t->loader.batch.cursor;
    row->epoch = (double)t->state.cursor / (double)t->data->count;
    row->tokens = t->loader.batch.tokens;
    row->supervised_tokens = t->loader.batch.supervised;
    row->seconds = cpu_seconds() - begun;
    t->apart += row->seconds;
    deadline_note_work(&t->session->deadline, t->apart);
    if (meeting)
        t->apart = 0;
    prof_take(row->phases);
    return ERR_OK;
}
