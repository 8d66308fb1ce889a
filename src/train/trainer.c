#include "train/trainer.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/stop.h"
#include "train/batch.h"
#include "train/hosts.h"
#include "ranks/duty.h"
#include "ranks/launch.h"
#include "run/export/export.h"
#include "run/length.h"
#include "run/origin.h"
#include "train/resume.h"
#include "train/signals.h"
#include "run/rundir.h"
#include "run/samples_file.h"
#include "ranks/watchdog.h"
#include "trainer_parts.h"

#define SLOW_DISK 50e6 /* bytes a second that a checkpoint is written at, until one was */
#define SLOW_SAVE 30   /* seconds of waiting for a save after which a person is told */
#define MPIRUN_WAITS 0.9 /* seconds, of the one between its TERM and its KILL */

static uint64_t count_steps(const struct trainer *t, double epochs, int64_t max_steps)
{
    const struct length l = {.examples = t->data->count,
                             .batch_size = (uint64_t)t->options->batch_size,
                             .step = t->state.step,
                             .cursor = t->state.cursor};
    return length_steps(&l, epochs, max_steps);
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
                                     .world = (size_t)t->dist->world,
                                     .read_ahead = true};
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
                                    .end = o->min_learning_rate,
                                    .warmup = o->warmup_steps,
                                    .total = count_steps(t, o->epochs, o->max_steps)};
    struct model_plan plan = session_plan(t->session, true);
    batch_plan(&t->loader, &plan);
    if (t->eval_data)
        evaluate_plan(&t->evaluator, &plan);
    size_t packs = t->loader.batch.plan.capacity, world = (size_t)t->dist->world;
    size_t summands = o->local_steps > 1 && packs < world ? world : packs;
    if (o->local_steps > 1 && (o->trace_every > 0 || o->skip_nonfinite > 0 || o->spike_sigma > 0))
        return err_set(e, ERR_USAGE,
                       "--local-steps above 1: there is no one step for --trace-every, --skip-nonfinite or "
                       "--spike-sigma");
    const struct objective objective = options_objective(o);
    preference_init(&t->preference, &objective);
    deadline_expect_save(&t->session->deadline, (double)(3 * l->layout.size * sizeof(float)) / SLOW_DISK);
    deadline_set(&t->session->deadline, &o->time_limit);
    if (schedule_check(&t->schedule, e) ||
        lora_moments_init(&t->moments, &l->layout, o->local_steps > 1, &t->arena, e) ||
        reduce_init(&t->reduce, &l->layout, t->dist, summands, o->reduce == REDUCE_FAST, &t->arena, e) ||
        outer_init(&t->outer, (uint64_t)o->local_steps, o->outer_learning_rate, o->outer_momentum, &l->layout,
                   &t->arena, e) ||
        tally_init(&t->tally, packs, world, preference_sums(o->objective), &t->arena, e) ||
        model_plan_memory(&t->session->model, &plan, e))
        return e->code;
    return options_write_yaml(o, &t->config, e);
}

/* Rank 0's part: what is in the output folder when training begins. */
static enum err_code lay_out(const struct trainer *t, const char *folder, struct err *e)
{
    char path[PATH_MAX];
    if (rundir_path(path, folder, RUNDIR_CHECKPOINTS, e) || file_make_folders(path, e) ||
        rundir_path(path, folder, RUNDIR_CONFIG, e) ||
        file_write_atomic(path, t->config.data, t->config.length, e))
        return e->code;
    rundir_clean(folder, RUNDIR_OF_RUN);
    return ERR_OK;
}

static enum err_code open_output(void *trainer, struct duty_company *company, struct err *e)
{
    (void)company;
    struct trainer *t = trainer;
    const struct runlock *lock = t->session->lock;
    struct file_folder in;
    if (runlock_enter(&in, lock, e) || file_folder_leave(&in, lay_out(t, in.inside, e), e))
        return e->code;
    const struct options *o = t->options;
    struct saver_facts facts = {.lock = lock,
                                .keep = (uint64_t)o->keep_checkpoints,
                                .keep_best = o->keep_best,
                                .every = (uint64_t)o->save_every,
                                .failures_max = (uint64_t)o->save_failures,
                                .deadline = &t->session->deadline,
                                .patience = SLOW_SAVE,
                                .begun_at = t->state.step,
                                .identity = &t->identity,
                                .config = t->config.data,
                                .lora_init = o->adapter.count ? "adapter" : options_word(o, "lora-init"),
                                .trace = &t->tracer.record};
    if (saver_open(&t->saver, &facts, &t->session->lora, &t->moments, t->resumed_here ? &t->state : NULL, e))
        return e->code;
    if ((t->samples.questions.count || rundir_has(lock->folder, RUNDIR_SAMPLES)) &&
        samples_file_open(&t->samples_file, lock, t->resumed_here ? t->state.best.seen : 0, e))
        return e->code;
    if (metrics_open(&t->metrics, lock, t->resumed_here ? t->state.step : 0, e))
        return e->code;
    if (o->tensorboard)
        tensorboard_open(&t->tensorboard, lock, t->dist->host, t->resumed_here ? t->state.step : 0, t->config.data);
    return ERR_OK;
}

