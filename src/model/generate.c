#include "model/generate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "block.h"
#include "parts/parts.h"

_Static_assert(GENERATE_BATCH_MAX <= ACTS_HEAD_CHUNK, "logits of so many rows are kept at once");

struct candidate {
    float logit;
    int32_t token;
};

/* A prompt, and what has followed it. */
struct sequence {
    float *keys, *values;  /* of each layer [K, capacity, head_dim] */
    int32_t *tokens;       /* [capacity] those that were fed, and the next one */
    size_t capacity, count; /* positions of the cache, and those filled */
    size_t made, most;     /* new tokens, and how many there may be */
    uint64_t number;
    int32_t stop;
    bool ended;
};

struct generation {
    const struct model *m;
    const struct generate_options *options;
    struct acts *acts;
    struct arena arena;
    struct sequence *sequences; /* [sequence_count] */
    size_t sequence_count;
    struct sequence **fed;        /* [sequence_count] whose tokens are fed, a row of the step for each; */
    float *row, *attention;       /* a row of q, k, v; attention's output for it */
    struct candidate *candidates; /* [V] */
    double *weights;              /* [V] */
    int32_t *positions, *rows;    /* [most tokens that are fed at once] */
    uint32_t *offsets;            /* [sequence_count + 1] */
    size_t
        short_positions; /* from the next one on, all that is cached rotates in another way; 0: nothing does */
};

/* ---- memory ---- */

static enum err_code measure(struct sequence *s, const struct generate_prompt *p, const struct generate_options *o,
                             struct err *e)
{
    s->most = p->max_new_tokens ? p->max_new_tokens : o->max_new_tokens;
    s->number = p->number;
    s->stop = p->stop;
    if (__builtin_add_overflow(p->count, s->most, &s->capacity) || s->capacity > INT32_MAX)
        return err_set(e, ERR_USAGE, "a prompt of %zu tokens and %zu new ones: too many", p->count, s->most);
    return ERR_OK;
}

/* Columns of the keys of all layers before one. */
static size_t columns_before(const struct arch *a, size_t layer)
{
    size_t columns = 0;
    for (size_t i = 0; i < layer; i++)
        columns += arch_kv_heads(a, i) * arch_head_dim(a, i);
    return columns;
}

static enum err_code open_sequence(struct generation *g, struct sequence *s, struct err *e)
{
    size_t row = columns_before(&g->m->arch, g->m->arch.layers) * sizeof(float);
    s->keys = arena_alloc(&g->arena, s->capacity, row, "key/value cache", e);
    s->values = arena_alloc(&g->arena, s->capacity, row, "key/value cache", e);
    s->tokens = arena_alloc(&g->arena, s->capacity, sizeof *s->tokens, "tokens", e);
    return s->keys && s->values && s->tokens ? ERR_OK : e->code;
}

/* Most tokens that are fed at once: a prompt, one of each sequence, or a cache that is recomputed. */
static size_t most_fed(const struct generation *g, const struct generate_prompt *prompts)
{
    const size_t border = g->short_positions;
    size_t most = g->sequence_count;
    for (size_t i = 0; i < g->sequence_count; i++) {
        const bool crosses = border && prompts[i].count <= border && g->sequences[i].capacity > border;
        const size_t fed = crosses ? border + 1 : prompts[i].count;
        most = fed > most ? fed : most;
    }
    return most;
}

static enum err_code open_work(struct generation *g, size_t fed, struct err *e)
{
    const struct arch *a = &g->m->arch;
    const struct acts_kind *most = &g->acts->size.most;
    g->row = arena_alloc(&g->arena, most->qkv, sizeof *g->row, "a row of q, k, v", e);
    g->attention = arena_alloc(&g->arena, most->attention, sizeof *g->attention, "attention", e);
    g->candidates = arena_alloc(&g->arena, a->vocab, sizeof *g->candidates, "sampling", e);
    g->weights = arena_alloc(&g->arena, a->vocab, sizeof *g->weights, "sampling", e);
    g->positions = arena_alloc(&g->arena, fed, sizeof *g->positions, "positions", e);
    g->rows = arena_alloc(&g->arena, fed, sizeof *g->rows, "tokens", e);
    g->offsets = arena_alloc(&g->arena, g->sequence_count + 1, sizeof *g->offsets, "offsets", e);
    bool complete = g->row && g->attention && g->candidates && g->weights && g->positions && g->rows && g->offsets;
    return complete ? ERR_OK : e->code;
}

