#include <string.h>

#include "math/gemm.h"
#include "math/parallel.h"
#include "model/lora_init.h"

struct change {
    const struct lora *l;
    float **matrices; /* [number of modules] W [out, in], to be written to */
};

static void change_one(void *context, size_t i)
{
    struct change *c = context;
    const struct lora_module *m = &c->l->modules[i];
    gemm_f32(GEMM_N, GEMM_N, m->out, m->in, m->rank, -m->scaling, c->l->start + m->b, m->rank,
             c->l->start + m->a, m->in, 1, c->matrices[i], m->in);
}

enum err_code lora_change_base(const struct lora *l, const struct arch *a, struct weights *w, struct err *e)
{
    struct arena arena = {0};
    struct change c = {.l = l};
    c.matrices = arena_alloc(&arena, l->count, sizeof *c.matrices, "modules of the adapter", e);
    enum err_code code = c.matrices ? ERR_OK : e->code;
    for (size_t i = 0; i < l->count && !code; i++)
        code = weights_change(&c.matrices[i], w, a, l->modules[i].layer, l->modules[i].linear, e);
    if (!code)
        parallel_each(l->count, change_one, &c);
    arena_release(&arena);
    return code;
}

/* [x, y] beside each other: rows of length `each` from both. */
static void put_beside(float *out, const float *x, const float *y, float sign, size_t rows, size_t each)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < each; j++) {
            out[i * 2 * each + j] = x[i * each + j];
            out[i * 2 * each + each + j] = sign * y[i * each + j];
        }
}

enum err_code lora_widen(struct lora *out, const struct lora *l, const struct arch *a, struct err *e)
{
    struct arena arena = {0};
    struct lora_given *given = arena_alloc(&arena, l->count, sizeof *given, "adapter modules", e);
    enum err_code code = given ? ERR_OK : e->code;
    for (size_t i = 0; i < l->count && !code; i++)
        given[i] =
            (struct lora_given){l->modules[i].path, 2 * l->modules[i].rank, (double)l->modules[i].scaling};
    if (!code)
        code = lora_create_given(out, a, given, l->count, e);
    for (size_t i = 0; i < l->count && !code; i++) {
        const struct lora_module *m = &l->modules[i], *wide = lora_find(out, m->path);
        float *A = out->params + wide->a;
        size_t count = m->rank * m->in;
        memcpy(A, l->params + m->a, count * sizeof *A);
        memcpy(A + count, l->start + m->a, count * sizeof *A);
        put_beside(out->params + wide->b, l->params + m->b, l->start + m->b, -1, m->out, m->rank);
    }
    if (!code) {
        out->dropout = l->dropout;
        out->rslora = l->rslora;
    }
    arena_release(&arena);
    return code;
}