/* Collective. What rank 0 does with files, for as long as it takes. Without `what` it tries again by itself. */
static enum err_code let_rank_0(struct trainer *t, duty_work *work, const char *what, struct err *e)
{
    const struct duty duty = {work, t, what ? (uint64_t)t->options->save_failures : 1, what};
    enum err_code code = duty_run(t->dist, &duty, e);
    pace_meet(&t->pace);
    return code;
}

static enum err_code flush_lines(void *trainer, struct duty_company *company, struct err *e)
{
    (void)company;
    struct trainer *t = trainer;
    return metrics_flush(&t->metrics, e) ? e->code : lines_flush(&t->samples_file, e);
}

/* The saver has its own way to try again: failures before this one count. */
static enum err_code save_state(void *trainer, struct duty_company *company, struct err *e)
{
    struct trainer *t = trainer;
    return saver_last(&t->saver, &t->state, company, e);
}

enum err_code trainer_save_now(struct trainer *t, struct err *e)
{
    if (dist_agree(t->dist, trainer_take_trouble(t, e), e) ||
        let_rank_0(t, flush_lines, rundir_name(RUNDIR_METRICS), e))
        return e->code;
    return let_rank_0(t, save_state, NULL, e);
}

/* Rank 0, which needs the last step's values no more: those of the best step. */
static enum err_code read_best(struct trainer *t, const char *folder, struct err *e)
{
    char path[PATH_MAX];
    struct ckpt c;
    if (rundir_checkpoint_path(path, folder, t->state.best.step, e) || ckpt_open(&c, path, e))
        return e->code;
    enum err_code code = ckpt_read(&c, &t->session->lora, NULL, e);
    ckpt_close(&c);
    if (!code)
        log_note("the adapter of step %" PRIu64 ", which had the lowest eval loss (%.4f), is exported",
                 t->state.best.step, t->state.best.loss);
    return code;
}

static enum err_code export_into(struct trainer *t, const char *folder, struct err *e)
{
    const struct options *o = t->options;
    struct session *s = t->session;
    const bool is_best = o->keep_best && t->state.best.step && t->state.best.step != t->state.step;
    struct origin origin = {0};
    char path[PATH_MAX];
    if (rundir_path(path, folder, RUNDIR_ADAPTER, e) || (is_best && read_best(t, folder, e)))
        return e->code;
    const struct export_job job = {.output = path,
                                   .lora = &s->lora,
                                   .arch = &s->model.arch,
                                   .store = &s->store,
                                   .base_name = *o->base_name ? o->base_name : store_name(&s->store),
                                   .origin = &origin,
                                   .save_dtype = SAVE_OWN};
    origin_set(&origin, "the options of the run", t->config.data, &t->state, &t->identity);
    origin.step = is_best ? t->state.best.step : t->state.step;
    origin_read_log(&origin, folder);
    enum err_code code = export_write(&job, EXPORT_PEFT, e);
    origin_release(&origin);
    return code;
}

static enum err_code write_adapter(void *trainer, struct duty_company *company, struct err *e)
{
    (void)company;
    struct trainer *t = trainer;
    struct file_folder in;
    if (runlock_enter(&in, t->session->lock, e))
        return e->code;
    return file_folder_leave(&in, export_into(t, in.inside, e), e);
}

/* Collective. */
static enum err_code leave(struct trainer *t, struct err *e)
{
    const char *why = t->stop == STOP_SIGNAL ? "by a signal" : "in time for the limit";
    if (t->state.step == 0) /* what was measured before the first step is not in a checkpoint */
        return err_set(e, ERR_STOPPED,
                       "stopped %s at step 0 of %" PRIu64
                       ": no step was done yet, the same command starts again",
                       why, t->schedule.total);
    if (trainer_save_now(t, e))
        return e->code;
    char path[PATH_MAX];
    if (t->dist->rank == 0 && rundir_has(t->options->output, RUNDIR_ADAPTER))
        log_warn("%s/%s is still the adapter of an earlier end of this run; mpilora export writes that of "
                 "step %" PRIu64,
                 t->options->output, rundir_name(RUNDIR_ADAPTER), t->state.step);
    if (rundir_checkpoint_path(path, t->options->output, t->state.step, e))
        return e->code;
    return err_set(e, ERR_STOPPED,
                   "stopped %s at step %" PRIu64 " of %" PRIu64 "; the same command%s goes on from %s", why,
                   t->state.step, t->schedule.total,
                   t->options->resume.word == RESUME_AUTO ? "" : ", with --resume auto,", path);
}

