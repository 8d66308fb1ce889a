#include "train/outer.h"

#include <string.h>

#include "base/prof.h"

enum err_code outer_init(struct outer *o, uint64_t every, double learning_rate, double momentum,
                         const struct lora_layout *l, struct arena *a, struct err *e)
{
    *o = (struct outer){.every = every, .learning_rate = learning_rate, .momentum = momentum};
    if (every == 1)
        return ERR_OK;
    o->start = arena_alloc(a, l->size, sizeof *o->start, "start of local steps", e);
    o->grads = arena_alloc(a, l->size, sizeof *o->grads, "gradient of local steps", e);
    return o->start && o->grads ? ERR_OK : e->code;
}

const float *outer_clear_grads(struct outer *o, const struct lora_layout *l)
{
    memset(o->grads, 0, l->size * sizeof *o->grads);
    return o->grads;
}

void outer_begin(struct outer *o, const struct lora *l)
{
    if (o->every > 1)
        memcpy(o->start, l->params, l->layout.size * sizeof *o->start);
}

uint64_t outer_last_meeting(const struct outer *o, uint64_t step)
{
    return (step - 1) / o->every * o->every;
}

bool outer_meets(const struct outer *o, uint64_t step, uint64_t total)
{
    return step % o->every == 0 || step == total;
}

/* Collective. The mean over the ranks, in place, added over the tree of their numbers. */
static enum err_code average(float *x, struct reduce *r, struct err *e)
{
    size_t world = (size_t)r->dist->world, size = r->layout->size;
    const float *sum;
    reduce_begin(r, world);
    memcpy(reduce_pack_begin(r, (size_t)r->dist->rank), x, size * sizeof *x);
    reduce_pack_end(r);
    if (reduce_finish(r, &sum, e))
        return e->code;
    const float share = 1 / (float)world;
    for (size_t i = 0; i < size; i++)
        x[i] = sum[i] * share;
    return ERR_OK;
}

enum err_code outer_step(struct outer *o, struct lora *l, struct lora_moments *moments, struct reduce *r,
                         struct err *e)
{
    const float rate = (float)o->learning_rate, momentum = (float)o->momentum;
    enum prof_phase before = prof_enter(PROF_OPTIMIZER);
    for (size_t i = 0; i < l->layout.size; i++)
        l->params[i] = o->start[i] - l->params[i];
    enum err_code code = average(l->params, r, e);
    if (!code)
        code = average(moments->m, r, e);
    if (!code)
        code = average(moments->v, r, e);
    for (size_t i = 0; i < l->layout.size && !code; i++) {
        float gradient = l->params[i];
        moments->outer[i] = momentum * moments->outer[i] + gradient;
        l->params[i] = o->start[i] - rate * (gradient + momentum * moments->outer[i]);
    }
    outer_begin(o, l);
    prof_enter(before);
    return code;
}
