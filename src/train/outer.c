#include "train/outer.h"

#include <string.h>

#include "base/prof.h"

enum err_code outer_init(struct outer *o, uint64_t every, double learning_rate, double momentum,
                         struct lora *l, struct arena *a, struct err *e)
{
    *o = (struct outer){.every = every, .learning_rate = learning_rate, .momentum = momentum};
    if (every == 1)
        return ERR_OK;
    o->start = arena_alloc(a, l->size, sizeof *o->start, "start of local steps", e);
    return o->start ? lora_outer_buffer(l, e) : e->code;
}

void outer_begin(struct outer *o, const struct lora *l)
{
    if (o->every > 1)
        memcpy(o->start, l->params, l->size * sizeof *o->start);
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
static enum err_code average(float *x, struct lora *l, struct reduce *r, struct err *e)
{
    size_t world = (size_t)r->dist->world;
    reduce_begin(r, world);
    reduce_pack_begin(r, (size_t)r->dist->rank);
    memcpy(l->grads, x, l->size * sizeof *x);
    reduce_pack_end(r);
    if (reduce_finish(r, e))
        return e->code;
    const float share = 1 / (float)world;
    for (size_t i = 0; i < l->size; i++)
        x[i] = l->grads[i] * share;
    return ERR_OK;
}

enum err_code outer_step(struct outer *o, struct lora *l, struct reduce *r, struct err *e)
{
    const float rate = (float)o->learning_rate, momentum = (float)o->momentum;
    enum prof_phase before = prof_enter(PROF_OPTIMIZER);
    for (size_t i = 0; i < l->size; i++)
        l->params[i] = o->start[i] - l->params[i];
    enum err_code code = average(l->params, l, r, e);
    if (!code)
        code = average(l->m, l, r, e);
    if (!code)
        code = average(l->v, l, r, e);
    for (size_t i = 0; i < l->size && !code; i++) {
        float gradient = l->params[i];
        l->outer[i] = momentum * l->outer[i] + gradient;
        l->params[i] = o->start[i] - rate * (gradient + momentum * l->outer[i]);
    }
    outer_begin(o, l);
    prof_enter(before);
    return code;
}
