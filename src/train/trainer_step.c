#include <inttypes.h>

#include "ranks/consensus.h"
#include "train/batch.h"
#include "trainer_parts.h"

/* Where the gradient of the batch is added up, and what it is the mean over. With local steps both are this rank's. */
static void begin_gradient(struct trainer *t)
{
    const struct batcher *b = &t->loader.batch;
    const bool local = trainer_is_local(t);
    const struct batch_share share =
        local ? batch_count_share(&t->loader) : (struct batch_share){b->examples, b->supervised, b->chosen};
    t->loss_scale = share.supervised ? 1 / (double)share.supervised : 0;
    if (t->options->objective != OBJECTIVE_SFT) {
        preference_begin(&t->preference, b);
        t->preference.weighed = (struct objective_batch){share.examples, share.chosen};
        t->loss_scale = share.examples > 0; /* the objective's weights have the means in them */
    }
    if (local)
        t->grads = outer_clear_grads(&t->outer, &t->session->lora.layout);
    else
        reduce_begin(&t->reduce, b->plan.pack_count);
}

static enum err_code step_pack(void *trainer, size_t pack, const struct model_input *in,
                               struct model_result *result, struct err *e)
{
    struct trainer *t = trainer;
    const bool local = trainer_is_local(t);
    struct model_grads grads = {.values = t->outer.grads};
    if (!local)
        grads = (struct model_grads){reduce_pack_begin(&t->reduce, pack), reduce_layer_ready, &t->reduce};
    const struct model_input weighed = preference_input(&t->preference, pack, in);
    trainer_watch_pack(t, pack, true);
    enum err_code code = model_step_grad(&t->session->model, &weighed, t->loss_scale, &grads, result, NULL, e);
    trainer_watch_pack(t, pack, false);
    if (!code)
        tally_add_sums(&t->tally, pack, preference_sums_of(&t->preference, result));
    if (!code && !local)
        reduce_pack_end(&t->reduce);
    return code;
}

/* This rank's packs of the batch that loader_next() has planned, which went as `code` says. */
static enum err_code run_packs(struct trainer *t, enum err_code code, struct err *e)
{
    tally_begin(&t->tally, code ? 0 : t->loader.batch.plan.pack_count);
    if (!code)
        begin_gradient(t);
    if (!code)
        code = trainer_take_trouble(t, e);
    return code ? code : batch_run(&t->loader, &t->tally, step_pack, t, e);
}

/* Collective. The batch's losses on all ranks, or one rank's error. */
static enum err_code sum_losses(struct trainer *t, enum err_code code, struct err *e)
{
    code = tally_finish(&t->tally, t->dist, code, trainer_wish(t), e);
    if (code)
        reduce_drop(&t->reduce);
    else
        t->stop = t->tally.stop;
    return code;
}

/* Collective. The batch's gradient on all ranks. */
static enum err_code sum_gradients(struct trainer *t, enum err_code code, struct err *e)
{
    return code || trainer_is_local(t) ? code : reduce_finish(&t->reduce, &t->grads, e);
}

/* Collective. At the end of local steps: one adapter for all ranks. */
static enum err_code meet(struct trainer *t, struct metrics_row *row, struct err *e)
{
    enum err_code code = dist_agree(t->dist, trainer_take_trouble(t, e), e);
    trainer_watch_meeting(t, row, true);
    if (!code)
        code = outer_step(&t->outer, &t->session->lora, &t->moments, &t->reduce, e);
    trainer_watch_meeting(t, row, false);
    return code ? err_wrap(e, "step %" PRIu64, row->step) : ERR_OK;
}

/* Collective. One optimizer step, or one that is skipped; its numbers are in `row`. */
static enum err_code take_step(struct trainer *t, struct metrics_row *row, struct err *e)
{
    trainer_watch_begin(t, row);
    enum err_code code = loader_next(&t->loader, e);
    code = run_packs(t, code, e); /* model_step_grad() for each */
    trainer_watch_arrive(t);
    code = sum_losses(t, code, e);
    code = sum_gradients(t, code, e);
    if (t->dist->rank == 0)
        saver_begin_change(&t->saver);
    if (trainer_approves(t, row, &code, e)) {
        optim_step(&t->session->lora, &t->moments, t->grads, &t->optim, row->grad_norm, row->learning_rate,
                   guard_steps_taken(&t->state.guard, row->step));
        trainer_watch_update(t, row);
    }
    if (!code && trainer_is_local(t) && t->meeting)
        code = meet(t, row, e);
    if (!code)
        trainer_watch_end(t, row);
    return code;
}

