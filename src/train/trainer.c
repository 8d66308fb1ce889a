#include "train/trainer.h"

#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/log.h"
#include "train/batch.h"
#include "train/consensus.h"
#include "train/deadline.h"
#include "train/evaluate.h"
#include "train/metrics.h"
#include "train/optim.h"
#include "train/pace.h"
#include "train/peft.h"
#include "train/progress.h"
#include "train/reduce.h"
#include "train/resume.h"
#include "train/rundir.h"
#include "train/saver.h"
#include "train/schedule.h"
#include "train/tally.h"
#include "train/tracer.h"
#include "train/watchdog.h"

#define SLOW_DISK 50e6 /* bytes a second that a checkpoint is written at, until one was */

struct trainer {
    struct session *session;
    struct dist *dist;
    const struct options *options;
    const struct dataset *data, *eval_data;
    struct arena arena;
    struct loader loader;
    struct evaluator evaluator;
    struct tally tally;
    struct reduce reduce;
    struct schedule schedule;
    struct optim_options optim;
    struct guard_options guard;
    struct ckpt_state state;
    struct ckpt_identity identity;
    struct str config; /* the resolved options */
    char metrics_path[PATH_MAX];
    struct metrics metrics; /* rank 0 */
    struct saver saver;     /* rank 0 */
    struct progress progress;
    struct pace pace;
    struct tracer tracer;
    double loss_scale;          /* of the current batch */
    enum stop_reason stop;      /* some rank wants to */
    bool resumed_here;          /* from a checkpoint of the output folder */
    enum err_code trouble_code; /* rank 0's with metrics.jsonl, until the ranks next agree on errors */
    struct err trouble;
};

static uint64_t count_steps(const struct options *o, uint64_t batches_per_epoch)
{
    double epochs = o->epochs > 0 ? o->epochs : o->max_steps > 0 ? INFINITY : 1;
    /* Less than a millionth of a batch is rounding of the decimal fraction. */
    double by_epochs = ceil(epochs * (double)batches_per_epoch - 1e-6);
    uint64_t steps = by_epochs < 1 ? 1 : by_epochs > 1e15 ? (uint64_t)1e15 : (uint64_t)by_epochs;
    return o->max_steps > 0 && (uint64_t)o->max_steps < steps ? (uint64_t)o->max_steps : steps;
}

static enum err_code open_loader(struct trainer *t, struct err *e)
{
    const struct options *o = t->options;
    size_t pack_tokens;
    if (session_pack_tokens(t->session, &pack_tokens, e))
        return e->code;
    struct loader_options options = {.batch_size = (size_t)o->batch_size,
                                     .pack_tokens = pack_tokens,
                                     .shuffle = o->shuffle,
                                     .seed = (uint64_t)o->seed,
                                     .rank = (size_t)t->dist->rank,
                                     .world = (size_t)t->dist->world};
    return loader_open(&t->loader, t->data, &options, e);
}

/* This rank's own part of the preparations: sizes, memory, settings. */
static enum err_code prepare(struct trainer *t, struct err *e)
{
    const struct options *o = t->options;
    struct lora *l = &t->session->lora;
    t->optim = (struct optim_options){.beta1 = o->adam_beta1,
                                      .beta2 = o->adam_beta2,
                                      .epsilon = o->adam_epsilon,
                                      .weight_decay = o->weight_decay,
                                      .max_grad_norm = o->max_grad_norm,
                                      .ratio_b = o->lora_plus_ratio};
    t->guard = (struct guard_options){(uint64_t)o->skip_nonfinite, o->spike_sigma};
    if (open_loader(t, e))
        return e->code;
    t->schedule = (struct schedule){.shape = o->lr_schedule,
                                    .peak = o->learning_rate,
                                    .warmup = (uint64_t)o->warmup_steps,
                                    .total = count_steps(o, loader_batches_per_epoch(&t->loader))};
    struct model_plan plan = session_plan(t->session, true);
    batch_plan(&t->loader, &plan);
    if (t->eval_data)
        evaluate_plan(&t->evaluator, &plan);
    size_t packs = t->loader.plan.capacity;
    deadline_expect_save(5 + (double)(3 * l->size * sizeof(float)) / SLOW_DISK);
    if (deadline_set(o->time_limit, e) || schedule_check(&t->schedule, e) || lora_train_buffers(l, e) ||
        reduce_init(&t->reduce, l, t->dist, packs, !strcmp(o->reduce, "fast"), &t->arena, e) ||
        tally_init(&t->tally, packs, (size_t)t->dist->world, &t->arena, e) ||
        model_plan_memory(&t->session->model, &plan, e) || options_write_yaml(o, &t->config, e))
        return e->code;
    return file_join(t->metrics_path, sizeof t->metrics_path, o->output, "metrics.jsonl", e);
}