static enum err_code open_generation(struct generation *g, const struct generate_prompt *prompts, size_t count,
                                     struct err *e)
{
    size_t longest = 0;
    g->short_positions = arch_short_positions(&g->m->arch);
    g->sequences = arena_alloc(&g->arena, count, sizeof *g->sequences, "sequences", e);
    g->fed = arena_alloc(&g->arena, count, sizeof *g->fed, "sequences", e);
    if (!g->sequences || !g->fed)
        return e->code;
    g->sequence_count = count;
    for (size_t i = 0; i < count; i++) {
        if (measure(&g->sequences[i], &prompts[i], g->options, e))
            return e->code;
        longest = g->sequences[i].capacity > longest ? g->sequences[i].capacity : longest;
    }
    const size_t fed = most_fed(g, prompts);
    const struct model_plan plan = {.tokens = fed, .examples = count, .longest = longest};
    if (acts_open(&g->acts, g->m, &plan, e) || open_work(g, fed, e))
        return e->code;
    for (size_t i = 0; i < count; i++)
        if (open_sequence(g, &g->sequences[i], e))
            return e->code;
    return ERR_OK;
}

static void close_generation(struct generation *g)
{
    acts_close(g->acts);
    arena_release(&g->arena);
}

/* ---- a step ---- */

static size_t cache_offset(const struct generation *g, const struct sequence *q, size_t layer)
{
    return columns_before(&g->m->arch, layer) * q->capacity;
}

/* Appends the keys and values of rows first..first + n - 1 of qkv to a sequence's cache of a layer, after the `count`
 * that are there. The last row stays in g->row. */
static void cache_store(struct generation *g, struct sequence *q, const struct step *s, size_t layer, const void *qkv,
                        size_t first, size_t n)
{
    const struct arch *a = &g->m->arch;
    size_t ld = arch_qkv_columns(a, layer), head_dim = arch_head_dim(a, layer);
    for (size_t i = 0; i < n; i++) {
        s->real->to_f32(g->row, step_at(s, qkv, (first + i) * ld), ld);
        for (size_t head = 0; head < arch_kv_heads(a, layer); head++) {
            size_t to = cache_offset(g, q, layer) + (head * q->capacity + q->count + i) * head_dim;
            const float *own = g->row + head * head_dim;
            memcpy(q->keys + to, own + arch_key_column(a, layer), head_dim * sizeof *own);
            memcpy(q->values + to, own + arch_value_column(a, layer), head_dim * sizeof *own);
        }
    }
}

/* Attention of the next tokens: a prompt to itself; or of each sequence one token to the cache that it is then in. */
static void attend_cached(void *context, const struct step *s, size_t layer)
{
    struct generation *g = context;
    const struct acts_layer *act = &g->acts->layers[layer];
    const struct attention_shape shape = step_attention(s, layer);
    const size_t width = arch_group_columns(&g->m->arch, layer, GROUP_ATTN_OUT);
    if (g->fed[0]->count == 0) {
        cache_store(g, g->fed[0], s, layer, act->qkv, 0, s->in->n);
        attention_forward(act->attention, act->lse, act->qkv, arch_qkv_columns(&g->m->arch, layer), &shape,
                          g->acts->attention_scratch);
        return;
    }
    for (size_t i = 0; i < s->in->n; i++) {
        struct sequence *q = g->fed[i];
        cache_store(g, q, s, layer, act->qkv, i, 1);
        attention_decode(g->attention, g->row, q->keys + cache_offset(g, q, layer),
                         q->values + cache_offset(g, q, layer), q->count + 1, q->capacity, &shape);
        s->real->from_f32((char *)act->attention + i * width * s->real->size, g->attention, width);
    }
}

