#include "bench_parts.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cpu.h"
#include "base/rng.h"
#include "data/examples/pack.h"
#include "train/batch.h"
#include "ranks/launch.h"
#include "train/optim.h"
#include "train/preference.h"
#include "ranks/reduce.h"

enum { AUTO_EXAMPLES = 4 };

struct bench {
    struct session *session;
    struct arena arena;
    struct pack pack;
    struct reduce reduce;
    struct lora_moments moments;
    struct preference preference;
    struct batcher batch; /* with an objective for preferences: the pack's pairs as a batch */
    double *reference;    /* [2 * pairs], if the objective has one */
    struct dist *dist;    /* that the steps are taken with */
    size_t length, examples;
    double *seconds;                    /* [steps] */
    double *ready;                      /* [layers + 1] clock when a layer's gradient was complete */
    double pack_begun, pack_end, ended; /* clock in the last step */
};

static bool has_pairs(const struct bench *b)
{
    return b->session->options->objective != OBJECTIVE_SFT;
}

/* Tokens of a pack; `auto` is four examples. */
static enum err_code choose_size(struct bench *b, struct err *e)
{
    const struct options *o = b->session->options;
    const size_t sides = has_pairs(b) ? 2 : 1;
    size_t tokens = (size_t)o->micro_batch_tokens; /* 0: auto */
    b->length = (size_t)o->length;
    b->examples = tokens ? tokens / (sides * b->length) * sides : AUTO_EXAMPLES;
    if (b->examples == 0 || (tokens && tokens % (sides * b->length)))
        return err_set(e, ERR_USAGE, "--micro-batch-tokens %zu is not a multiple of %s--length %zu%s", tokens,
                       sides == 2 ? "twice " : "", b->length, sides == 2 ? ", the two sides of a pair" : "");
    return ERR_OK;
}

static enum err_code fill_pack(struct bench *b, struct err *e)
{
    struct rng_key key = rng_key_make((uint64_t)b->session->dist->rank, RNG_SAMPLE, rng_hash("bench"));
    int32_t *tokens = arena_alloc(&b->arena, b->length, sizeof *tokens, "tokens", e);
    uint8_t *supervised = arena_alloc(&b->arena, b->length, 1, "tokens", e);
    if (!tokens || !supervised || pack_init(&b->pack, b->length * b->examples, b->examples, &b->arena, e))
        return e->code;
    memset(supervised + 1, 1, b->length - 1);
    pack_clear(&b->pack);
    for (size_t i = 0; i < b->examples; i++) {
        for (size_t k = 0; k < b->length; k++)
            tokens[k] = (int32_t)(rng_word(key, i * b->length + k) % b->session->model.arch.vocab);
        pack_add(&b->pack, tokens, supervised, b->length, i);
    }
    return ERR_OK;
}

/* What preference.h asks of a batch: this rank's pairs in their order, beside as many of each other rank. */
static enum err_code fill_batch(struct bench *b, struct err *e)
{
    const size_t pairs = b->examples / 2, world = (size_t)b->dist->world;
    struct batcher *batch = &b->batch;
    const struct objective objective = options_objective(b->session->options);
    preference_init(&b->preference, &objective);
    if (!has_pairs(b))
        return ERR_OK;
    batch->index = arena_alloc(&b->arena, pairs, sizeof *batch->index, "pairs", e);
    b->reference = arena_alloc(&b->arena, 2 * pairs, sizeof *b->reference, "pairs", e);
    if (!batch->index || !b->reference || pack_plan_init(&batch->plan, pairs, &b->arena, e))
        return e->code;
    for (size_t i = 0; i < pairs; i++) {
        batch->index[i] = i;
        batch->plan.order[i] = (uint32_t)i;
    }
    batch->plan.first[0] = 0;
    batch->examples = pairs * world;
    batch->chosen = b->pack.supervised_count / 2 * world;
    preference_begin(&b->preference, batch);
    b->preference.reference = b->reference;
    return ERR_OK;
}

/* This rank's own part of the preparations. */
static enum err_code prepare(struct bench *b, struct err *e)
{
    struct session *s = b->session;
    if (choose_size(b, e) || fill_pack(b, e) || fill_batch(b, e))
        return e->code;
    struct model_plan plan = session_plan(s, true);
    plan.tokens = b->pack.token_count;
    plan.repeated = has_pairs(b) ? plan.tokens : 0; /* as training does (train/batch.h) */
    plan.examples = b->examples;
    plan.longest = b->length;
    b->seconds =
        arena_alloc(&b->arena, (size_t)s->options->steps, sizeof *b->seconds, "times of the steps", e);
    b->ready = arena_alloc(&b->arena, s->model.arch.layers + 1, sizeof *b->ready, "times of the layers", e);
    if (!b->seconds || !b->ready || lora_moments_init(&b->moments, &s->lora.layout, false, &b->arena, e) ||
        reduce_init(&b->reduce, &s->lora.layout, b->dist, (size_t)b->dist->world,
                    s->options->reduce == REDUCE_FAST, &b->arena, e))
        return e->code;
    return model_plan_memory(&s->model, &plan, e);
}