/* Rank 0's part: what is in the output folder when training begins. */
static enum err_code open_output(struct trainer *t, struct err *e)
{
    char path[PATH_MAX];
    if (file_join(path, sizeof path, t->options->output, "checkpoints", e) || file_make_folders(path, e) ||
        file_join(path, sizeof path, t->options->output, "config.yaml", e) ||
        file_write_atomic(path, t->config.data, t->config.length, e))
        return e->code;
    rundir_clean(t->options->output);
    const struct options *o = t->options;
    struct saver_facts facts = {.folder = o->output,
                                .metrics_path = t->metrics_path,
                                .keep = (uint64_t)o->keep_checkpoints,
                                .every = (uint64_t)o->save_every,
                                .failures_max = (uint64_t)o->save_failures,
                                .identity = &t->identity,
                                .config = t->config.data,
                                .lora_init = o->lora_init,
                                .trace = &t->tracer.record};
    if (saver_open(&t->saver, &facts, &t->session->lora, t->resumed_here ? &t->state : NULL, e))
        return e->code;
    return metrics_open(&t->metrics, t->metrics_path, t->state.step, e);
}

/* Rank 0's trouble, until the ranks next agree on errors; the first one counts. */
static void note_trouble(struct trainer *t, enum err_code code, const struct err *e)
{
    if (!code || t->trouble_code)
        return;
    t->trouble_code = code;
    t->trouble = *e;
}

static bool is_due(int64_t every, uint64_t step)
{
    return every > 0 && step % (uint64_t)every == 0;
}

/* Rank 0 hands this state to the saver if a save is due; the others go on. */
static void save_step(struct trainer *t)
{
    struct err e;
    if (t->dist->rank == 0)
        note_trouble(t, saver_step(&t->saver, &t->state, is_due(t->options->save_every, t->state.step), &e),
                     &e);
}

static enum err_code flush_metrics(void *context, struct err *e)
{
    struct trainer *t = context;
    return metrics_flush(&t->metrics, e);
}

/* Collective. Returns when this state is on disk. */
static enum err_code save_last(struct trainer *t, struct err *e)
{
    enum err_code code = t->trouble_code;
    if (code)
        *e = t->trouble;
    if (!code && t->dist->rank == 0) {
        code = saver_insist((uint64_t)t->options->save_failures, "metrics.jsonl", flush_metrics, t, e);
        if (!code)
            code = saver_last(&t->saver, &t->state, e);
    }
    code = dist_agree(t->dist, code, e);
    pace_meet(&t->pace);
    return code;
}

static enum err_code write_adapter(void *context, struct err *e)
{
    const struct trainer *t = context;
    const struct options *o = t->options;
    char path[PATH_MAX];
    if (file_join(path, sizeof path, o->output, "adapter", e))
        return e->code;
    return peft_write(path, &t->session->lora, &t->session->model.arch,
                      *o->base_name ? o->base_name : o->model, o->lora_dropout, e);
}

/* Collective. */
static enum err_code export_adapter(struct trainer *t, struct err *e)
{
    enum err_code code = ERR_OK;
    if (t->dist->rank == 0)
        code = saver_insist((uint64_t)t->options->save_failures, "adapter", write_adapter, t, e);
    return dist_agree(t->dist, code, e);
}

static enum err_code add_gradient(void *context, size_t pack, const struct model_input *in,
                                  struct model_result *result, struct err *e)
{
    struct trainer *t = context;
    bool watch = pack == 0 && tracer_is_due(&t->tracer, t->state.step);
    reduce_pack_begin(&t->reduce, pack);
    if (watch)
        tracer_watch_pack(&t->tracer, true);
    enum err_code code = model_step_grad(&t->session->model, in, t->loss_scale, result, e);
    if (watch)
        tracer_watch_pack(&t->tracer, false);
    if (code)
        return code;
    reduce_pack_end(&t->reduce);
    return ERR_OK;
}