/* Collective. Has a signal come before the first step? */
static enum err_code ask_stop(struct trainer *t, struct err *e)
{
    uint64_t asked = stop_is_asked();
    enum err_code code = dist_max_u64(t->dist, &asked, 1, e);
    t->stop = asked ? STOP_SIGNAL : STOP_NOT;
    pace_meet(&t->pace);
    return code;
}

static enum err_code add_late_evaluation(void *trainer, struct duty_company *company, struct err *e)
{
    (void)company;
    struct trainer *t = trainer;
    if (t->metrics.last_step != t->state.step)
        return ERR_OK;
    return metrics_add_evaluation(&t->metrics, t->state.step, t->late.eval_loss,
                                  t->late.prefers ? &t->late.eval_rewards : NULL, e);
}

/* Does this state lack an evaluation? One of its step's that a stop came before, or one at the end. */
static bool lacks_evaluation(const struct trainer *t)
{
    if (!t->eval_data || !t->state.step || t->state.best.seen == t->state.step)
        return false;
    return t->state.step >= t->schedule.total || trainer_is_due(t, t->options->eval_every);
}

/* Collective. Before the first step: the evaluation that an earlier process was stopped before or in. */
static enum err_code make_up_evaluation(struct trainer *t, struct err *e)
{
    struct metrics_row *row = &t->late;
    char line[PROGRESS_LINE];
    if (!lacks_evaluation(t))
        return ERR_OK;
    row->prefers = t->options->objective != OBJECTIVE_SFT;
    if (trainer_evaluate(t, row, e))
        return e->code;
    if (!row->evaluated)
        return ERR_OK;
    progress_format_evaluation(line, row);
    log_note("step %" PRIu64 ": %s", t->state.step, line);
    if (let_rank_0(t, add_late_evaluation, rundir_name(RUNDIR_METRICS), e))
        return e->code;
    return trainer_save_best(t, e);
}

/* The run has done all its steps, or needs no more. */
static void finish_state(struct trainer *t, struct err *e)
{
    if (trainer_is_stale(t))
        log_note("stopped early: %" PRIu64 " evaluations in a row were no better than that of step %" PRIu64
                 " (eval loss %.4f), and --early-stop is %" PRId64,
                 t->state.best.worse, t->state.best.step, t->state.best.loss, t->options->early_stop);
    t->state.finished = true;
    trainer_note_trouble(t, tracer_finish(&t->tracer, t->state.step, e), e);
}

/* Collective. Steps until the end or a wish to stop. */
static enum err_code run_steps(struct trainer *t, struct err *e)
{
    if (ask_stop(t, e) || (!t->stop && make_up_evaluation(t, e)) || trainer_take_steps(t, e))
        return e->code;
    if (!t->stop && !t->state.finished)
        finish_state(t, e);
    if (!t->stop && trainer_save_now(t, e))
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
    return dist_agree(d, d->world > 1 ? watchdog_start(t->options->rank_timeout, who, NULL, e) : ERR_OK, e);
}

/* Rank 0, beside its steps: mpirun was told to end, and kills the ranks, whatever they do. */
static void rescue(void *trainer)
{
    struct trainer *t = trainer;
    char path[PATH_MAX];
    struct err e;
    uint64_t step = 0;
    if (!saver_rescue(&t->saver, MPIRUN_WAITS, &step))
        log_note("mpirun ends its ranks: there is no checkpoint yet, the same command starts again");
    else if (!rundir_checkpoint_path(path, t->options->output, step, &e))
        log_note("mpirun ends its ranks: the same command goes on from step %" PRIu64 ", %s", step, path);
}

/* Collective. */
static enum err_code note_machine(struct trainer *t, struct err *e)
{
    struct machine machine;
    enum err_code code = hosts_describe(&machine, t->session, &t->arena, e);
    return dist_agree(t->dist, code ? code : machine_append(&t->machine, &machine, e), e);
}

