#include "train/reference.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/log.h"
#include "base/str.h"
#include "train/batch.h"

#define LONG 20 /* seconds that a person should know of before they pass */

struct work {
    struct model *model;
    const struct batcher *batch;
    double *of_pack; /* [examples of a pack] */
    double *log_prob;
};

enum err_code reference_keep(struct reference *r, const struct session *s, struct arena *a, struct err *e)
{
    const struct lora *l = &s->lora;
    *r = (struct reference){0};
    if (!*s->given)
        return ERR_OK;
    r->given = arena_alloc(a, l->layout.size, sizeof *r->given, "adapter of the reference", e);
    if (!r->given)
        return e->code;
    memcpy(r->given, l->params, l->layout.size * sizeof *r->given);
    return ERR_OK;
}

static enum err_code measure(void *context, size_t pack, const struct model_input *in, struct model_result *result,
                             struct err *e)
{
    const struct work *w = context;
    const uint32_t *pairs = w->batch->plan.order + w->batch->plan.first[pack];
    if (model_evaluate(w->model, in, result, &(struct model_each){.log_prob = w->of_pack}, e))
        return e->code;
    for (size_t i = 0; i < in->examples; i++)
        w->log_prob[2 * w->batch->index[pairs[i / 2]] + i % 2] = w->of_pack[i];
    return ERR_OK;
}

enum err_code reference_batch(double *log_prob, const struct reference *r, struct session *s, struct loader *l,
                              struct tally *t, struct err *e)
{
    struct lora *const adapter = s->model.lora;
    float *const params = adapter ? adapter->params : NULL;
    struct work w = {&s->model, &l->batch, calloc(l->pack.example_capacity, sizeof *w.of_pack), log_prob};
    if (!w.of_pack)
        return err_set(e, ERR_MEMORY, "no memory for the log-probabilities of %zu answers", l->pack.example_capacity);
    if (adapter && (r->given || adapter->start))
        adapter->params = r->given ? r->given : adapter->start;
    else
        s->model.lora = NULL;
    enum err_code code = batch_run(l, t, measure, &w, e);
    if (adapter)
        adapter->params = params;
    s->model.lora = adapter;
    free(w.of_pack);
    return code;
}

/* After the first batch: how long it will take, if that is long. */
static void tell_time(const struct reference_part *part, uint64_t done, double seconds)
{
    const double all = seconds * (double)(part->end - part->begin) / (double)done;
    char text[32];
    str_format_time(text, sizeof text, all);
    if (all > LONG)
        log_note("reference, %s: %" PRIu64 " pairs, about %s", part->what, part->end - part->begin, text);
}

/* Collective. */
static enum err_code run_batches(double *log_prob, const struct reference *r, struct session *s, struct loader *l,
                                 struct tally *t, const struct reference_part *part, struct err *e)
{
    char line[128];
    for (l->batch.cursor = part->begin; l->batch.cursor < part->end;) {
        const double begun = cpu_seconds();
        const bool first = l->batch.cursor == part->begin;
        enum err_code code = loader_next(l, e);
        tally_begin(t, code ? 0 : l->batch.plan.pack_count);
        if (!code)
            code = reference_batch(log_prob, r, s, l, t, e);
        if (tally_finish(t, s->dist, code, deadline_or_signal(&s->deadline), e))
            return e->code;
        deadline_note_work(&s->deadline, cpu_seconds() - begun);
        if (first)
            tell_time(part, l->batch.cursor - part->begin, cpu_seconds() - begun);
        snprintf(line, sizeof line, "reference, %s: %" PRIu64 " of %" PRIu64 " pairs", part->what,
                 l->batch.cursor - part->begin, part->end - part->begin);
        log_progress(line);
        if (t->stop)
            return err_set(e, ERR_STOPPED,
                           "stopped by a signal or the time limit while the reference was computed: the same command "
                           "starts that again");
    }
    return ERR_OK;
}

enum err_code reference_measure(double *log_prob, const struct reference *r, struct session *s, struct loader *l,
                                struct tally *t, const struct reference_part *part, struct err *e)
{
    const size_t count = l->batch.data->count;
    const double begun = cpu_seconds();
    if (s->dist->rank > 0 || !part->begin)
        memset(log_prob, 0, 2 * count * sizeof *log_prob);
    if (run_batches(log_prob, r, s, l, t, part, e) || /* each was set by one rank, and is 0 on the others */
        dist_sum_f64(s->dist, log_prob, 2 * count, e))
        return err_wrap(e, "reference");
    const uint64_t done = l->batch.cursor - part->begin;
    if (done < count)
        log_note("reference, %s: %" PRIu64 " of %zu pairs in %.2f s", part->what, done, count, cpu_seconds() - begun);
    else
        log_note("reference, %s: %zu pairs in %.2f s", part->what, count, cpu_seconds() - begun);
    return ERR_OK;
}