/* Collective. Losses and gradient of the next batch, on all ranks. */
static enum err_code run_batch(struct trainer *t, struct metrics_row *row, struct err *e)
{
    enum err_code code = loader_next(&t->loader, e);
    size_t packs = code ? 0 : t->loader.plan.pack_count;
    tally_begin(&t->tally, packs);
    if (!code)
        reduce_begin(&t->reduce, packs);
    if (!code && t->trouble_code) {
        code = t->trouble_code;
        *e = t->trouble;
    }
    if (!code) {
        t->loss_scale = 1.0 / (double)t->loader.batch_supervised;
        code = batch_run(&t->loader, &t->tally, add_gradient, t, e);
    }
    t->tally.seconds = pace_arrive(&t->pace);
    code = tally_finish(&t->tally, t->dist, code, deadline_or_signal(), e);
    if (code) {
        reduce_drop(&t->reduce);
        return code;
    }
    t->stop = t->tally.stop;
    watchdog_note_work(t->tally.slowest_seconds);
    code = reduce_finish(&t->reduce, e);
    if (!code)
        pace_finish(&t->pace, &t->tally, row);
    return code;
}

/* What only the first batch tells. */
static void report_first(const struct trainer *t)
{
    const double mib = 1024 * 1024;
    size_t packs = t->loader.plan.pack_count, world = (size_t)t->dist->world;
    if (world > 1)
        log_note("  %-12s %.2f MiB of gradient a step, a rank sends up to %.2f MiB for it (--reduce %s)",
                 "network", (double)(t->session->lora.size * sizeof(float)) / mib,
                 (double)reduce_sent_bytes(&t->reduce) / mib, t->options->reduce);
    if (packs < world)
        log_warn("a batch has %zu pack%s for %zu ranks, so that %zu ranks have nothing to do: a smaller "
                 "--micro-batch-tokens (now %" PRIu64 ") or a larger --batch-size (now %" PRId64
                 ") gives them work",
                 packs, packs == 1 ? "" : "s", world, world - packs, t->loader.options.pack_tokens,
                 t->options->batch_size);
}

/* Gives the gradient's norm, or names the examples that it is of. */
static enum err_code measure_gradient(struct trainer *t, double *norm, struct err *e)
{
    char place[512];
    if (!optim_grad_norm(norm, &t->session->lora, e))
        return ERR_OK;
    dataset_place(place, sizeof place, t->data, t->loader.batch_index[0]);
    return err_wrap(e, "%s and the %zu examples behind it", place, t->loader.batch_examples - 1);
}

static void update_adapter(struct trainer *t, struct metrics_row *row, struct err *e)
{
    row->traced = tracer_is_due(&t->tracer, t->state.step);
    if (row->traced)
        note_trouble(t, tracer_before_step(&t->tracer, t->state.step, e), e);
    optim_step(&t->session->lora, &t->optim, row->grad_norm, row->learning_rate,
               guard_steps_taken(&t->state.guard, row->step));
    if (row->traced)
        note_trouble(t, tracer_after_step(&t->tracer, &row->trace, e), e);
}

/* Collective. One optimizer step, or one that is skipped. */
static enum err_code run_step(struct trainer *t, struct metrics_row *row, struct err *e)
{
    double begun = cpu_seconds(), earlier[PROF_COUNT];
    uint64_t step = t->state.step + 1;
    prof_take(earlier);
    watchdog_note_step(step);
    *row = (struct metrics_row){.step = step,
                                .learning_rate = schedule_rate(&t->schedule, t->state.step),
                                .loss = NAN,
                                .grad_norm = NAN};
    enum err_code code = run_batch(t, row, e);
    if (!code) {
        row->loss = t->tally.total.loss_sum / (double)t->tally.total.supervised;
        code = measure_gradient(t, &row->grad_norm, e);
    }
    if (code) {
        err_wrap(e, "step %" PRIu64, step);
        if (guard_forgive(&t->state.guard, &t->guard, code, e))
            return e->code;
        row->skipped = "nonfinite";
        pace_meet(&t->pace);
    } else if (guard_is_spike(&t->state.guard, &t->guard, step, row->loss)) {
        row->skipped = "spike";
    } else {
        update_adapter(t, row, e);
    }
    t->state.step = step;
    t->state.cursor = t->loader.cursor;
    row->epoch = (double)t->state.cursor / (double)t->data->count;
    row->tokens = t->loader.batch_tokens;
    row->supervised_tokens = t->loader.batch_supervised;
    row->seconds = cpu_seconds() - begun;
    deadline_note_work(row->seconds);
    prof_take(row->phases);
    return ERR_OK;
}