/* A forward pass over n tokens in `examples` parts; leaves the logits of the last `examples` rows in acts->logits. */
static enum err_code run_step(struct generation *g, const int32_t *tokens, size_t n, size_t examples, struct err *e)
{
    const struct acts *acts = g->acts;
    const struct arch *arch = &g->m->arch;
    const struct model_input in = {
        .tokens = tokens, .positions = g->positions, .offsets = g->offsets, .n = n, .examples = examples};
    struct step s;
    if (step_begin(&s, g->m, acts, &in, NULL, e))
        return e->code;
    const struct step_attention attend = {attend_cached, g};
    s.attend = &attend;
    embed_forward(&s);
    for (size_t layer = 0; layer < arch->layers; layer++)
        block_forward(&s, layer);
    const size_t first = n - examples;
    const struct step_rows last = {examples, acts->samples + first, g->positions + first};
    head_logits(&s, &last, acts->logits, acts->residual + first * arch->width);
    return ERR_OK;
}

static enum err_code check_logits(const struct generation *g, size_t row, struct err *e)
{
    const size_t vocab = g->m->arch.vocab, bad = kern_first_nonfinite(g->acts->logits + row * vocab, vocab);
    if (bad == vocab)
        return ERR_OK;
    return err_set(e, ERR_NUMERIC, "at position %zu the logit of token %zu is not finite", g->fed[row]->count - 1, bad);
}

/* ---- choosing ---- */

static int by_logit(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->logit != y->logit)
        return x->logit > y->logit ? -1 : 1;
    return x->token < y->token ? -1 : 1;
}

static size_t choices(const struct generation *g)
{
    size_t vocab = g->m->arch.vocab, given = g->options->vocab;
    return given && given < vocab ? given : vocab;
}

static int32_t draw(struct generation *g, const float *logits, const struct sequence *q)
{
    const struct generate_options *o = g->options;
    size_t vocab = choices(g), count = 0;
    for (size_t i = 0; i < vocab; i++)
        g->candidates[i] = (struct candidate){logits[i], (int32_t)i};
    qsort(g->candidates, vocab, sizeof *g->candidates, by_logit);
    double total = 0, kept = 0;
    for (size_t i = 0; i < vocab; i++)
        total += g->weights[i] =
            exp(((double)g->candidates[i].logit - g->candidates[0].logit) / o->temperature);
    while (count < vocab && (count == 0 || kept < o->top_p * total))
        kept += g->weights[count++];
    double left = rng_uniform(rng_key_make(o->seed, RNG_SAMPLE, q->number), q->made) * kept;
    size_t chosen = 0;
    while (chosen + 1 < count && left >= g->weights[chosen])
        left -= g->weights[chosen++];
    return g->candidates[chosen].token;
}

static int32_t choose(struct generation *g, const float *logits, const struct sequence *q)
{
    if (g->options->temperature > 0)
        return draw(g, logits, q);
    size_t best = 0;
    for (size_t i = 1; i < choices(g); i++)
        if (logits[i] > logits[best])
            best = i;
    return (int32_t)best;
}

static bool is_stop(const struct generate_options *o, const struct sequence *q, int32_t token)
{
    for (size_t i = 0; i < o->stop_count; i++)
        if (o->stop[i] == token)
            return true;
    return token == q->stop;
}

/* ---- sequences ---- */

/* The logits of a row are those after all that was fed of its sequence: its next token. */
static enum err_code go_on(struct generation *g, size_t row, generate_each *each, void *context, struct err *e)
{
    struct sequence *q = g->fed[row];
    if (check_logits(g, row, e))
        return e->code;
    const int32_t token = choose(g, g->acts->logits + row * g->m->arch.vocab, q);
    q->ended = is_stop(g->options, q, token) || !each((size_t)(q - g->sequences), token, context);
    q->ended = ++q->made == q->most || q->ended;
    if (!q->ended)
        q->tokens[q->count] = token;
    return ERR_OK;
}

/* Feeds the first n tokens of a sequence, into an empty cache. */
static enum err_code feed_whole(struct generation *g, struct sequence *q, size_t n, struct err *e)
{
    for (size_t i = 0; i < n; i++)
        g->positions[i] = (int32_t)i;
    g->offsets[0] = 0;
    g->offsets[1] = (uint32_t)n;
    g->fed[0] = q;
    q->count = 0;
    if (run_step(g, q->tokens, n, 1, e))
        return e->code;
    q->count = n;
    return ERR_OK;
}

