#include <string.h>

#include "math/gemm.h"
#include "math/parallel.h"
#include "model/lora_init.h"

/* Rows that a thread changes at a time: a fixed number, so that no bit depends on how many threads there are.
 */
enum { ROWS = 64 };

struct change {
    const struct lora *l;
    const struct lora_module *m;
    const struct arch *a;
    struct weights *w;
    float *rows; /* [out, in] of the largest module */
};

static void change_rows(void *context, size_t i)
{
    struct change *c = context;
    const struct lora_module *m = c->m;
    size_t first = i * ROWS, count = m->out - first < ROWS ? m->out - first : ROWS;
    float *rows = c->rows + first * m->in;
    weights_read_file(rows, c->w, c->a, m->layer, m->linear, first, count);
    gemm_f32(GEMM_N, GEMM_N, count, m->in, m->rank, -m->scaling, c->l->start + m->b + first * m->rank,
             m->rank, c->l->start + m->a, m->in, 1, rows, m->in);
    weights_write(c->w, c->a, m->layer, m->linear, first, count, rows);
}

enum err_code lora_change_base(const struct lora *l, const struct arch *a, struct weights *w, struct err *e)
{
    struct arena arena = {0};
    struct change c = {.l = l, .a = a, .w = w};
    size_t largest = 0;
    for (size_t i = 0; i < l->layout.count; i++)
        if (l->layout.modules[i].out * l->layout.modules[i].in > largest)
            largest = l->layout.modules[i].out * l->layout.modules[i].in;
    c.rows = arena_alloc(&arena, largest, sizeof *c.rows, "a matrix of the base", e);
    enum err_code code = c.rows ? ERR_OK : e->code;
    for (size_t i = 0; i < l->layout.count && !code; i++) {
        c.m = &l->layout.modules[i];
        code = weights_change(w, a, c.m->layer, c.m->linear, e);
        if (!code)
            parallel_each((c.m->out + ROWS - 1) / ROWS, change_rows, &c);
    }
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
    struct lora_given *given = arena_alloc(&arena, l->layout.count, sizeof *given, "adapter modules", e);
    enum err_code code = given ? ERR_OK : ERR_MEMORY;
    for (size_t i = 0; i < l->layout.count && !code; i++)
        given[i] = (struct lora_given){l->layout.modules[i].path, 2 * l->layout.modules[i].rank,
                                       (double)l->layout.modules[i].scaling};
    if (!code)
        code = lora_create_given(out, a, given, l->layout.count, e);
    for (size_t i = 0; i < l->layout.count && !code; i++) {
        const struct lora_module *m = &l->layout.modules[i], *wide = lora_find(&out->layout, m->path);
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
