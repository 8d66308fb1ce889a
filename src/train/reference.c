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

/* What reference_measure() works on. */
struct measurement {
    const struct reference_work *work;
    struct reference_set *set;
    const struct reference *reference;
    struct session *session;
    struct loader *loader;
    struct tally *tally;
    uint64_t begin; /* set->samples at the start */
    double begun;   /* clock then */
};

/* After the first batch: how long it will take, if that is long. */
static void tell_time(const struct measurement *m)
{
    const uint64_t samples = m->work->end - m->begin, done = m->loader->batch.cursor - m->begin;
    const double seconds = (cpu_seconds() - m->begun) * (double)samples / (double)done;
    char text[32];
    str_format_time(text, sizeof text, seconds);
    if (seconds > LONG)
        log_note("reference, %s: %" PRIu64 " pairs, about %s", m->work->what, samples, text);
}

/* Collective. The next batch. */
static enum err_code run_batch(struct measurement *m, struct err *e)
{
    struct batcher *b = &m->loader->batch;
    struct session *s = m->session;
    const double begun = cpu_seconds();
    const bool first = b->cursor == m->begin;
    char line[128];
    enum err_code code = loader_next(m->loader, e);
    tally_begin(m->tally, code ? 0 : b->plan.pack_count);
    if (!code)
        code = reference_batch(m->set->log_prob, m->reference, s, m->loader, m->tally, e);
    if (tally_finish(m->tally, s->dist, code, deadline_or_signal(&s->deadline), e))
        return err_wrap(e, "reference");
    deadline_note_work(&s->deadline, cpu_seconds() - begun);
    if (first)
        tell_time(m);
    snprintf(line, sizeof line, "reference, %s: %" PRIu64 " of %" PRIu64 " pairs", m->work->what, b->cursor - m->begin,
             m->work->end - m->begin);
    log_progress(line);
    return ERR_OK;
}

/* Collective. The batches up to the next time that the values are kept. */
static enum err_code run_part(struct measurement *m, struct err *e)
{
    const struct reference_work *w = m->work;
    struct reference_set *set = m->set;
    struct dist *d = m->session->dist;
    const uint64_t left = w->end - set->samples;
    const uint64_t end = set->samples + (w->every && w->every < left ? w->every : left);
    if (d->rank > 0 || !set->samples)
        memset(set->log_prob, 0, 2 * set->pairs * sizeof *set->log_prob);
    do {
        if (run_batch(m, e))
            return e->code;
    } while (m->loader->batch.cursor < end && !m->tally->stop);
    if (dist_sum_f64(d, set->log_prob, 2 * set->pairs, e)) /* each is of one rank, and 0 on the others */
        return err_wrap(e, "reference");
    set->samples = m->loader->batch.cursor;
    return w->keep ? duty_run(d, w->keep, e) : ERR_OK;
}

enum err_code reference_measure(struct reference_set *set, const struct reference *r, struct session *s,
                                struct loader *l, struct tally *t, const struct reference_work *work, struct err *e)
{
    struct measurement m = {work, set, r, s, l, t, set->samples, cpu_seconds()};
    l->batch.cursor = set->samples;
    do {
        if (run_part(&m, e))
            return e->code;
    } while (set->samples < work->end && !t->stop);
    const uint64_t done = set->samples - m.begin;
    char all[32] = "", kept[48] = "";
    if (m.begin)
        snprintf(kept, sizeof kept, ", after %" PRIu64 " that were kept", m.begin);
    if (done < set->pairs)
        snprintf(all, sizeof all, " of %zu", set->pairs);
    log_note("reference, %s: %" PRIu64 "%s pairs in %.2f s%s", work->what, done, all, cpu_seconds() - m.begun, kept);
    if (t->stop)
        return err_set(e, ERR_STOPPED,
                       "stopped by a signal or the time limit while the reference was computed: the same command %s",
                       work->keep ? "goes on with it" : "starts that again");
    return ERR_OK;
}