/* The first token beyond the short positions makes the cache be recomputed, as transformers does: the
 * result is that of the whole sequence at once. */
static bool turns(const struct generation *g, const struct sequence *q)
{
    return g->short_positions && q->count == g->short_positions;
}

/* One token of each sequence that goes on; *fed: how many there were. Those that turn are fed by themselves. */
static enum err_code feed_next(struct generation *g, size_t *fed, generate_each *each, void *context, struct err *e)
{
    *fed = 0;
    for (size_t i = 0; i < g->sequence_count; i++) {
        struct sequence *q = &g->sequences[i];
        if (q->ended || turns(g, q))
            continue;
        g->rows[*fed] = q->tokens[q->count];
        g->positions[*fed] = (int32_t)q->count;
        g->offsets[*fed] = (uint32_t)*fed;
        g->fed[(*fed)++] = q;
    }
    g->offsets[*fed] = (uint32_t)*fed;
    if (*fed && run_step(g, g->rows, *fed, *fed, e))
        return e->code;
    for (size_t row = 0; row < *fed; row++) {
        g->fed[row]->count++;
        if (go_on(g, row, each, context, e))
            return e->code;
    }
    return ERR_OK;
}

static enum err_code feed_turning(struct generation *g, size_t *fed, generate_each *each, void *context, struct err *e)
{
    for (size_t i = 0; i < g->sequence_count; i++) {
        struct sequence *q = &g->sequences[i];
        if (q->ended || !turns(g, q))
            continue;
        if (feed_whole(g, q, q->count + 1, e) || go_on(g, 0, each, context, e))
            return e->code;
        ++*fed;
    }
    return ERR_OK;
}

static enum err_code run(struct generation *g, const struct generate_prompt *prompts, generate_each *each,
                         void *context, struct err *e)
{
    for (size_t i = 0; i < g->sequence_count; i++) {
        struct sequence *q = &g->sequences[i];
        memcpy(q->tokens, prompts[i].tokens, prompts[i].count * sizeof *q->tokens);
        q->ended = q->most == 0;
        if (!q->ended && (feed_whole(g, q, prompts[i].count, e) || go_on(g, 0, each, context, e)))
            return e->code;
    }
    for (size_t fed = 1; fed;)
        if (feed_next(g, &fed, each, context, e) || feed_turning(g, &fed, each, context, e))
            return e->code;
    return ERR_OK;
}

enum err_code generate_batch(const struct model *m, const struct generate_prompt *prompts, size_t count,
                             const struct generate_options *options, generate_each *each, void *context,
                             struct err *e)
{
    if (count == 0 || count > GENERATE_BATCH_MAX)
        return err_set(e, ERR_USAGE, "%zu prompts at once: it must be 1 to %d", count, GENERATE_BATCH_MAX);
    for (size_t i = 0; i < count; i++)
        if (prompts[i].count == 0)
            return err_set(e, ERR_USAGE, "the prompt is empty: there is nothing to go on from");
    if (!(options->temperature >= 0) || !isfinite(options->temperature))
        return err_set(e, ERR_USAGE, "temperature %g is out of range: a finite number, at least 0",
                       options->temperature);
    if (!(options->top_p > 0 && options->top_p <= 1))
        return err_set(e, ERR_USAGE, "top-p %g is out of range: above 0, at most 1", options->top_p);
    struct generation g = {.m = m, .options = options};
    enum err_code code = open_generation(&g, prompts, count, e);
    if (!code)
        code = run(&g, prompts, each, context, e);
    close_generation(&g);
    return code;
}

struct single {
    generate_callback *callback;
    void *context;
};

static bool pass_on(size_t prompt, int32_t token, void *context)
{
    const struct single *s = context;
    (void)prompt;
    return s->callback(token, s->context);
}

enum err_code generate_run(const struct model *m, const int32_t *prompt, size_t prompt_count,
                           const struct generate_options *options, generate_callback *callback, void *context,
                           struct err *e)
{
    const struct generate_prompt one = {.tokens = prompt, .count = prompt_count, .stop = -1};
    struct single single = {callback, context};
    return generate_batch(m, &one, 1, options, pass_on, &single, e);
}
