#include "model/tap.h"

#include <string.h>

#include "math/gemm.h"
#include "math/kern.h"

enum err_code model_tap_open(struct model_tap *t, const struct model *m, struct err *e)
{
    const struct lora_layout *l = &m->lora->layout;
    size_t in = 0, out = 0, rank = 0;
    *t = (struct model_tap){.model = m};
    for (size_t i = 0; i < l->count; i++) {
        in = l->modules[i].in > in ? l->modules[i].in : in;
        out = l->modules[i].out > out ? l->modules[i].out : out;
        rank = l->modules[i].rank > rank ? l->modules[i].rank : rank;
    }
    t->sums = arena_alloc(&t->arena, l->count, sizeof *t->sums, "the trace", e);
    t->x = arena_alloc(&t->arena, in, MODEL_TAP_ROWS * sizeof *t->x, "the trace", e);
    t->low = arena_alloc(&t->arena, rank, MODEL_TAP_ROWS * sizeof *t->low, "the trace", e);
    t->y = arena_alloc(&t->arena, out, MODEL_TAP_ROWS * sizeof *t->y, "the trace", e);
    t->weight = arena_alloc(&t->arena, in, MODEL_TAP_ROWS * sizeof *t->weight, "the trace", e);
    if (t->sums && t->x && t->low && t->y && t->weight)
        return ERR_OK;
    model_tap_close(t);
    return e->code;
}

void model_tap_close(struct model_tap *t)
{
    arena_release(&t->arena);
    *t = (struct model_tap){0};
}

void model_tap_clear(struct model_tap *t)
{
    memset(t->sums, 0, t->model->lora->layout.count * sizeof *t->sums);
}

static void add_module(struct model_tap *t, const struct lora_module *m, size_t n)
{
    const struct lora *l = t->model->lora;
    const struct kern *kern = kern_for(cpu_isa_best());
    struct model_tap_sums *sums = &t->sums[m - l->layout.modules];
    gemm_f32(GEMM_N, GEMM_T, n, m->rank, m->in, 1, t->x, m->in, l->params + m->a, m->in, 0, t->low, m->rank);
    sums->ax += kern->sum_squares(t->low, n * m->rank);
    gemm_f32(GEMM_N, GEMM_T, n, m->out, m->rank, m->scaling, t->low, m->rank, l->params + m->b, m->rank, 0,
             t->y, m->out);
    sums->bax += kern->sum_squares(t->y, n * m->out);
    for (size_t first = 0, count; first < m->out; first += count) {
        count = m->out - first < MODEL_TAP_ROWS ? m->out - first : MODEL_TAP_ROWS;
        weights_read(t->weight, &t->model->weights, &t->model->arch, m->layer, m->linear, first, count);
        gemm_f32(GEMM_N, GEMM_T, n, count, m->in, 1, t->x, m->in, t->weight, m->in, 0, t->y + first, m->out);
    }
    sums->wx += kern->sum_squares(t->y, n * m->out);
    sums->rows += n;
}

void model_tap_add(struct model_tap *t, size_t layer, enum linear_group g, const void *x, size_t n)
{
    size_t taken = n < MODEL_TAP_ROWS ? n : MODEL_TAP_ROWS, in = arch_group_columns(&t->model->arch, layer, g);
    const struct kern_typed *real = kern_typed(kern_for(cpu_isa_best()), t->model->weights.type);
    bool gathered = false;
    const struct arch_range range = arch_group(t->model->arch.family, g);
    for (size_t i = range.first; i < range.end; i++) {
        const struct lora_module *m = lora_at(&t->model->lora->layout, layer, i);
        if (!m)
            continue;
        for (size_t row = 0; row < taken && !gathered; row++)
            real->to_f32(t->x + row * in, (const char *)x + row * n / taken * in * real->size, in);
        gathered = true;
        add_module(t, m, taken);
    }
}
