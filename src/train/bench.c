#include "train/bench.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cpu.h"
#include "base/rng.h"
#include "data/pack.h"
#include "math/gemm.h"
#include "train/batch.h"
#include "train/optim.h"
#include "train/reduce.h"

enum { REPEATS = 5, AUTO_EXAMPLES = 4 };

struct bench {
    struct session *session;
    struct arena arena;
    struct pack pack;
    struct reduce reduce;
    size_t length, examples;
    double *seconds; /* [steps] */
};

/* Tokens of a pack; `auto` is four examples. */
static enum err_code choose_size(struct bench *b, struct err *e)
{
    const struct options *o = b->session->options;
    size_t tokens = (size_t)strtoull(o->micro_batch_tokens, NULL, 10); /* 0: auto */
    b->length = (size_t)o->length;
    b->examples = tokens ? tokens / b->length : AUTO_EXAMPLES;
    if (b->examples == 0 || (tokens && tokens % b->length))
        return err_set(e, ERR_USAGE, "--micro-batch-tokens %zu is not a multiple of --length %zu", tokens,
                       b->length);
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

/* This rank's own part of the preparations. */
static enum err_code prepare(struct bench *b, struct err *e)
{
    struct session *s = b->session;
    if (choose_size(b, e) || fill_pack(b, e))
        return e->code;
    struct model_plan plan = {.tokens = b->pack.token_count,
                              .examples = b->examples,
                              .longest = b->length,
                              .threads = s->threads,
                              .train = true};
    b->seconds =
        arena_alloc(&b->arena, (size_t)s->options->steps, sizeof *b->seconds, "times of the steps", e);
    if (!b->seconds || lora_train_buffers(&s->lora, e) ||
        reduce_init(&b->reduce, &s->lora, s->dist, (size_t)s->dist->world, &b->arena, e))
        return e->code;
    return model_plan_memory(&s->model, &plan, e);
}

/* Collective. One step as training does it. */
static enum err_code run_step(struct bench *b, uint64_t step, struct err *e)
{
    struct session *s = b->session;
    size_t world = (size_t)s->dist->world;
    const struct optim_options optim = {
        .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .max_grad_norm = 1, .ratio_b = 1};
    struct model_input in = batch_input(&b->pack);
    struct model_result result;
    double norm;
    reduce_begin(&b->reduce, world);
    reduce_pack_begin(&b->reduce, (size_t)s->dist->rank);
    enum err_code code =
        model_step_grad(&s->model, &in, 1.0 / (double)(b->pack.supervised_count * world), &result, e);
    if (!code)
        reduce_pack_end(&b->reduce);
    enum prof_phase before = prof_enter(PROF_COMMUNICATION);
    code = dist_agree(s->dist, code, e);
    prof_enter(before);
    if (!code)
        code = reduce_finish(&b->reduce, s->dist, e);
    if (!code)
        code = optim_grad_norm(&norm, &s->lora, e);
    if (!code)
        optim_step(&s->lora, &optim, norm, 2e-4, step);
    return code;
}

/* Collective. The first step touches the memory and is not counted. */
static enum err_code run_steps(struct bench *b, struct bench_result *r, struct err *e)
{
    size_t steps = (size_t)b->session->options->steps;
    if (run_step(b, 1, e))
        return e->code;
    prof_take(r->phases);
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
    prof_take(r->phases);
    for (int i = 0; i < PROF_COUNT; i++)
        r->phases[i] /= (double)steps;
    return ERR_OK;
}

/* FLOP of the base's products for `rows` rows of a group, one way. */
static double group_flop(const struct arch *a, enum linear_group g, size_t rows)
{
    return 2.0 * (double)rows * (double)arch_group_rows(a, g) * (double)arch_group_columns(a, g);
}

static double necessary_flop(const struct bench *b)
{
    const struct session *s = b->session;
    const struct arch *a = &s->model.arch;
    size_t n = b->pack.token_count, unused;
    double length = (double)b->length, flop = 2 * group_flop(a, GROUP_HEAD, b->pack.supervised_count);
    for (int g = 0; g < GROUP_COUNT; g++)
        flop += 2 * (double)a->layers * group_flop(a, (enum linear_group)g, n);
    flop -= group_flop(a, GROUP_ATTN_IN, n);
    flop += 12 * (double)(a->layers * a->heads * a->head_dim * b->examples) * length * (length + 1) / 2;
    for (size_t i = 0; i < s->lora.count; i++) {
        const struct lora_module *m = &s->lora.modules[i];
        flop += 6 * (double)(n * m->rank) * (double)(m->in + m->out);
    }
    size_t ranks = lora_group_ranks(&s->lora, 0, GROUP_ATTN_IN, &unused);
    return flop - 2 * (double)(n * ranks) * (double)arch_group_columns(a, GROUP_ATTN_IN);
}

/* Seconds of a group's product, forward and back: the best of several, each with another layer's matrix. */
static double time_group(const struct bench *b, enum linear_group g, size_t rows, float *x, float *y)
{
    const struct weights *w = &b->session->model.weights;
    const struct arch *a = &b->session->model.arch;
    size_t out = arch_group_rows(a, g), in = arch_group_columns(a, g);
    double best[2] = {1e30, 1e30};
    for (size_t i = 0; i < REPEATS; i++) {
        const float *weight = g == GROUP_HEAD ? w->head : w->layers[i % a->layers].weight[g];
        for (size_t k = 0; k < rows * in; k++) /* anew: the product back has replaced it */
            x[k] = (float)(k % 17) / 8 - 1;
        double begun = cpu_seconds();
        gemm_f32(GEMM_N, GEMM_T, rows, out, in, 1, x, in, weight, in, 0, y, out);
        double middle = cpu_seconds();
        gemm_f32(GEMM_N, GEMM_N, rows, in, out, 1, y, out, weight, in, 0, x, in);
        double ended = cpu_seconds();
        best[0] = middle - begun < best[0] ? middle - begun : best[0];
        best[1] = ended - middle < best[1] ? ended - middle : best[1];
    }
    return best[0] + best[1];
}

static size_t more(size_t a, size_t b)
{
    return a > b ? a : b;
}

static enum err_code measure_rate(struct bench *b, double *rate, struct err *e)
{
    const struct arch *a = &b->session->model.arch;
    size_t n = b->pack.token_count, chunk = model_head_rows(&b->session->model);
    size_t most_x = chunk * a->width, most_y = chunk * a->vocab;
    double seconds, flop;
    for (int g = 0; g < GROUP_COUNT; g++) {
        most_x = more(most_x, n * arch_group_columns(a, (enum linear_group)g));
        most_y = more(most_y, n * arch_group_rows(a, (enum linear_group)g));
    }
    float *x = arena_alloc(&b->arena, most_x, sizeof *x, "operands of products", e);
    float *y = arena_alloc(&b->arena, most_y, sizeof *y, "operands of products", e);
    if (!x || !y)
        return e->code;
    double chunks = (double)b->pack.supervised_count / (double)chunk;
    seconds = chunks * time_group(b, GROUP_HEAD, chunk, x, y);
    flop = chunks * 2 * group_flop(a, GROUP_HEAD, chunk);
    for (int g = 0; g < GROUP_COUNT; g++) {
        seconds += (double)a->layers * time_group(b, (enum linear_group)g, n, x, y);
        flop += (double)a->layers * 2 * group_flop(a, (enum linear_group)g, n);
    }
    *rate = flop / seconds;
    return ERR_OK;
}

static int by_value(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* Collective. */
static enum err_code finish(struct bench *b, struct bench_result *r, struct err *e)
{
    struct dist *d = b->session->dist;
    size_t steps = (size_t)b->session->options->steps;
    r->step_tokens = b->pack.token_count * (size_t)d->world;
    qsort(b->seconds, steps, sizeof *b->seconds, by_value);
    r->step_seconds = (b->seconds[(steps - 1) / 2] + b->seconds[steps / 2]) / 2;
    r->tokens_per_second = (double)r->step_tokens / r->step_seconds;
    r->fastest_tokens = (double)r->step_tokens / b->seconds[0];
    r->slowest_tokens = (double)r->step_tokens / b->seconds[steps - 1];
    uint64_t most[] = {cpu_memory_peak(), r->step_allocations};
    enum err_code code = dist_agree(d, measure_rate(b, &r->gemm_flops, e), e);
    double sums[] = {r->gemm_flops, necessary_flop(b)};
    if (code || dist_max_u64(d, most, 2, e) || dist_sum_f64(d, sums, 2, e))
        return e->code;
    r->peak_memory = most[0];
    r->step_allocations = most[1];
    r->gemm_flops = sums[0];
    r->step_flop = sums[1];
    r->limit_share = r->step_flop / r->gemm_flops / r->step_seconds;
    return ERR_OK;
}

enum err_code bench_run(struct session *s, struct bench_result *r, struct err *e)
{
    struct bench b = {.session = s};
    *r = (struct bench_result){0};
    enum err_code code = session_new_adapter(s, e);
    if (!code)
        code = dist_agree(s->dist, prepare(&b, e), e);
    if (!code)
        code = run_steps(&b, r, e);
    if (!code)
        code = finish(&b, r, e);
    arena_release(&b.arena);
    return code;
}
