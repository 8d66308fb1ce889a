#include "model/model.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>

#include "block.h"
#include "parts/parts.h"
#include "step.h"

enum err_code model_load(struct model *m, const struct store *store, const struct weights_options *o,
                         struct err *e)
{
    return model_load_at(m, store, o, NULL, e);
}

static enum err_code load_rotations(struct model *m, const struct store *store, struct err *e)
{
    size_t half = arch_most_rotated(&m->arch) / 2, count = arch_rotation_count(&m->arch);
    m->inv_freq = arena_alloc(&m->arena, count * half, sizeof *m->inv_freq, "rotary frequencies", e);
    enum err_code code = m->inv_freq ? ERR_OK : e->code;
    for (size_t i = 0; i < count && !code; i++)
        code = arch_rotation_frequencies(m->inv_freq + i * half, &m->arch, i, store, e);
    return code;
}

enum err_code model_load_at(struct model *m, const struct store *store, const struct weights_options *o,
                            const struct weights_place *place, struct err *e)
{
    *m = (struct model){0};
    if (arch_read(&m->arch, store, e))
        return e->code;
    if (load_rotations(m, store, e) || weights_load_at(&m->weights, &m->arch, store, o, place, e)) {
        model_release(m);
        return e->code;
    }
    return ERR_OK;
}

void model_release(struct model *m)
{
    acts_close(m->acts);
    weights_release(&m->weights);
    arena_release(&m->arena);
    *m = (struct model){0};
}

enum err_code model_plan_memory(struct model *m, const struct model_plan *plan, struct err *e)
{
    acts_close(m->acts);
    return acts_open(&m->acts, m, plan, e);
}

size_t model_memory_weights(const struct model *m)
{
    return m->weights.arena.total + m->weights.placed + m->weights.changed.total;
}

size_t model_memory_acts(const struct model *m)
{
    return m->acts ? m->acts->arena.total : 0;
}

size_t model_head_rows(const struct model *m)
{
    assert(m->acts);
    return m->acts->size.chunk;
}

/* The name of a parameter tensor of the adapter that is not finite; false if all are. */
static bool find_bad_adapter(char *name, size_t size, const struct lora *lora)
{
    for (size_t i = 0; lora && i < lora->layout.count; i++) {
        const struct lora_module *m = &lora->layout.modules[i];
        bool bad_a = kern_first_nonfinite(lora->params + m->a, m->rank * m->in) < m->rank * m->in;
        if (bad_a || kern_first_nonfinite(lora->params + m->b, m->out * m->rank) < m->out * m->rank) {
            snprintf(name, size, "%s.lora_%c", m->path, bad_a ? 'A' : 'B');
            return true;
        }
    }
    return false;
}

static void forward(const struct step *s)
{
    embed_forward(s);
    for (size_t layer = 0; layer < s->m->arch.layers; layer++)
        block_forward(s, layer);
}

/* From acts->dh, as far as an adapter needs it. */
static void backward(const struct step *s)
{
    for (size_t layer = s->m->arch.layers; layer-- > s->layout->lowest_layer;) {
        block_backward(s, layer);
        step_grads_ready(s, layer);
    }
}

/* Runs the pack again and looks at every tensor on the way. */
static enum err_code diagnose(struct step *s, const struct model_result *result, struct err *e)
{
    char name[ARCH_PATH_SIZE + 16];
    if (find_bad_adapter(name, sizeof name, s->lora))
        return err_set(e, ERR_NUMERIC, "the loss is not finite: %s of the adapter holds a NaN or an infinity",
                       name);
    struct trace trace = {0};
    struct model_result again;
    s->trace = &trace;
    forward(s);
    head_run(s, 0, &again, NULL);
    s->trace = NULL;
    if (!trace.found)
        return err_set(e, ERR_NUMERIC,
                       "the loss of example %zu of the pack is not finite, while all tensors are",
                       result->first_nonfinite);
    size_t example = 0;
    while (trace.row >= s->in->offsets[example + 1])
        example++;
    return err_set(
        e, ERR_NUMERIC,
        "the loss is not finite: the output of %s is the first tensor with a NaN or an infinity, at token "
        "%zu of example %zu of the pack",
        trace.what, trace.row - s->in->offsets[example] + step_prefix(s->in, example), example);
}

/* The weights of the examples, from a pass over the head without gradients. */
static enum err_code weigh(struct step *s, struct model_result *result, struct err *e)
{
    const struct model_weigher *w = s->in->weigher;
    head_run(s, 0, result, &(struct model_each){.log_prob = s->acts->log_prob});
    if (!isfinite(result->loss_sum))
        return diagnose(s, result, e);
    w->weigh(w->context, s->acts->weights, s->acts->log_prob);
    s->weights = s->acts->weights;
    return ERR_OK;
}

enum err_code model_step_grad(struct model *m, const struct model_input *in, double loss_scale,
                              const struct model_grads *grads, struct model_result *result,
                              const struct model_each *each, struct err *e)
{
    struct step s;
    assert(m->acts && m->lora && grads->values);
    if (step_begin(&s, m, m->acts, in, grads, e))
        return e->code;
    forward(&s);
    if (in->weigher && loss_scale != 0 && weigh(&s, result, e))
        return e->code;
    head_run(&s, loss_scale, result, each);
    if (!isfinite(result->loss_sum))
        return diagnose(&s, result, e);
    if (loss_scale == 0)
        return ERR_OK;
    step_grads_ready(&s, m->arch.layers);
    backward(&s);
    return ERR_OK;
}

enum err_code model_evaluate(struct model *m, const struct model_input *in, struct model_result *result,
                             const struct model_each *each, struct err *e)
{
    struct step s;
    assert(m->acts);
    if (step_begin(&s, m, m->acts, in, NULL, e))
        return e->code;
    forward(&s);
    head_run(&s, 0, result, each);
    return isfinite(result->loss_sum) ? ERR_OK : diagnose(&s, result, e);
}

enum err_code model_logits(struct model *m, const struct model_input *in, float *logits, struct err *e)
{
    struct step s;
    assert(m->acts);
    if (step_begin(&s, m, m->acts, in, NULL, e))
        return e->code;
    forward(&s);
    for (size_t first = 0, count; first < in->n; first += count) {
        count = in->n - first < m->acts->size.chunk ? in->n - first : m->acts->size.chunk;
        const struct step_rows rows = {count, m->acts->samples + first, in->positions + first};
        head_logits(&s, &rows, logits + first * m->arch.vocab, m->acts->residual + first * m->arch.width);
    }
    return ERR_OK;
}
