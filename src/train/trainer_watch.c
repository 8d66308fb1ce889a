#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/cpu.h"
#include "base/log.h"
#include "ranks/watchdog.h"
#include "trainer_parts.h"

/* ---- Trouble of one rank, until the ranks next agree on errors ---- */

void trainer_note_trouble(struct trainer *t, enum err_code code, const struct err *e)
{
    if (!code || t->trouble_code)
        return;
    t->trouble_code = code;
    t->trouble = *e;
}

enum err_code trainer_take_trouble(const struct trainer *t, struct err *e)
{
    if (t->trouble_code)
        *e = t->trouble;
    return t->trouble_code;
}

enum stop_reason trainer_wish(const struct trainer *t)
{
    return t->meeting ? deadline_or_signal(&t->session->deadline) : STOP_NOT;
}

/* ---- Around the step: time, the watchdog, the trace ---- */

void trainer_watch_begin(struct trainer *t, struct metrics_row *row)
{
    double earlier[PROF_COUNT];
    const uint64_t step = t->state.step + 1;
    t->begun = cpu_seconds();
    t->meeting = outer_meets(&t->outer, step, t->schedule.total);
    prof_take(earlier);
    watchdog_note_step(step);
    *row = (struct metrics_row){.step = step,
                                .prefers = t->options->objective != OBJECTIVE_SFT,
                                .rewards = {NAN, NAN, NAN, NAN},
                                .learning_rate = schedule_rate(&t->schedule, t->state.step),
                                .loss = NAN,
                                .grad_norm = NAN};
}

void trainer_watch_pack(struct trainer *t, size_t pack, bool begins)
{
    if (pack == 0 && tracer_is_due(&t->tracer, t->state.step))
        tracer_watch_pack(&t->tracer, begins);
}

void trainer_watch_arrive(struct trainer *t)
{
    t->tally.seconds = pace_arrive(&t->pace);
}

void trainer_watch_update(struct trainer *t, struct metrics_row *row)
{
    struct err e;
    if (row->traced)
        trainer_note_trouble(t, tracer_after_step(&t->tracer, &row->trace, &e), &e);
}

void trainer_watch_meeting(struct trainer *t, struct metrics_row *row, bool begins)
{
    if (begins) {
        t->met = cpu_seconds();
        return;
    }
    pace_meet(&t->pace);
    row->comm_seconds += cpu_seconds() - t->met;
}

void trainer_watch_end(struct trainer *t, struct metrics_row *row)
{
    t->state.step = row->step;
    t->state.cursor = t->loader.batch.cursor;
    row->epoch = (double)t->state.cursor / (double)t->data->count;
    row->tokens = t->loader.batch.tokens;
    row->supervised_tokens = t->loader.batch.supervised;
    row->seconds = cpu_seconds() - t->begun;
    t->apart += row->seconds;
    deadline_note_work(&t->session->deadline, t->apart);
    if (t->meeting)
        t->apart = 0;
    prof_take(row->phases);
}

/* ---- The guard ---- */

/* Gives the gradient's norm, or names the examples that it is of. */
static enum err_code measure_gradient(struct trainer *t, double *norm, struct err *e)
{
    char place[512];
    if (!optim_grad_norm(norm, &t->session->lora.layout, t->grads, e))
        return ERR_OK;
    dataset_place(place, sizeof place, t->data, t->loader.batch.index[0]);
    return err_wrap(e, "%s and the %zu examples after it", place, t->loader.batch.examples - 1);
}

/* The step that all ranks take, or skip. */
static bool approve_together(struct trainer *t, struct metrics_row *row, enum err_code *code, struct err *e)
{
    if (!*code)
        *code = measure_gradient(t, &row->grad_norm, e);
    if (*code) {
        err_wrap(e, "step %" PRIu64, row->step);
        *code = guard_forgive(&t->state.guard, &t->guard, *code, e);
        row->skipped = *code ? NULL : "nonfinite";
        pace_meet(&t->pace);
    } else if (guard_is_spike(&t->state.guard, &t->guard, row->step, row->loss)) {
        row->skipped = "spike";
    } else {
        return true;
    }
    return false;
}

/* A local step. A rank may have nothing to step by; what goes wrong is its own until the ranks next agree. */
static bool approve_alone(struct trainer *t, struct metrics_row *row, enum err_code code, struct err *e)
{
    if (code)
        err_wrap(e, "step %" PRIu64, row->step);
    if (code || t->loss_scale <= 0)
        return false;
    enum err_code own = measure_gradient(t, &row->grad_norm, e);
    trainer_note_trouble(t, own, e);
    return !own;
}

