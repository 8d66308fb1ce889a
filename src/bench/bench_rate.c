#include "bench_parts.h"

#include <string.h>

#include "base/cpu.h"
#include "math/gemm.h"
#include "math/parallel.h"

enum { REPEATS = 5, PIECES = 64 };

/* ---- products ---- */

struct operands {
    const struct session *session;
    enum dtype type; /* of what products read */
    void *x, *dy;    /* of that type */
    float *y, *dx;   /* room for f32; y holds `type` where the step keeps it so */
};

static size_t more(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Small numbers that both types hold exactly. */
static void fill(void *out, enum dtype type, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        float value = (float)(i % 17) / 8 - 1;
        if (type == DTYPE_BF16)
            ((uint16_t *)out)[i] = dtype_f32_to_bf16(value);
        else
            ((float *)out)[i] = value;
    }
}

static enum err_code make_operands(struct operands *o, struct arena *arena, size_t rows, struct err *e)
{
    const struct model *m = &o->session->model;
    size_t chunk = model_head_rows(m), size = dtype_info(o->type)->block_bytes;
    size_t most_in = chunk * m->arch.width, most_out = chunk * m->arch.vocab;
    for (size_t layer = 0; layer < m->arch.layers; layer++)
        for (int g = 0; g < GROUP_COUNT; g++) {
            most_in = more(most_in, rows * arch_group_columns(&m->arch, layer, (enum linear_group)g));
            most_out = more(most_out, rows * arch_group_rows(&m->arch, layer, (enum linear_group)g));
        }
    static const char what[] = "operands of products";
    if (!(o->x = arena_alloc(arena, most_in, size, what, e)) ||
        !(o->dy = arena_alloc(arena, most_out, size, what, e)) ||
        !(o->y = arena_alloc(arena, most_out, sizeof *o->y, what, e)) ||
        !(o->dx = arena_alloc(arena, most_in, sizeof *o->dx, what, e)))
        return e->code;
    fill(o->x, o->type, most_in);
    fill(o->dy, o->type, most_out);
    return ERR_OK;
}

/* A product of a group, or of one matrix of an expert with its part of the rows; in layers of the kind of this one. */
struct product {
    enum linear_group group;
    size_t layer;
    size_t rows, out, in, matrix;
    bool of_expert;
};

static bool are_alike(const struct arch *a, size_t x, size_t y, enum linear_group g)
{
    return arch_group_rows(a, x, g) == arch_group_rows(a, y, g) &&
           arch_group_columns(a, x, g) == arch_group_columns(a, y, g);
}

/* The next layer, in a circle, whose matrix has the same shape. */
static size_t next_alike(const struct arch *a, size_t layer, enum linear_group g)
{
    size_t next = (layer + 1) % a->layers;
    while (!are_alike(a, next, layer, g))
        next = (next + 1) % a->layers;
    return next;
}

/* Seconds of a product, forward and back: the best of several, each with another layer's matrix. What
 * is added to the residual stream, logits and gradients of inputs are f32. */
static double time_product(const struct operands *o, const struct product *p)
{
    const struct weights *w = &o->session->model.weights;
    const struct arch *a = &o->session->model.arch;
    size_t rows = p->rows, out = p->out, in = p->in;
    enum dtype kept = p->group == GROUP_ATTN_IN || p->group == GROUP_MLP_IN ? o->type : DTYPE_F32;
    double best[2] = {1e30, 1e30};
    for (size_t i = 0, layer = p->layer; i < REPEATS; i++, layer = next_alike(a, layer, p->group)) {
        const void *weight = p->of_expert ? weights_expert(w, layer, i % a->experts, p->matrix)
                                          : weights_group(w, layer, p->group);
        double begun = cpu_seconds();
        gemm(o->type, kept, GEMM_N, GEMM_T, rows, out, in, 1, o->x, in, weight, in, 0, o->y, out);
        double middle = cpu_seconds();
        gemm(o->type, DTYPE_F32, GEMM_N, GEMM_N, rows, in, out, 1, o->dy, out, weight, in, 0, o->dx, in);
        double ended = cpu_seconds();
        best[0] = middle - begun < best[0] ? middle - begun : best[0];
        best[1] = ended - middle < best[1] ? ended - middle : best[1];
    }
    return best[0] + best[1];
}

/* Seconds and FLOP of `times` such products. */
struct total {
    double seconds, flop;
};