static void note_layer(void *bench, size_t layer)
{
    struct bench *b = bench;
    b->ready[layer] = cpu_seconds();
    reduce_layer_ready(&b->reduce, layer);
}

/* Collective. One step as training does it. */
static enum err_code run_step(struct bench *b, uint64_t step, struct err *e)
{
    struct session *s = b->session;
    size_t world = (size_t)b->dist->world;
    const struct optim_options optim = {
        .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .max_grad_norm = 1, .ratio_b = 1};
    const struct model_input plain = batch_input(&b->pack), in = preference_input(&b->preference, 0, &plain);
    const double scale = has_pairs(b) ? 1 : 1 / (double)(b->pack.supervised_count * world);
    struct model_result result;
    const float *grads;
    double norm;
    reduce_begin(&b->reduce, world);
    b->pack_begun = cpu_seconds();
    const struct model_grads own = {reduce_pack_begin(&b->reduce, (size_t)b->dist->rank), note_layer, b};
    enum err_code code = model_step_grad(&s->model, &in, scale, &own, &result, NULL, e);
    if (!code)
        reduce_pack_end(&b->reduce);
    b->pack_end = cpu_seconds();
    enum prof_phase before = prof_enter(PROF_COMMUNICATION);
    code = dist_agree(b->dist, code, e);
    prof_enter(before);
    if (code)
        reduce_drop(&b->reduce);
    else
        code = reduce_finish(&b->reduce, &grads, e);
    if (!code)
        code = optim_grad_norm(&norm, &s->lora.layout, grads, e);
    if (!code)
        optim_step(&s->lora, &b->moments, grads, &optim, norm, 2e-4, step);
    b->ended = cpu_seconds();
    return code;
}

/* Collective. Computes the reference's log-probabilities of the pack as training does, `passes` times. */
static enum err_code time_reference(struct bench *b, size_t passes, double *seconds, struct err *e)
{
    struct model *m = &b->session->model;
    struct lora *const adapter = m->lora;
    const struct model_input in = batch_input(&b->pack);
    const struct model_each each = {.log_prob = b->reference};
    struct model_result result;
    enum err_code code = ERR_OK;
    *seconds = 0;
    if (!passes || !objective_needs_reference(b->session->options->objective))
        return ERR_OK;
    assert(b->seconds); /* of prepare() */
    if (!*b->session->given)
        m->lora = NULL;
    for (size_t i = 0; !code && i <= passes; i++) { /* the first one touches the memory and is not counted */
        const double begun = cpu_seconds();
        code = dist_agree(b->dist, model_evaluate(m, &in, &result, &each, e), e);
        b->seconds[i ? i - 1 : 0] = cpu_seconds() - begun;
    }
    m->lora = adapter;
    if (!code)
        *seconds = bench_median(b->seconds, passes);
    return code;
}

/* Collective. The first step touches the memory and is not counted. */
static enum err_code run_steps(struct bench *b, struct bench_result *r, struct err *e)
{
    size_t steps = (size_t)b->session->options->steps;
    if (run_step(b, 1, e))
        return e->code;
    double phases[PROF_COUNT];
    prof_take(phases);
    for (size_t i = 0; i < steps; i++) {
        double begun = cpu_seconds();
        uint64_t allocations = alloc_count();
        if (run_step(b, i + 2, e))
            return e->code;
        b->seconds[i] = cpu_seconds() - begun;
        r->mean_seconds += b->seconds[i] / (double)steps;
        allocations = alloc_count() - allocations;
        r->step_allocations = allocations > r->step_allocations ? allocations : r->step_allocations;
    }
    prof_take(phases);
    for (int i = 0; i < PROF_COUNT; i++)
        r->phases[i].seconds = phases[i] / (double)steps;
    return ERR_OK;
}

static int by_value(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

double bench_median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, by_value);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

static void time_steps(struct bench *b, struct bench_result *r)
{
    size_t steps = (size_t)b->session->options->steps;
    r->step_tokens = b->pack.token_count * (size_t)b->session->dist->world;
    r->step_pairs = b->batch.examples;
    r->step_seconds = bench_median(b->seconds, steps);
    r->tokens_per_second = (double)r->step_tokens / r->step_seconds;
    r->fastest_tokens = (double)r->step_tokens / b->seconds[0];
    r->slowest_tokens = (double)r->step_tokens / b->seconds[steps - 1];
}