bool trainer_is_due(const struct trainer *t, int64_t every)
{
    uint64_t step = t->state.step, interval = (uint64_t)every;
    return every > 0 && outer_meets(&t->outer, step, t->schedule.total) &&
           step / interval > outer_last_meeting(&t->outer, step) / interval;
}

bool trainer_is_stale(const struct trainer *t)
{
    return best_is_stale(&t->state.best, (uint64_t)t->options->early_stop);
}

/* Collective. ERR_STOPPED, with t->stop set, when some rank wants to stop in between. */
static enum err_code sample_answers(struct trainer *t, struct err *e)
{
    struct err trouble;
    if (!t->samples.questions.count)
        return ERR_OK;
    struct str *pending = &t->samples_file.pending;
    const size_t before = pending->length;
    enum err_code code = samples_take(&t->samples, t->state.step, pending, &t->stop, e);
    if (!code && pending->length > before)
        tensorboard_samples(&t->tensorboard, t->state.step, pending->data + before, pending->length - before);
    if (!code && t->stop)
        return err_set(e, ERR_STOPPED, "stopped by a signal or the time limit while answering sample prompts");
    if (!code && t->dist->rank == 0)
        trainer_note_trouble(t, lines_put(&t->samples_file, &trouble), &trouble);
    return code;
}

enum err_code trainer_evaluate(struct trainer *t, struct metrics_row *row, struct err *e)
{
    struct evaluation result = {0};
    enum err_code code = evaluate_run(&t->evaluator, &result, e);
    if (code == ERR_STOPPED)
        t->stop = t->evaluator.tally.stop;
    if (!code)
        code = sample_answers(t, e);
    pace_meet(&t->pace);
    if (code == ERR_STOPPED)
        return ERR_OK;
    row->evaluated = !code;
    row->eval_loss = code ? 0 : result.loss;
    row->eval_rewards = result.rewards;
    t->is_best = !code && best_take(&t->state.best, t->state.step, result.loss,
                                    trainer_is_due(t, t->options->eval_every), t->identity.evaluated);
    return code;
}

/* Rank 0. */
static void write_metrics(struct trainer *t, const struct metrics_row *row)
{
    struct err e;
    trainer_note_trouble(t, metrics_write(&t->metrics, row, &e), &e);
    tensorboard_metrics(&t->tensorboard, row);
    if (row->traced)
        tensorboard_adapter(&t->tensorboard, row->step, &t->session->lora);
    progress_step(&t->progress, row);
    if (outer_meets(&t->outer, t->state.step, t->schedule.total))
        saver_end_change(&t->saver, &t->state);
}

/* Rank 0 hands this state to the saver if a save is due; the others go on. Between two meetings of local steps
 * there is no state to save. */
static void save(struct trainer *t)
{
    struct err e;
    if (outer_meets(&t->outer, t->state.step, t->schedule.total))
        trainer_note_trouble(
            t, saver_step(&t->saver, &t->state, trainer_is_due(t, t->options->save_every), &e), &e);
}

enum err_code trainer_save_best(struct trainer *t, struct err *e)
{
    bool due = t->is_best && t->options->keep_best;
    t->is_best = false;
    return due ? trainer_save_now(t, e) : ERR_OK;
}

enum err_code trainer_take_steps(struct trainer *t, struct err *e)
{
    const struct options *o = t->options;
    const uint64_t total = t->schedule.total;
    struct metrics_row row;
    for (bool first = true; t->state.step < total && !t->stop && !trainer_is_stale(t); first = false) {
        if (take_step(t, &row, e))
            return e->code;
        if (first)
            trainer_report_first(t);
        row.machine = first ? t->machine.data : NULL;
        bool last = t->state.step == total;
        if (t->eval_data && !t->stop && (last || trainer_is_due(t, o->eval_every)) &&
            trainer_evaluate(t, &row, e))
            return e->code;
        if (t->dist->rank == 0)
            write_metrics(t, &row);
        if (!last && trainer_save_best(t, e))
            return e->code;
        if (trainer_is_due(t, o->check_every) &&
            consensus_check(t->dist, &t->session->lora, t->pace.hosts, e))
            return err_wrap(e, "step %" PRIu64, row.step);
        if (t->session->on_step)
            t->session->on_step(t->session->on_step_context);
        if (t->dist->rank == 0 && (!last || t->stop))
            save(t);
    }
    return ERR_OK;
}
