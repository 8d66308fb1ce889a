#include "train/evaluate.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/cpu.h"
#include "base/log.h"
#include "train/batch.h"
#include "train/deadline.h"

/* Examples between two agreements of the ranks: enough packs for many ranks to share them evenly. A constant,
 * so that packs, and with them the order of the sums, never depend on the number of ranks. */
enum { ROUND = 256 };

enum err_code evaluate_open(struct evaluator *v, struct session *s, const struct dataset *d, struct err *e)
{
    *v = (struct evaluator){.session = s};
    const size_t sums = preference_sums(s->options->objective);
    const struct objective objective = session_objective(s);
    preference_init(&v->preference, &objective);
    struct loader_options options = {.batch_size = ROUND,
                                     .rank = (size_t)s->dist->rank,
                                     .world = (size_t)s->dist->world,
                                     .read_ahead = true,
                                     .end = d->count};
    size_t tokens;
    enum err_code code = session_pack_tokens(s, &tokens, e);
    options.pack_tokens = tokens;
    if (!code)
        code = loader_open(&v->loader, d, &options, e);
    if (!code)
        code = tally_init(&v->tally, ROUND, (size_t)s->dist->world, sums, &v->arena, e);
    if (!code && sums) {
        v->log_prob = arena_alloc(&v->arena, v->loader.pack.example_capacity, sizeof *v->log_prob, "evaluation", e);
        code = v->log_prob ? ERR_OK : e->code;
    }
    code = dist_agree(s->dist, code, e);
    if (code)
        evaluate_close(v);
    return code;
}

void evaluate_close(struct evaluator *v)
{
    if (v->session)
        loader_close(&v->loader);
    arena_release(&v->arena);
    *v = (struct evaluator){0};
}

void evaluate_plan(const struct evaluator *v, struct model_plan *plan)
{
    batch_plan(&v->loader, plan);
}

enum err_code evaluate_reference(struct evaluator *v, double *log_prob, struct err *e)
{
    struct reference_set all = {log_prob, v->loader.batch.data->count, 0};
    const struct reference_work work = {.what = "evaluation", .end = all.pairs};
    return reference_measure(&all, &(struct reference){0}, v->session, &v->loader, &v->tally, &work, e);
}

static enum err_code measure(void *context, size_t pack, const struct model_input *in,
                             struct model_result *result, struct err *e)
{
    struct evaluator *v = context;
    const struct model_each each = {.log_prob = v->log_prob};
    if (model_evaluate(&v->session->model, in, result, &each, e))
        return e->code;
    if (v->log_prob)
        tally_add_sums(&v->tally, pack, preference_measure(&v->preference, pack, in, v->log_prob, result));
    return ERR_OK;
}

static void show_progress(const struct evaluator *v)
{
    char line[80];
    snprintf(line, sizeof line, "evaluating: %" PRIu64 " of %zu examples", v->loader.batch.cursor,
             v->loader.batch.data->count);
    log_progress(line);
}

enum err_code evaluate_run(struct evaluator *v, struct evaluation *out, struct err *e)
{
    struct dist *d = v->session->dist;
    struct deadline *deadline = &v->session->deadline;
    struct model_result sum = {0};
    struct preference all = v->preference;
    all.batch = (struct objective_batch){0};
    double totals[PREFERENCE_SUMS] = {0};
    size_t count = v->loader.batch.data->count;
    v->loader.batch.cursor = 0;
    while (v->loader.batch.cursor < count) {
        double begun = cpu_seconds();
        enum err_code code = loader_next(&v->loader, e);
        preference_begin(&v->preference, &v->loader.batch);
        tally_begin(&v->tally, code ? 0 : v->loader.batch.plan.pack_count);
        if (!code)
            code = batch_run(&v->loader, &v->tally, measure, v, e);
        if (tally_finish(&v->tally, d, code, deadline_or_signal(deadline), e))
            return err_wrap(e, "evaluation");
        deadline_note_work(deadline, cpu_seconds() - begun);
        sum.loss_sum += v->tally.total.loss_sum;
        sum.supervised += v->tally.total.supervised;
        sum.correct += v->tally.total.correct;
        sum.exact += v->tally.total.exact;
        for (size_t i = 0; i < v->tally.sums; i++)
            totals[i] += v->tally.totals[i];
        all.batch.pairs += v->preference.batch.pairs;
        all.batch.chosen_tokens += v->preference.batch.chosen_tokens;
        show_progress(v);
        if (v->tally.stop)
            return err_set(e, ERR_STOPPED, "stopped by a signal or the time limit while evaluating");
    }
    double tokens = (double)sum.supervised;
    *out = (struct evaluation){.loss = sum.loss_sum / tokens,
                               .perplexity = exp(sum.loss_sum / tokens),
                               .token_accuracy = (double)sum.correct / tokens,
                               .exact_match = (double)sum.exact / (double)count,
                               .supervised_tokens = sum.supervised,
                               .examples = count,
                               .prefers = v->log_prob != NULL};
    if (v->log_prob)
        out->loss = preference_finish(&out->rewards, &all, totals);
    return ERR_OK;
}