/* Collective. A signal in the middle leaves the step without an evaluation, and t->stop set. */
static enum err_code evaluate_step(struct trainer *t, struct metrics_row *row, struct err *e)
{
    struct evaluation result;
    enum err_code code = evaluate_run(&t->evaluator, &result, e);
    pace_meet(&t->pace);
    if (code == ERR_STOPPED) {
        t->stop = t->evaluator.tally.stop;
        return ERR_OK;
    }
    row->evaluated = !code;
    row->eval_loss = code ? 0 : result.loss;
    return code;
}

static void write_metrics(struct trainer *t, const struct metrics_row *row)
{
    if (t->dist->rank != 0)
        return;
    struct err e;
    note_trouble(t, metrics_write(&t->metrics, row, &e), &e);
    progress_step(&t->progress, row);
}

/* Collective. */
static enum err_code leave(struct trainer *t, struct err *e)
{
    if (save_last(t, e))
        return e->code;
    char path[PATH_MAX];
    if (rundir_checkpoint_path(path, t->options->output, t->state.step, e))
        return e->code;
    return err_set(e, ERR_STOPPED,
                   "stopped %s at step %" PRIu64 " of %" PRIu64 "; the same command goes on from %s",
                   t->stop == STOP_SIGNAL ? "by a signal" : "in time for the limit", t->state.step,
                   t->schedule.total, path);
}

/* Collective. Has a signal come before the first step? */
static enum err_code ask_stop(struct trainer *t, struct err *e)
{
    uint64_t asked = deadline_or_signal() == STOP_SIGNAL;
    enum err_code code = dist_max_u64(t->dist, &asked, 1, e);
    t->stop = asked ? STOP_SIGNAL : STOP_NOT;
    pace_meet(&t->pace);
    return code;
}

/* The run has done all its steps. */
static void finish_state(struct trainer *t, struct err *e)
{
    t->state.finished = true;
    note_trouble(t, tracer_finish(&t->tracer, t->state.step, e), e);
}

/* Collective. A run that was stopped between its last step and its end: what is left to do. */
static enum err_code finish_late(struct trainer *t, struct err *e)
{
    struct metrics_row row = {0};
    if (t->eval_data && evaluate_step(t, &row, e))
        return e->code;
    if (t->stop)
        return ERR_OK;
    if (row.evaluated)
        log_note("eval loss %.4f", row.eval_loss);
    finish_state(t, e);
    return save_last(t, e);
}

/* Collective. Steps until the end or a signal. */
static enum err_code run_steps(struct trainer *t, struct err *e)
{
    const struct options *o = t->options;
    uint64_t total = t->schedule.total;
    if (ask_stop(t, e))
        return e->code;
    bool first = true;
    while (t->state.step < total && !t->stop) {
        struct metrics_row row;
        if (run_step(t, &row, e))
            return e->code;
        if (first)
            report_first(t);
        first = false;
        bool last = t->state.step == total;
        if (t->eval_data && !t->stop && (last || is_due(o->eval_every, row.step)) &&
            evaluate_step(t, &row, e))
            return e->code;
        write_metrics(t, &row);
        if (is_due(o->check_every, row.step) && consensus_check(t->dist, &t->session->lora, t->pace.hosts, e))
            return err_wrap(e, "step %" PRIu64, row.step);
        if (t->session->on_step)
            t->session->on_step(t->session->on_step_context);
        if (last && !t->stop)
            finish_state(t, e);
        if (!t->state.finished)
            save_step(t);
        else if (save_last(t, e))
            return e->code;
    }
    if (!t->stop && !t->state.finished && finish_late(t, e))
        return e->code;
    pace_report(&t->pace);
    return t->stop ? leave(t, e) : ERR_OK;
}

/* Collective. From here on a rank that is gone is noticed. */
static enum err_code watch_ranks(struct trainer *t, struct err *e)
{
    struct dist *d = t->dist;
    char who[sizeof d->host + 32];
    snprintf(who, sizeof who, "rank %d on %s", d->rank, d->host);
    return dist_agree(d, d->world > 1 ? watchdog_start(t->options->rank_timeout, who, e) : ERR_OK, e);
}