/* Collective. From the first step to the export. */
static enum err_code train(struct trainer *t, struct err *e)
{
    struct dist *d = t->dist;
    enum err_code code = let_rank_0(t, open_output, NULL, e);
    if (code)
        return code;
    struct progress_facts facts = {.data = t->data,
                                   .eval_data = t->eval_data,
                                   .pack_tokens = t->loader.pack.token_capacity,
                                   .schedule = &t->schedule,
                                   .steps_done = t->state.step,
                                   .steps_total = t->schedule.total,
                                   .adapter_buffers = t->reduce.depth + (t->outer.every > 1 ? 3 : 0) +
                                                      session_adapter_copies(t->session)};
    if (pace_open(&t->pace, d, e) || progress_report(t->session, &facts, e) || note_machine(t, e) ||
        trainer_take_reference(t, e))
        return e->code;
    progress_begin(&t->progress, t->state.step, t->schedule.total, (uint64_t)t->options->log_every);
    t->loader.batch.cursor = t->state.cursor;
    outer_begin(&t->outer, &t->session->lora);
    signals_say(t->outer.every > 1 ? "finishing the steps up to the next outer step, then saving a checkpoint"
                                   : "finishing this step, then saving a checkpoint");
    if (d->rank == 0 && launch_by_mpirun())
        signals_call(rescue, t);
    code = watch_ranks(t, e);
    if (!code)
        code = run_steps(t, e);
    if (!code)
        code = let_rank_0(t, write_adapter, rundir_name(RUNDIR_ADAPTER), e);
    if (!code)
        log_note("done: %" PRIu64 " step%s; the adapter is in %s/%s", t->state.step, t->state.step == 1 ? "" : "s",
                 t->options->output, rundir_name(RUNDIR_ADAPTER));
    return code;
}

/* Collective. A finished run: exports the adapter if that is still to be done. */
static enum err_code finish_again(struct trainer *t, struct err *e)
{
    uint64_t missing = 0;
    if (t->dist->rank == 0)
        missing = !rundir_is_exported(t->options->output, t->state.step);
    if (dist_broadcast(t->dist, &missing, sizeof missing, 0, e))
        return e->code;
    return missing ? let_rank_0(t, write_adapter, rundir_name(RUNDIR_ADAPTER), e) : ERR_OK;
}

/* Collective. A fresh adapter: the trace compares it with the base before anything is taken out of that. */
static enum err_code start_adapter(struct trainer *t, struct err *e)
{
    /* A reference is not there yet. */
    const bool measures = t->eval_data && !objective_needs_reference(t->options->objective);
    struct evaluator *v = measures ? &t->evaluator : NULL;
    if (t->options->adapter.count)
        log_note("starting with the adapter of %s, and a new optimizer", t->options->adapter.items[0]);
    if ((t->tracer.every && tracer_measure_base(&t->tracer, v, &t->loader, e)) ||
        session_start_adapter(t->session, e) ||
        (t->tracer.every && tracer_measure_start(&t->tracer, v, &t->loader, e)))
        return e->code;
    return ERR_OK;
}

/* Rank 0, of a run that goes on: what becomes of its learning rate where its end moves. */
static enum err_code compare_schedules(const struct trainer *t, const struct resume *r, struct err *e)
{
    struct schedule then = r->schedule;
    const struct options *o = t->options;
    bool at_end = t->state.finished && !best_is_stale(&t->state.best, r->early_stop);
    then.total = at_end ? t->state.step : count_steps(t, r->epochs, r->max_steps);
    return schedule_go_on(&t->schedule, &then, t->state.step, o->allow_changed_options, e);
}

static enum err_code start(struct trainer *t, struct err *e)
{
    const struct options *o = t->options;
    struct dist *d = t->dist;
    enum err_code code = t->eval_data ? evaluate_open(&t->evaluator, t->session, t->eval_data, e) : ERR_OK;
    if (!code && o->sample_prompts > 0)
        code = samples_open(&t->samples, t->session, t->eval_data, e);
    if (!code)
        code = dist_agree(d, prepare(t, e), e);
    struct resume r = {0};
    if (!code && objective_needs_reference(o->objective))
        code = dist_agree(d, reference_keep(&t->reference, t->session, &t->arena, e), e);
    if (!code)
        code = tracer_begin(&t->tracer, t->session, (uint64_t)o->trace_every, e);
    if (!code)
        code = resume_load(t->session, &t->moments, &t->identity, &t->state, &r, e);
    t->resumed_here = r.here;
    if (!code)
        t->schedule.total = count_steps(t, o->epochs, o->max_steps);
    if (!code && !r.found)
        code = start_adapter(t, e);
    if (!code && d->rank == 0)
        code = tracer_plan(&t->tracer, &r.trace, t->state.step, t->schedule.total, e);
    if (!code && r.found && d->rank == 0)
        code = compare_schedules(t, &r, e);
    trace_release(&r.trace);
    code = dist_agree(d, code, e);
    if (code)
        return code;
    t->state.finished = t->state.finished && (t->state.step >= t->schedule.total || trainer_is_stale(t));
    if (!t->state.finished)
        return train(t, e);
    const bool early = t->state.step < t->schedule.total;
    log_note("this run is finished: %" PRIu64 " steps are done, and the adapter is in %s/%s, for `mpilora eval` and "
             "`generate` with --adapter, and for PEFT",
             t->state.step, o->output, rundir_name(RUNDIR_ADAPTER));
    log_note("to train it further, give a higher %s%s", early ? "--early-stop" : "--max-steps or --epochs",
             early || o->lr_schedule == SCHEDULE_CONSTANT ? "" : ", and --lr-schedule constant with a --learning-rate");
    if (t->resumed_here)
        return finish_again(t, e);
    t->schedule.total = t->state.step; /* the end of a run elsewhere: in this folder it is to be written */
    return train(t, e);
}

