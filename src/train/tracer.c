#include "train/tracer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "math/kern.h"
#include "math/lowrank.h"
#include "math/parallel.h"

/* A piece of work on every module, a module on each thread. */
struct measuring {
    struct tracer *t;
    size_t row;
};

static double sum_squares(const float *x, size_t count)
{
    return kern_for(cpu_isa_best())->sum_squares(x, count);
}

static double cosine(const float *x, const float *y, size_t count)
{
    double dot = 0, xx = 0, yy = 0;
    for (size_t i = 0; i < count; i++) {
        dot += (double)x[i] * (double)y[i];
        xx += (double)x[i] * (double)x[i];
        yy += (double)y[i] * (double)y[i];
    }
    return xx > 0 && yy > 0 ? dot / sqrt(xx * yy) : 0;
}

static struct lowrank shape_of(const struct lora_module *m)
{
    return (struct lowrank){m->out, m->in, m->rank};
}

static void weigh_module(void *context, size_t i)
{
    const struct measuring *w = context;
    const struct session *s = w->t->session;
    const struct lora_module *m = &s->lora.layout.modules[i];
    float *row = malloc(m->in * sizeof *row);
    double sum = 0;
    if (!row) {
        err_set(&w->t->errors[i], ERR_MEMORY, "no memory for a row of the base");
        return;
    }
    for (size_t k = 0; k < m->out; k++) {
        weights_read_file(row, &s->model.weights, &s->model.arch, m->layer, m->linear, k, 1);
        sum += sum_squares(row, m->in);
    }
    free(row);
    w->t->weight_norm[i] = sqrt(sum);
}

/* What the state alone tells of a module. */
static void measure_state(void *context, size_t i)
{
    const struct measuring *w = context;
    struct tracer *t = w->t;
    const struct lora *l = &t->session->lora;
    const struct lora_module *m = &l->layout.modules[i];
    struct lowrank shape = shape_of(m);
    const float *A = l->params + m->a, *B = l->params + m->b, *A0 = t->start + m->a, *B0 = t->start + m->b;
    float *values = t->record.modules[i].values[w->row];
    double product = 0, change = 0;
    for (int k = 0; k < TRACE_COLUMNS; k++)
        values[k] = NAN;
    if (lowrank_distance(&product, &shape, A, B, NULL, NULL, &t->errors[i]) ||
        lowrank_distance(&change, &shape, A, B, A0, B0, &t->errors[i]) ||
        lowrank_singular_values(t->record.modules[i].singular_values + w->row * m->rank, &shape, A, B,
                                &t->errors[i]))
        return;
    values[TRACE_NORM_A] = (float)sqrt(sum_squares(A, m->rank * m->in));
    values[TRACE_NORM_B] = (float)sqrt(sum_squares(B, m->rank * m->out));
    values[TRACE_NORM_BA] = (float)product;
    values[TRACE_CHANGE] = (float)(fabs((double)m->scaling) * change / t->weight_norm[i]);
    values[TRACE_COSINE_A] = (float)cosine(A, A0, m->rank * m->in);
}

/* What the batch adds to it. */
static void measure_batch(const struct tracer *t, const float *grads, size_t row)
{
    const struct lora *l = &t->session->lora;
    for (size_t i = 0; i < l->layout.count; i++) {
        const struct lora_module *m = &l->layout.modules[i];
        const struct model_tap_sums *sums = &t->tap.sums[i];
        float *values = t->record.modules[i].values[row];
        values[TRACE_GRAD_A] = (float)sqrt(sum_squares(grads + m->a, m->rank * m->in));
        values[TRACE_GRAD_B] = (float)sqrt(sum_squares(grads + m->b, m->rank * m->out));
        if (!sums->rows)
            continue;
        values[TRACE_MEAN_SQUARE_AX] = (float)(sums->ax / (double)(sums->rows * m->rank));
        values[TRACE_MEAN_SQUARE_BAX] = (float)(sums->bax / (double)(sums->rows * m->out));
        values[TRACE_MEAN_SQUARE_WX] = (float)(sums->wx / (double)(sums->rows * m->out));
    }
}

