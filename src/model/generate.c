#include "model/generate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "block.h"
#include "parts/parts.h"

struct candidate {
    float logit;
    int32_t token;
};

struct generation {
    struct model *m;
    struct acts *acts;
    struct arena arena;
    float *keys, *values;         /* [layers, K, capacity, head_dim] */
    float *row, *attention;       /* a row of q, k, v; attention's output for it */
    size_t capacity, count;       /* positions of the cache, and those filled */
    struct candidate *candidates; /* [V] */
    double *weights;              /* [V] */
    int32_t *positions;           /* [most tokens that are fed at once] */
    int32_t *tokens;              /* [capacity] those that were fed */
    size_t
        short_positions; /* from the next one on, all that is cached rotates in another way; 0: nothing does */
};

static enum err_code open_generation(struct generation *g, struct model *m, size_t prompt_count,
                                     size_t new_count, struct err *e)
{
    *g = (struct generation){.m = m};
    if (__builtin_add_overflow(prompt_count, new_count, &g->capacity) || g->capacity > INT32_MAX)
        return err_set(e, ERR_USAGE, "a prompt of %zu tokens and %zu new ones: too many", prompt_count,
                       new_count);
    g->short_positions = arch_short_positions(&m->arch);
    const bool turns =
        g->short_positions && prompt_count <= g->short_positions && g->capacity > g->short_positions;
    const size_t fed = turns ? g->short_positions + 1 : prompt_count;
    const struct model_plan plan = {.tokens = fed, .examples = 1, .longest = g->capacity};
    if (acts_open(&g->acts, m, &plan, e))
        return e->code;
    size_t row = m->arch.kv_heads * m->arch.head_dim * sizeof(float), rows;
    if (__builtin_mul_overflow(m->arch.layers, g->capacity, &rows))
        return err_set(e, ERR_MEMORY, "a key/value cache of %zu positions: more than can be addressed",
                       g->capacity);
    g->keys = arena_alloc(&g->arena, rows, row, "key/value cache", e);
    g->values = arena_alloc(&g->arena, rows, row, "key/value cache", e);
    g->row = arena_alloc(&g->arena, arch_group_rows(&m->arch, GROUP_ATTN_IN), sizeof *g->row,
                         "a row of q, k, v", e);
    g->attention = arena_alloc(&g->arena, arch_group_columns(&m->arch, GROUP_ATTN_OUT), sizeof *g->attention,
                               "attention", e);
    g->candidates = arena_alloc(&g->arena, m->arch.vocab, sizeof *g->candidates, "sampling", e);
    g->weights = arena_alloc(&g->arena, m->arch.vocab, sizeof *g->weights, "sampling", e);
    g->positions = arena_alloc(&g->arena, fed, sizeof *g->positions, "positions", e);
    g->tokens = arena_alloc(&g->arena, g->capacity, sizeof *g->tokens, "tokens", e);
    bool complete = g->keys && g->values && g->row && g->attention && g->candidates && g->weights &&
                    g->positions && g->tokens;
    return complete ? ERR_OK : e->code;
}

static void close_generation(struct generation *g)
{
    acts_close(g->acts);
    arena_release(&g->arena);
}

static size_t cache_offset(const struct generation *g, size_t layer)
{
    return layer * g->m->arch.kv_heads * g->capacity * g->m->arch.head_dim;
}

/* Appends the keys and values of n tokens in qkv to the cache of a layer, after the `count` that are there.
 */
static void cache_store(struct generation *g, const struct step *s, size_t layer, const void *qkv, size_t n)
{
    const struct arch *a = &g->m->arch;
    size_t ld = arch_group_rows(a, GROUP_ATTN_IN), head_dim = a->head_dim;
    for (size_t i = 0; i < n; i++) {
        s->real->to_f32(g->row, step_at(s, qkv, i * ld), ld);
        for (size_t head = 0; head < a->kv_heads; head++) {
            size_t to = cache_offset(g, layer) + (head * g->capacity + g->count + i) * head_dim;
            const float *own = g->row + head * head_dim;
            memcpy(g->keys + to, own + arch_key_row(a), head_dim * sizeof *own);
            memcpy(g->values + to, own + arch_value_row(a), head_dim * sizeof *own);
        }
    }
}

/* Attention of the next tokens: the prompt to itself, one token to the cache that it is then in, with its q, k,
 * v in g->row. */
static void attend_cached(void *context, const struct step *s, size_t layer)
{
    struct generation *g = context;
    const struct acts_layer *act = &g->acts->layers[layer];
    const struct attention_shape shape = step_attention(s, layer);
    cache_store(g, s, layer, act->qkv, s->in->n);
    if (g->count == 0) {
        attention_forward(act->attention, act->lse, act->qkv, arch_group_rows(&g->m->arch, GROUP_ATTN_IN),
                          &shape, g->acts->attention_scratch);
        return;
    }
    attention_decode(g->attention, g->row, g->keys + cache_offset(g, layer),
                     g->values + cache_offset(g, layer), g->count + 1, g->capacity, &shape);
    s->real->from_f32(act->attention, g->attention, arch_group_columns(&g->m->arch, GROUP_ATTN_OUT));
}