/* The phases against the rates of rank 0. */
static void judge_phases(struct bench_result *r)
{
    for (int i = 0; i < PROF_COUNT; i++) {
        struct bench_phase *p = &r->phases[i];
        double computing = p->flop / r->rank_gemm_flops, moving = p->bytes / r->rank_memory;
        if (p->seconds > 0)
            p->limit_share = (computing > moving ? computing : moving) / p->seconds;
    }
    const struct bench_phase *attention = &r->phases[PROF_ATTENTION];
    r->attention_share = attention->flop / r->rank_gemm_flops / attention->seconds;
}

/* Collective. */
static enum err_code compare(struct bench *b, struct bench_result *r, struct err *e)
{
    struct session *s = b->session;
    struct dist *d = s->dist;
    const struct bench_size size = {.tokens = b->pack.token_count,
                                    .examples = b->examples,
                                    .length = b->length,
                                    .supervised = b->pack.supervised_count};
    bench_count_work(r->phases, s, &size);
    uint64_t most[] = {cpu_memory_peak(), r->step_allocations};
    double rates[2] = {0};
    enum err_code code = bench_gemm_rate(&rates[0], s, &size, e);
    if (!code)
        code = bench_memory_rate(&rates[1], s, e);
    code = dist_agree(d, code, e);
    double sums[] = {rates[0], rates[1],
                     r->phases[PROF_BASE_GEMM].flop + r->phases[PROF_LORA_GEMM].flop +
                         r->phases[PROF_ATTENTION].flop + r->phases[PROF_HEAD].flop};
    if (code || dist_max_u64(d, most, 2, e) || dist_sum_f64(d, sums, 3, e))
        return e->code;
    r->rank_gemm_flops = rates[0];
    r->rank_memory = rates[1];
    r->peak_memory = most[0];
    r->step_allocations = most[1];
    r->gemm_flops = sums[0];
    r->memory_rate = sums[1];
    r->step_flop = sums[2];
    r->limit_share = r->step_flop / r->gemm_flops / r->step_seconds;
    judge_phases(r);
    return ERR_OK;
}

enum err_code bench_run(struct session *s, struct bench_result *r, struct err *e)
{
    struct bench b = {.session = s, .dist = s->dist};
    *r = (struct bench_result){0};
    enum err_code code = session_new_adapter(s, e);
    if (!code)
        code = dist_agree(s->dist, prepare(&b, e), e);
    if (!code)
        code = time_reference(&b, (size_t)s->options->steps, &r->reference_seconds, e);
    if (!code)
        code = run_steps(&b, r, e);
    if (!code) {
        time_steps(&b, r);
        code = compare(&b, r, e);
    }
    arena_release(&b.arena);
    return code;
}

/* A rank's own steps, on one pack each. */
static enum err_code time_packs(struct bench *b, size_t steps, struct bench_pack *p, struct err *e)
{
    size_t layers = b->session->model.arch.layers;
    for (size_t i = 0; i <= steps; i++) { /* the first one touches the memory and is not counted */
        if (run_step(b, i + 1, e))
            return e->code;
        if (i == 0)
            continue;
        b->seconds[i - 1] = b->pack_end - b->pack_begun;
        p->update_seconds += (b->ended - b->pack_end) / (double)steps;
        for (size_t layer = 0; layer <= layers; layer++)
            p->left[layer] += (b->pack_end - b->ready[layer]) / (double)steps;
    }
    p->seconds = bench_median(b->seconds, steps);
    return ERR_OK;
}

enum err_code bench_time_pack(struct session *s, size_t steps, struct bench_pack *p, struct err *e)
{
    struct dist alone;
    struct bench b = {.session = s, .dist = &alone};
    launch_alone(&alone);
    assert(steps <= (size_t)s->options->steps);
    memset(p->left, 0, (s->model.arch.layers + 1) * sizeof *p->left);
    p->seconds = p->update_seconds = p->reference_seconds = 0;
    enum err_code code = session_new_adapter(s, e);
    if (!code)
        code = dist_agree(s->dist, prepare(&b, e), e);
    p->tokens = b.pack.token_count;
    if (!code)
        code = dist_agree(s->dist, time_reference(&b, steps, &p->reference_seconds, e), e);
    if (!code && steps > 0)
        code = dist_agree(s->dist, time_packs(&b, steps, p, e), e);
    arena_release(&b.arena);
    return code;
}