static void measure_update(void *context, size_t i)
{
    const struct measuring *w = context;
    struct tracer *t = w->t;
    const struct lora *l = &t->session->lora;
    const struct lora_module *m = &l->layout.modules[i];
    struct lowrank shape = shape_of(m);
    double update = 0;
    lowrank_distance(&update, &shape, l->params + m->a, l->params + m->b, t->before + m->a, t->before + m->b,
                     &t->errors[i]);
    t->record.modules[i].values[w->row][TRACE_UPDATE] =
        (float)(fabs((double)m->scaling) * update / t->weight_norm[i]);
}

static enum err_code for_each_module(struct tracer *t, void (*work)(void *, size_t), size_t row,
                                     struct err *e)
{
    struct measuring w = {t, row};
    size_t count = t->session->lora.layout.count;
    memset(t->errors, 0, count * sizeof *t->errors);
    parallel_each(count, work, &w);
    for (size_t i = 0; i < count; i++)
        if (t->errors[i].code) {
            *e = t->errors[i];
            return err_wrap(e, "the trace of %s", t->session->lora.layout.modules[i].path);
        }
    return ERR_OK;
}

static enum err_code take_memory(struct tracer *t, struct err *e)
{
    const struct lora *l = &t->session->lora;
    t->start = arena_alloc(&t->arena, l->layout.size, sizeof *t->start, "the trace", e);
    t->before = arena_alloc(&t->arena, l->layout.size, sizeof *t->before, "the trace", e);
    t->weight_norm = arena_alloc(&t->arena, l->layout.count, sizeof *t->weight_norm, "the trace", e);
    t->errors = arena_alloc(&t->arena, l->layout.count, sizeof *t->errors, "the trace", e);
    if (!t->start || !t->before || !t->weight_norm || !t->errors)
        return e->code;
    memcpy(t->start, l->params, l->layout.size * sizeof *t->start);
    return model_tap_open(&t->tap, &t->session->model, e);
}

enum err_code tracer_begin(struct tracer *t, struct session *s, uint64_t every, struct err *e)
{
    *t = (struct tracer){.session = s, .every = every};
    t->record.base_eval_loss = t->record.start_eval_loss = t->record.start_logit_difference = NAN;
    return dist_agree(s->dist, every && s->dist->rank == 0 ? take_memory(t, e) : ERR_OK, e);
}

void tracer_end(struct tracer *t)
{
    if (t->session)
        t->session->model.tap = NULL;
    model_tap_close(&t->tap);
    free(t->logits);
    trace_release(&t->record);
    arena_release(&t->arena);
    *t = (struct tracer){0};
}

static enum err_code take_rows(struct trace_record *r, const struct lora *l, size_t capacity, struct err *e)
{
    r->capacity = capacity;
    r->module_count = l->layout.count;
    r->steps = arena_alloc(&r->arena, capacity, sizeof *r->steps, "the trace", e);
    r->modules = arena_alloc(&r->arena, l->layout.count, sizeof *r->modules, "the trace", e);
    if (!r->steps || !r->modules)
        return e->code;
    for (size_t i = 0; i < l->layout.count; i++) {
        struct trace_module *m = &r->modules[i];
        m->rank = l->layout.modules[i].rank;
        m->path = l->layout.modules[i].path;
        m->values = arena_alloc(&r->arena, capacity, sizeof *m->values, "the trace", e);
        m->singular_values =
            arena_alloc(&r->arena, capacity, m->rank * sizeof *m->singular_values, "the trace", e);
        if (!m->values || !m->singular_values)
            return err_wrap(e, "%zu rows (a larger --trace-every needs fewer)", capacity);
    }
    return ERR_OK;
}