static void add_product(struct total *t, const struct operands *o, const struct product *p, double times)
{
    t->seconds += times * time_product(o, p);
    t->flop += times * 4 * (double)p->rows * (double)p->out * (double)p->in;
}

static void add_group(struct total *t, const struct operands *o, size_t layer, enum linear_group g, size_t rows,
                      double times)
{
    const struct arch *a = &o->session->model.arch;
    const struct product p = {.group = g,
                              .layer = layer,
                              .rows = rows,
                              .out = arch_group_rows(a, layer, g),
                              .in = arch_group_columns(a, layer, g)};
    add_product(t, o, &p, times);
}

/* Of all layers: each shape of matrix is timed once. */
static void add_layers(struct total *t, const struct operands *o, enum linear_group g, size_t rows)
{
    const struct arch *a = &o->session->model.arch;
    for (size_t layer = 0; layer < a->layers; layer++) {
        size_t before = 0, alike = 0;
        for (size_t i = 0; i < a->layers; i++) {
            before += i < layer && are_alike(a, i, layer, g);
            alike += are_alike(a, i, layer, g);
        }
        if (before == 0)
            add_group(t, o, layer, g, rows, (double)alike);
    }
}

static void add_experts(struct total *t, const struct operands *o, size_t tokens, double layers)
{
    const struct arch *a = &o->session->model.arch;
    for (size_t i = 0; i < arch_expert_matrices(a); i++) {
        const struct product p = {.group = arch_expert_module(a, i)->group,
                                  .rows = (tokens * a->experts_a_token + a->experts - 1) / a->experts,
                                  .out = arch_expert_rows(a, i),
                                  .in = arch_expert_columns(a, i),
                                  .matrix = i,
                                  .of_expert = true};
        add_product(t, o, &p, layers * (double)a->experts);
    }
}

enum err_code bench_gemm_rate(double *rate, const struct session *s, const struct bench_size *size,
                              struct err *e)
{
    const struct arch *a = &s->model.arch;
    struct arena arena = {0};
    struct operands o = {.session = s, .type = s->model.weights.type};
    size_t chunk = model_head_rows(&s->model);
    enum err_code code = make_operands(&o, &arena, size->tokens, e);
    if (!code) {
        double chunks = (double)size->supervised / (double)chunk, layers = (double)a->layers;
        struct total t = {0};
        add_group(&t, &o, 0, GROUP_HEAD, chunk, chunks);
        for (int g = 0; g < GROUP_COUNT; g++)
            if (!arch_has_experts(a) || g < GROUP_MLP_IN)
                add_layers(&t, &o, (enum linear_group)g, size->tokens);
        add_experts(&t, &o, size->tokens, layers);
        *rate = t.flop / t.seconds;
    }
    arena_release(&arena);
    return code;
}

/* ---- memory ---- */

struct triad {
    double *a;
    const double *b, *c;
    size_t count;
};

static void add_piece(void *context, size_t piece)
{
    const struct triad *t = context;
    size_t begin = t->count / PIECES * piece, end = begin + t->count / PIECES;
    for (size_t i = begin; i < end; i++)
        t->a[i] = t->b[i] + 3 * t->c[i];
}

/* Numbers of an array: three of them are four times the last caches that the ranks of a node share. */
static size_t choose_count(const struct session *s)
{
    const size_t cache = cpu_cache("/sys/devices/system/cpu");
    size_t total = 4 * (cache > 0 ? cache : (size_t)32 << 20);
    size_t count = total / 3 / sizeof(double) / (size_t)s->dist->node_ranks;
    return more(count, (size_t)1 << 20) / PIECES * PIECES;
}

enum err_code bench_memory_rate(double *rate, const struct session *s, struct err *e)
{
    struct arena arena = {0};
    size_t count = choose_count(s);
    double *values = arena_alloc(&arena, 3 * count, sizeof *values, "the triad", e), best = 1e30;
    if (!values)
        return e->code;
    struct triad t = {.a = values, .b = values + count, .c = values + 2 * count, .count = count};
    memset(values, 0,
           3 * count * sizeof *values); /* pages that were never written are all one page of zeros */
    for (size_t i = 0; i <= REPEATS; i++) {
        double begun = cpu_seconds();
        parallel_each(PIECES, add_piece, &t);
        double seconds = cpu_seconds() - begun;
        if (i > 0 && seconds < best)
            best = seconds;
    }
    *rate = (double)(3 * count * sizeof *values) / best;
    arena_release(&arena);
    return ERR_OK;
}