/* What is evaluated, to tell whether losses can be compared. */
static void identify_evaluation(struct trainer *t)
{
    char text[FILE_HASH_SIZE + 32];
    int length = snprintf(text, sizeof text, "%s %zu", t->eval_data->hash, t->eval_data->count);
    file_hash_bytes(t->identity.evaluated, text, (size_t)length);
}

/* Checks --eval-split, and the options that need evaluations. */
static enum err_code choose_data(struct trainer *t, struct err *e)
{
    const struct options *o = t->options;
    if (trainer_check_options(o, e))
        return e->code;
    if (o->eval_split > 0) {
        if (dataset_split(&t->rest, &t->held, t->data, o->eval_split, (uint64_t)o->seed, e))
            return e->code;
        if (o->max_eval_examples > 0)
            dataset_limit(&t->held, (size_t)o->max_eval_examples);
        t->data = &t->rest;
        t->eval_data = &t->held;
    }
    if (t->eval_data)
        identify_evaluation(t);
    return ERR_OK;
}

enum err_code trainer_check_options(const struct options *o, struct err *e)
{
    if (o->eval_split > 0 && o->eval_data.count)
        return err_set(e, ERR_USAGE, "--eval-split and --eval-data both say what is evaluated: give one of them");
    if (o->sample_prompts > 0 && !o->eval_data.count && !(o->eval_split > 0))
        return err_set(e, ERR_USAGE,
                       "--sample-prompts takes its prompts from what is evaluated: give --eval-data or --eval-split");
    if (session_check_objective(o, e))
        return e->code;
    if (options_go_by_evaluations(o) && (!o->eval_every || (!o->eval_data.count && !(o->eval_split > 0))))
        return err_set(e, ERR_USAGE, "%s goes by evaluations: give --eval-every, and --eval-data or --eval-split",
                       o->keep_best ? "--keep-best" : "--early-stop");
    return ERR_OK;
}

enum err_code trainer_run(struct session *s, const struct dataset *data, const char *data_hash,
                          const struct dataset *eval_data, struct err *e)
{
    struct trainer *t = calloc(1, sizeof *t);
    enum err_code code = t ? ERR_OK : err_set(e, ERR_MEMORY, "no memory for the trainer");
    code = dist_agree(s->dist, code, e);
    assert(t || code);
    if (!code) {
        t->session = s;
        t->dist = s->dist;
        t->options = s->options;
        t->data = data;
        t->eval_data = eval_data;
        memcpy(t->identity.base, s->store.hash, sizeof t->identity.base);
        memcpy(t->identity.tokenizer, tokenizer_hash(s->tokenizer), sizeof t->identity.tokenizer);
        memcpy(t->identity.data, data_hash, sizeof t->identity.data);
        memcpy(t->identity.adapter, s->given, sizeof t->identity.adapter);
        t->identity.prompts = prompts_of(data);
        code = dist_agree(s->dist, choose_data(t, e), e);
        if (!code)
            code = start(t, e);
        watchdog_stop();
        signals_call(NULL, NULL);
        signals_say(NULL);
        saver_close(&t->saver);
        metrics_close(&t->metrics);
        tensorboard_close(&t->tensorboard);
        lines_close(&t->samples_file);
        pace_close(&t->pace);
        tracer_end(&t->tracer);
        evaluate_close(&t->evaluator);
        samples_close(&t->samples);
        loader_close(&t->loader);
        dataset_close(&t->rest);
        dataset_close(&t->held);
        str_release(&t->config);
        str_release(&t->machine);
        arena_release(&t->arena);
    }
    free(t);
    return code;
}