bool trainer_approves(struct trainer *t, struct metrics_row *row, enum err_code *code, struct err *e)
{
    if (!*code) {
        watchdog_note_work(t->tally.slowest_seconds);
        pace_finish(&t->pace, &t->tally, row);
        row->loss = t->tally.total.loss_sum / (double)t->tally.total.supervised;
        if (row->prefers)
            row->loss = preference_finish(&row->rewards, &t->preference, t->tally.totals);
    }
    if (!(trainer_is_local(t) ? approve_alone(t, row, *code, e) : approve_together(t, row, code, e)))
        return false;
    row->traced = tracer_is_due(&t->tracer, t->state.step);
    if (row->traced)
        trainer_note_trouble(t, tracer_before_step(&t->tracer, t->grads, t->state.step, e), e);
    return true;
}

/* ---- What only the first batch tells ---- */

/* In the long run an outer step moves rate / (1 - momentum) times as far as the mean change of the ranks. If that is
 * much more than once, the adapter overshoots. */
static void warn_of_long_steps(const struct outer *o)
{
    const double times = o->learning_rate / (1 - o->momentum);
    if (times > 2)
        log_warn("--outer-learning-rate %g with --outer-momentum %g moves the adapter %.1f times as far as the mean "
                 "change of the ranks: the adapter overshoots, and a short run ends with a higher loss (with the "
                 "defaults it moves once as far)",
                 o->learning_rate, o->momentum, times);
}

/* A pack must have room for the longest example, or pair, that there may be. */
static void warn_of_idle_ranks(size_t packs, size_t world, uint64_t pack_tokens, bool resumed,
                               const struct options *o)
{
    const bool pairs = o->objective != OBJECTIVE_SFT;
    char smaller[160];
    if (resumed) {
        log_warn("a batch has %zu pack%s for %zu ranks, so that %zu of them ha%s nothing to do; a resumed run keeps "
                 "its batches and packs: it is as fast with %zu rank%s",
                 packs, packs == 1 ? "" : "s", world, world - packs, world - packs == 1 ? "s" : "ve", packs,
                 packs == 1 ? "" : "s");
        return;
    }
    if ((uint64_t)o->batch_size < world)
        smaller[0] = '\0';
    else if (pack_tokens > (uint64_t)o->max_length << pairs)
        snprintf(smaller, sizeof smaller,
                 "a smaller --micro-batch-tokens (now %" PRIu64 ", down to %sthe %" PRId64 " of --max-length) or ",
                 pack_tokens, pairs ? "twice " : "", o->max_length);
    else
        snprintf(smaller, sizeof smaller, "a smaller --max-length (now %" PRId64 ") with packs to match or ",
                 o->max_length);
    log_warn("a batch has %zu pack%s for %zu ranks, so that %zu of them ha%s nothing to do: %sa larger "
             "--batch-size (now %" PRId64 ") gives them work",
             packs, packs == 1 ? "" : "s", world, world - packs, world - packs == 1 ? "s" : "ve", smaller,
             o->batch_size);
}

void trainer_report_first(const struct trainer *t)
{
    const double mib = 1024 * 1024, adapter = (double)(t->session->lora.layout.size * sizeof(float)) / mib;
    size_t packs = t->loader.batch.plan.pack_count, world = (size_t)t->dist->world;
    if (world > 1 && t->outer.every > 1) { /* values and two moments, to be added and to be shared */
        log_note("  %-12s %.2f MiB of adapter and moments every %" PRIu64 " steps (--local-steps),",
                 "network", 3 * adapter, t->outer.every);
        log_note("  %-12s a rank sends %.2f MiB for them", "",
                 6 * adapter * (double)(world - 1) / (double)world);
    } else if (world > 1) {
        log_note("  %-12s %.2f MiB of gradient a step, a rank sends up to %.2f MiB", "network", adapter,
                 (double)reduce_sent_bytes(&t->reduce) / mib);
        log_note("  %-12s (--reduce %s)", "", options_word(t->options, "reduce"));
    }
    if (t->outer.every > 1)
        warn_of_long_steps(&t->outer);
    if (packs < world)
        warn_of_idle_ranks(packs, world, t->loader.batch.options.pack_tokens, t->progress.first > 0, t->options);
}