enum err_code tracer_plan(struct tracer *t, const struct trace_record *earlier, uint64_t step, uint64_t total,
                          struct err *e)
{
    struct trace_record *r = &t->record;
    const struct lora *l = &t->session->lora;
    size_t kept = 0;
    while (kept < earlier->count && earlier->steps[kept] < step)
        kept++;
    if (take_rows(r, l, kept + (t->every ? (total > step ? (total - step) / t->every : 0) + 2 : 0), e))
        return e->code;
    if (step) {
        r->base_eval_loss = earlier->base_eval_loss;
        r->start_eval_loss = earlier->start_eval_loss;
        r->start_logit_difference = earlier->start_logit_difference;
    }
    for (size_t i = 0; i < l->layout.count && kept; i++) {
        const struct trace_module *from = trace_find(earlier, l->layout.modules[i].path);
        struct trace_module *to = &r->modules[i];
        if (!from || from->rank != to->rank)
            return err_set(e, ERR_FORMAT, "the checkpoint's trace is not of the modules of its adapter");
        memcpy(to->values, from->values, kept * sizeof *to->values);
        memcpy(to->singular_values, from->singular_values, kept * to->rank * sizeof *to->singular_values);
    }
    if (kept)
        memcpy(r->steps, earlier->steps, kept * sizeof *r->steps);
    r->count = kept;
    if (!t->every)
        return ERR_OK;
    if (l->start)
        memcpy(t->start, l->start, l->layout.size * sizeof *t->start);
    return for_each_module(t, weigh_module, 0, e);
}

bool tracer_is_due(const struct tracer *t, uint64_t step)
{
    return t->every && step % t->every == 0 && t->session->dist->rank == 0;
}

void tracer_watch_pack(struct tracer *t, bool watch)
{
    if (watch)
        model_tap_clear(&t->tap);
    t->session->model.tap = watch ? &t->tap : NULL;
}

enum err_code tracer_before_step(struct tracer *t, const float *grads, uint64_t step, struct err *e)
{
    struct trace_record *r = &t->record;
    if (for_each_module(t, measure_state, r->count, e))
        return e->code;
    measure_batch(t, grads, r->count);
    memcpy(t->before, t->session->lora.params, t->session->lora.layout.size * sizeof *t->before);
    r->steps[r->count++] = step;
    t->open_row = true;
    return ERR_OK;
}

static void summarize(struct trace_summary *s, const struct trace_record *r, size_t row)
{
    *s = (struct trace_summary){.step = r->steps[row]};
    for (size_t i = 0; i < r->module_count; i++) {
        const float *v = r->modules[i].values[row];
        s->norm_a = hypot(s->norm_a, (double)v[TRACE_NORM_A]);
        s->norm_b = hypot(s->norm_b, (double)v[TRACE_NORM_B]);
        s->norm_ba = hypot(s->norm_ba, (double)v[TRACE_NORM_BA]);
        s->grad_a = hypot(s->grad_a, (double)v[TRACE_GRAD_A]);
        s->grad_b = hypot(s->grad_b, (double)v[TRACE_GRAD_B]);
        s->update = fmax(s->update, (double)v[TRACE_UPDATE]);
        s->change = fmax(s->change, (double)v[TRACE_CHANGE]);
        s->output_ratio =
            fmax(s->output_ratio, sqrt((double)v[TRACE_MEAN_SQUARE_BAX] / (double)v[TRACE_MEAN_SQUARE_WX]));
    }
}

enum err_code tracer_after_step(struct tracer *t, struct trace_summary *summary, struct err *e)
{
    if (!t->open_row)
        return ERR_OK;
    t->open_row = false;
    if (for_each_module(t, measure_update, t->record.count - 1, e))
        return e->code;
    summarize(summary, &t->record, t->record.count - 1);
    return ERR_OK;
}

enum err_code tracer_finish(struct tracer *t, uint64_t step, struct err *e)
{
    struct trace_record *r = &t->record;
    if (!t->every || t->session->dist->rank != 0)
        return ERR_OK;
    if (for_each_module(t, measure_state, r->count, e))
        return e->code;
    r->steps[r->count++] = step;
    return ERR_OK;
}