/* Collective. From the first step to the export. */
static enum err_code train(struct trainer *t, struct err *e)
{
    struct dist *d = t->dist;
    enum err_code code = dist_agree(d, d->rank == 0 ? open_output(t, e) : ERR_OK, e);
    if (code)
        return code;
    struct progress_facts facts = {.data = t->data,
                                   .eval_data = t->eval_data,
                                   .pack_tokens = t->loader.pack.token_capacity,
                                   .steps_done = t->state.step,
                                   .steps_total = t->schedule.total,
                                   .gradient_buffers = t->reduce.depth};
    if (pace_open(&t->pace, d, e) || progress_report(t->session, &facts, e))
        return e->code;
    progress_begin(&t->progress, t->state.step, t->schedule.total, (uint64_t)t->options->log_every);
    t->loader.cursor = t->state.cursor;
    code = watch_ranks(t, e);
    if (!code)
        code = run_steps(t, e);
    if (!code)
        code = export_adapter(t, e);
    if (!code)
        log_note("done: %" PRIu64 " steps; the adapter is in %s/adapter", t->state.step, t->options->output);
    return code;
}

/* Collective. A finished run: says so, and puts back the export if it is gone. */
static enum err_code finish_again(struct trainer *t, struct err *e)
{
    char path[PATH_MAX];
    uint64_t missing = 0;
    if (file_join(path, sizeof path, t->options->output, "adapter/adapter_config.json", e))
        return e->code;
    if (t->dist->rank == 0)
        missing = !file_exists(path);
    if (dist_broadcast(t->dist, &missing, sizeof missing, 0, e))
        return e->code;
    log_note("this run is finished: %" PRIu64
             " steps are done; --max-steps or --epochs would have to be higher to "
             "go on",
             t->state.step);
    return missing ? export_adapter(t, e) : ERR_OK;
}

/* Collective. A fresh adapter: the trace compares it with the base before anything is taken out of that. */
static enum err_code start_adapter(struct trainer *t, struct err *e)
{
    struct evaluator *v = t->eval_data ? &t->evaluator : NULL;
    if ((t->tracer.every && tracer_measure_base(&t->tracer, v, &t->loader, e)) ||
        session_start_adapter(t->session, e) ||
        (t->tracer.every && tracer_measure_start(&t->tracer, v, &t->loader, e)))
        return e->code;
    return ERR_OK;
}

static enum err_code start(struct trainer *t, struct err *e)
{
    struct dist *d = t->dist;
    enum err_code code = t->eval_data ? evaluate_open(&t->evaluator, t->session, t->eval_data, e) : ERR_OK;
    if (!code)
        code = dist_agree(d, prepare(t, e), e);
    bool resumed = false;
    struct trace_record earlier = {0};
    if (!code)
        code = tracer_begin(&t->tracer, t->session, (uint64_t)t->options->trace_every, e);
    if (!code)
        code = resume_load(t->session, &t->identity, &t->state, &resumed, &earlier, e);
    if (!code && !resumed)
        code = start_adapter(t, e);
    if (!code && d->rank == 0)
        code = tracer_plan(&t->tracer, &earlier, t->state.step, t->schedule.total, e);
    trace_release(&earlier);
    code = dist_agree(d, code, e);
    if (code)
        return code;
    t->resumed_here = resumed && strcmp(t->options->resume, "auto") == 0;
    if (t->state.finished && t->state.step >= t->schedule.total)
        return finish_again(t, e);
    t->state.finished = false;
    return train(t, e);
}

enum err_code trainer_run(struct session *s, const struct dataset *data, const char *data_hash,
                          const struct dataset *eval_data, struct err *e)
{
    struct trainer *t = calloc(1, sizeof *t);
    enum err_code code = t ? ERR_OK : err_set(e, ERR_MEMORY, "no memory for the trainer");
    code = dist_agree(s->dist, code, e);
    if (!code) {
        t->session = s;
        t->dist = s->dist;
        t->options = s->options;
        t->data = data;
        t->eval_data = eval_data;
        memcpy(t->identity.base, s->store.hash, sizeof t->identity.base);
        memcpy(t->identity.tokenizer, tokenizer_hash(s->tokenizer), sizeof t->identity.tokenizer);
        memcpy(t->identity.data, data_hash, sizeof t->identity.data);
        code = start(t, e);
        watchdog_stop();
        saver_close(&t->saver);
        metrics_close(&t->metrics);
        pace_close(&t->pace);
        tracer_end(&t->tracer);
        evaluate_close(&t->evaluator);
        loader_close(&t->loader);
        str_release(&t->config);
        arena_release(&t->arena);
    }
    free(t);
    return code;
}
