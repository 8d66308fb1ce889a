#include "model/model.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/cpu.h"
#include "step.h"

enum err_code model_load(struct model *m, const struct store *store, const struct weights_options *o,
                         struct err *e)
{
    return model_load_at(m, store, o, NULL, e);
}

enum err_code model_load_at(struct model *m, const struct store *store, const struct weights_options *o,
                            const struct weights_place *place, struct err *e)
{
    *m = (struct model){0};
    if (arch_read(&m->arch, store, e))
        return e->code;
    m->inv_freq = arena_alloc(&m->arena, m->arch.head_dim / 2, sizeof *m->inv_freq, "rotary frequencies", e);
    if (!m->inv_freq || arch_rope_frequencies(m->inv_freq, &m->arch, store, e) ||
        weights_load_at(&m->weights, &m->arch, store, o, place, e)) {
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

struct step_rows step_rows(const struct step *s)
{
    return (struct step_rows){s->in->n, s->acts->samples, s->in->positions};
}

static enum err_code check_examples(const struct acts_size *size, const struct model_input *in, struct err *e)
{
    for (size_t i = 0; i < in->examples; i++) {
        size_t first = in->offsets[i], end = in->offsets[i + 1];
        if (end <= first || end > in->n || end - first > size->longest)
            return err_set(e, ERR_MISMATCH,
                           "example %zu of a pack of %zu tokens: tokens %zu to %zu; planned for %zu", i,
                           in->n, first, end, size->longest);
        if (in->supervised && in->supervised[first])
            return err_set(e, ERR_MISMATCH, "example %zu of a pack: its first token cannot be supervised", i);
    }
    if (in->offsets[0] != 0 || in->offsets[in->examples] != in->n)
        return err_set(e, ERR_MISMATCH, "the examples of a pack do not cover its %zu tokens", in->n);
    return ERR_OK;
}

static enum err_code check_input(const struct model *m, const struct acts_size *size,
                                 const struct model_input *in, struct err *e)
{
    if (in->n == 0 || in->n > size->n || in->examples == 0 || in->examples > size->examples)
        return err_set(e, ERR_MISMATCH, "a pack of %zu tokens in %zu examples; planned for %zu and %zu",
                       in->n, in->examples, size->n, size->examples);
    if (check_examples(size, in, e))
        return e->code;
    for (size_t i = 0; i < in->n; i++) {
        if (in->tokens[i] < 0 || (size_t)in->tokens[i] >= m->arch.vocab)
            return err_set(e, ERR_MISMATCH,
                           "token %" PRId32
                           " at place %zu of a pack is outside of the model's vocabulary of %zu",
                           in->tokens[i], i, m->arch.vocab);
        if (in->positions[i] < 0 || (size_t)in->positions[i] >= size->longest)
            return err_set(e, ERR_MISMATCH, "position %" PRId32 " at place %zu of a pack; planned for %zu",
                           in->positions[i], i, size->longest);
    }
    return ERR_OK;
}

enum err_code step_begin(struct step *s, const struct model *m, const struct acts *acts,
                         const struct model_input *in, const struct model_grads *grads, struct err *e)
{
    if (check_input(m, &acts->size, in, e))
        return e->code;
    if (!acts_fit_lora(acts, &m->arch, m->lora, grads != NULL))
        return err_set(e, ERR_MISMATCH, "the adapter is larger than the one that memory was planned for");
    *s = (struct step){
        .m = m,
        .acts = acts,
        .lora = m->lora,
        .layout = m->lora ? &m->lora->layout : NULL,
        .grads = grads,
        .type = m->weights.type,
        .kern = kern_for(cpu_isa_best()),
        .in = in,
        .attention = {.type = m->weights.type,
                      .heads = m->arch.heads,
                      .kv_heads = m->arch.kv_heads,
                      .head_dim = m->arch.head_dim,
                      .scale = 1.0F / sqrtf((float)m->arch.head_dim),
                      .offsets = in->offsets,
                      .examples = in->examples},
        .dropout = grads && m->lora->dropout > 0,
    };
    s->real = kern_typed(s->kern, s->type);
    s->adapter = s->lora ? s->lora->params : NULL;
    if (s->adapter && acts->adapter) {
        s->real->from_f32(acts->adapter, s->lora->params, s->lora->layout.size);
        s->adapter = acts->adapter;
    }
    for (size_t i = 0; i < in->examples && in->samples; i++)
        for (size_t token = in->offsets[i]; token < in->offsets[i + 1]; token++)
            acts->samples[token] = in->samples[i];
    return ERR_OK;
}

void step_grads_ready(const struct step *s, size_t layer)
{
    if (s->grads->ready)
        s->grads->ready(s->grads->context, layer);
}

const void *step_at(const struct step *s, const void *reals, size_t count)
{
    return (const char *)reals + count * s->real->size;
}

static bool is_finite(const struct kern_typed *kern, const char *x, size_t count)
{
    float part[256];
    for (size_t done = 0, next; done < count; done += next) {
        next = count - done < 256 ? count - done : 256;
        kern->to_f32(part, x + done * kern->size, next);
        if (kern_first_nonfinite(part, next) < next)
            return false;
    }
    return true;
}

void step_check(const struct step *s, enum dtype type, const void *x, size_t ld, size_t n, size_t columns,
                const char *what)
{
    const struct kern_typed *kern = kern_typed(s->kern, type);
    struct trace *t = s->trace;
    if (!t || t->found)
        return;
    for (size_t row = 0; row < n && !t->found; row++)
        if (!is_finite(kern, (const char *)x + row * ld * kern->size, columns)) {
            t->found = true;
            t->row = row;
            snprintf(t->what, sizeof t->what, "%s", what);
        }
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
    block_forward_all(s);
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
        trace.what, trace.row - s->in->offsets[example], example);
}

enum err_code model_step_grad(struct model *m, const struct model_input *in, double loss_scale,
                              const struct model_grads *grads, struct model_result *result, struct err *e)
{
    struct step s;
    assert(m->acts && m->lora && grads->values);
    if (step_begin(&s, m, m->acts, in, grads, e))
        return e->code;
    block_forward_all(&s);
    head_run(&s, loss_scale, result, NULL);
    if (!isfinite(result->loss_sum))
        return diagnose(&s, result, e);
    if (loss_scale == 0)
        return ERR_OK;
    step_grads_ready(&s, m->arch.layers);
    block_backward_all(&s);
    return ERR_OK;
}

enum err_code model_evaluate(struct model *m, const struct model_input *in, struct model_result *result,
                             uint8_t *exact_of, struct err *e)
{
    struct step s;
    assert(m->acts);
    if (step_begin(&s, m, m->acts, in, NULL, e))
        return e->code;
    block_forward_all(&s);
    head_run(&s, 0, result, exact_of);
    return isfinite(result->loss_sum) ? ERR_OK : diagnose(&s, result, e);
}

enum err_code model_logits(struct model *m, const struct model_input *in, float *logits, struct err *e)
{
    struct step s;
    assert(m->acts);
    if (step_begin(&s, m, m->acts, in, NULL, e))
        return e->code;
    block_forward_all(&s);
    for (size_t first = 0, count; first < in->n; first += count) {
        count = in->n - first < m->acts->size.chunk ? in->n - first : m->acts->size.chunk;
        const struct step_rows rows = {count, m->acts->samples + first, in->positions + first};
        head_logits(&s, &rows, logits + first * m->arch.vocab, m->acts->residual + first * m->arch.width);
    }
    return ERR_OK;
}
