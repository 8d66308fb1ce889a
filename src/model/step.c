#include "step.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/cpu.h"

struct step_rows step_rows(const struct step *s)
{
    return (struct step_rows){s->in->n, s->acts->samples, s->in->positions};
}

struct attention_shape step_attention(const struct step *s, size_t layer)
{
    struct attention_shape shape = s->attention;
    shape.kv_heads = arch_kv_heads(&s->m->arch, layer);
    shape.head_dim = arch_head_dim(&s->m->arch, layer);
    shape.window = arch_kind(&s->m->arch, layer)->window;
    return shape;
}

/* Does an example have the rotation of long ones? */
static bool is_long(const struct acts_size *size, const struct model_input *in, size_t example)
{
    const size_t most = size->short_positions;
    return most > 0 && most < size->longest && (size_t)in->positions[in->offsets[example + 1] - 1] >= most;
}

/* An example whose first tokens are those of example `whole`. */
static enum err_code check_prefix(const struct acts_size *size, const struct model_input *in, size_t example,
                                  size_t whole, struct err *e)
{
    const size_t prefix = step_prefix(in, example), length = in->offsets[whole + 1] - in->offsets[whole];
    if (step_prefix(in, whole) || prefix > length)
        return err_set(e, ERR_MISMATCH,
                       "example %zu of a pack begins with %zu tokens of the one before it, which has %zu", example,
                       prefix, step_prefix(in, whole) ? 0 : length);
    if (is_long(size, in, example) != is_long(size, in, whole))
        return err_set(e, ERR_MISMATCH, "examples %zu and %zu of a pack cannot have the same first tokens: only one of "
                                        "them is longer than %zu tokens, and has the rotation of long examples",
                       whole, example, size->short_positions);
    return ERR_OK;
}

static enum err_code check_examples(const struct acts_size *size, const struct model_input *in, struct err *e)
{
    size_t whole = 0, repeated = 0;
    for (size_t i = 0; i < in->examples; i++) {
        size_t first = in->offsets[i], end = in->offsets[i + 1], prefix = step_prefix(in, i);
        if (end <= first || end > in->n || end - first + prefix > size->longest)
            return err_set(e, ERR_MISMATCH,
                           "example %zu of a pack of %zu tokens: tokens %zu to %zu; planned for %zu", i,
                           in->n, first, end, size->longest);
        if (!prefix && in->supervised && in->supervised[first])
            return err_set(e, ERR_MISMATCH, "example %zu of a pack: its first token cannot be supervised", i);
        if (prefix && check_prefix(size, in, i, whole, e))
            return e->code;
        whole = prefix ? whole : i;
        repeated += prefix;
    }
    if (in->offsets[0] != 0 || in->offsets[in->examples] != in->n)
        return err_set(e, ERR_MISMATCH, "the examples of a pack do not cover its %zu tokens", in->n);
    if (repeated > size->repeated)
        return err_set(e, ERR_MISMATCH, "%zu tokens of a pack come before more than one example; planned for %zu",
                       repeated, size->repeated);
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

/* Long examples have the table that follows. */
static const int32_t *find_turns(const struct acts *acts, const struct model_input *in)
{
    size_t most = acts->size.short_positions;
    if (most == 0 || most >= acts->size.longest)
        return in->positions;
    for (size_t i = 0; i < in->examples; i++) {
        const int32_t table = is_long(&acts->size, in, i) ? (int32_t)acts->size.longest : 0;
        for (size_t token = in->offsets[i]; token < in->offsets[i + 1]; token++)
            acts->turns[token] = in->positions[token] + table;
    }
    return acts->turns;
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
        .weights = in->weights,
        .attention = {.type = m->weights.type,
                      .heads = m->arch.heads,
                      .scale = m->arch.attention_scale,
                      .cap = m->arch.attention_cap,
                      .offsets = in->offsets,
                      .prefixes = in->prefixes,
                      .examples = in->examples},
        .dropout = grads && m->lora && m->lora->dropout > 0,
    };
    s->turns = find_turns(acts, in);
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
