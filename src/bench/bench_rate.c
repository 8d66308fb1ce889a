#include "bench_parts.h"

#include <string.h>
#include <unistd.h>

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
    for (int g = 0; g < GROUP_COUNT; g++) {
        most_in = more(most_in, rows * arch_group_columns(&m->arch, (enum linear_group)g));
        most_out = more(most_out, rows * arch_group_rows(&m->arch, (enum linear_group)g));
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

/* Seconds of a group's product, forward and back: the best of several, each with another layer's matrix. What
 * is added to the residual stream, logits and gradients of inputs are f32. */
static double time_group(const struct operands *o, enum linear_group g, size_t rows)
{
    const struct weights *w = &o->session->model.weights;
    const struct arch *a = &o->session->model.arch;
    size_t out = arch_group_rows(a, g), in = arch_group_columns(a, g);
    enum dtype kept = g == GROUP_ATTN_IN || g == GROUP_MLP_IN ? o->type : DTYPE_F32;
    double best[2] = {1e30, 1e30};
    for (size_t i = 0; i < REPEATS; i++) {
        const void *weight = weights_group(w, i % a->layers, g);
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

/* FLOP of both. */
static double group_flop(const struct arch *a, enum linear_group g, size_t rows)
{
    return 4.0 * (double)rows * (double)arch_group_rows(a, g) * (double)arch_group_columns(a, g);
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
        double seconds = chunks * time_group(&o, GROUP_HEAD, chunk);
        double flop = chunks * group_flop(a, GROUP_HEAD, chunk);
        for (int g = 0; g < GROUP_COUNT; g++) {
            seconds += layers * time_group(&o, (enum linear_group)g, size->tokens);
            flop += layers * group_flop(a, (enum linear_group)g, size->tokens);
        }
        *rate = flop / seconds;
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

/* Numbers of an array: three of them are four times the last cache that the ranks of a node share. */
static size_t choose_count(const struct session *s)
{
    long cache = sysconf(_SC_LEVEL3_CACHE_SIZE);
    size_t total = 4 * (cache > 0 ? (size_t)cache : (size_t)32 << 20);
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