/* Runs the next n tokens (the prompt, one, or all anew) and leaves the logits after the last one in acts->logits. */
static enum err_code feed(struct generation *g, const int32_t *tokens, size_t n, struct err *e)
{
    const struct acts *acts = g->acts;
    const struct arch *arch = &g->m->arch;
    for (size_t i = 0; i < n; i++)
        g->positions[i] = (int32_t)(g->count + i);
    const struct model_input in = {.tokens = tokens,
                                   .positions = g->positions,
                                   .offsets = (const uint32_t[]){0, (uint32_t)n},
                                   .n = n,
                                   .examples = 1};
    struct step s;
    if (step_begin(&s, g->m, acts, &in, NULL, e))
        return e->code;
    const struct step_attention attend = {attend_cached, g};
    s.attend = &attend;
    embed_forward(&s);
    for (size_t layer = 0; layer < arch->layers; layer++)
        block_forward(&s, layer);
    const struct step_rows last = {1, acts->samples, g->positions};
    head_logits(&s, &last, acts->logits, acts->residual + (n - 1) * arch->width);
    g->count += n;
    size_t bad = kern_first_nonfinite(acts->logits, arch->vocab);
    if (bad < arch->vocab)
        return err_set(e, ERR_NUMERIC, "at position %zu the logit of token %zu is not finite", g->count - 1,
                       bad);
    return ERR_OK;
}

static enum err_code feed_prompt(struct generation *g, const int32_t *prompt, size_t count, struct err *e)
{
    memcpy(g->tokens, prompt, count * sizeof *prompt);
    return feed(g, prompt, count, e);
}

/* The first token beyond the short positions takes the cache anew, as transformers does: the result is that of the
 * whole sequence at once. */
static enum err_code feed_next(struct generation *g, int32_t token, struct err *e)
{
    g->tokens[g->count] = token;
    if (!g->short_positions || g->count != g->short_positions)
        return feed(g, &token, 1, e);
    const size_t all = g->count + 1;
    g->count = 0;
    return feed(g, g->tokens, all, e);
}

static int by_logit(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->logit != y->logit)
        return x->logit > y->logit ? -1 : 1;
    return x->token < y->token ? -1 : 1;
}

static size_t choices(const struct generation *g, const struct generate_options *o)
{
    size_t vocab = g->m->arch.vocab;
    return o->vocab && o->vocab < vocab ? o->vocab : vocab;
}

static int32_t draw(struct generation *g, const struct generate_options *o, uint64_t number)
{
    size_t vocab = choices(g, o), count = 0;
    for (size_t i = 0; i < vocab; i++)
        g->candidates[i] = (struct candidate){g->acts->logits[i], (int32_t)i};
    qsort(g->candidates, vocab, sizeof *g->candidates, by_logit);
    double total = 0, kept = 0;
    for (size_t i = 0; i < vocab; i++)
        total += g->weights[i] =
            exp(((double)g->candidates[i].logit - g->candidates[0].logit) / o->temperature);
    while (count < vocab && (count == 0 || kept < o->top_p * total))
        kept += g->weights[count++];
    double left = rng_uniform(rng_key_make(o->seed, RNG_SAMPLE, 0), number) * kept;
    size_t chosen = 0;
    while (chosen + 1 < count && left >= g->weights[chosen])
        left -= g->weights[chosen++];
    return g->candidates[chosen].token;
}

static int32_t choose(struct generation *g, const struct generate_options *o, uint64_t number)
{
    if (o->temperature > 0)
        return draw(g, o, number);
    size_t best = 0;
    for (size_t i = 1; i < choices(g, o); i++)
        if (g->acts->logits[i] > g->acts->logits[best])
            best = i;
    return (int32_t)best;
}

static bool is_stop(const struct generate_options *o, int32_t token)
{
    for (size_t i = 0; i < o->stop_count; i++)
        if (o->stop[i] == token)
            return true;
    return false;
}

enum err_code generate_run(struct model *m, const int32_t *prompt, size_t prompt_count,
                           const struct generate_options *options, generate_callback *callback, void *context,
                           struct err *e)
{
    if (prompt_count == 0)
        return err_set(e, ERR_USAGE, "the prompt is empty: there is nothing to go on from");
    if (!(options->temperature >= 0) || !isfinite(options->temperature))
        return err_set(e, ERR_USAGE, "temperature %g is out of range: a finite number, at least 0",
                       options->temperature);
    if (!(options->top_p > 0 && options->top_p <= 1))
        return err_set(e, ERR_USAGE, "top-p %g is out of range: above 0, at most 1", options->top_p);
    struct generation g;
    enum err_code code = open_generation(&g, m, prompt_count, options->max_new_tokens, e);
    int32_t token;
    for (size_t i = 0; i < options->max_new_tokens && !code; i++) {
        code = i == 0 ? feed_prompt(&g, prompt, prompt_count, e) : feed_next(&g, token, e);
        if (code)
            break;
        token = choose(&g, options, i);
        if (is_stop(options, token) || !callback(token, context))
            break;
    }
    close_generation(&g);
    return code;
}
