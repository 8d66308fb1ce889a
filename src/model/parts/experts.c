#include <math.h>
#include <string.h>

#include "base/prof.h"
#include "math/gemm.h"
#include "math/parallel.h"
#include "parts.h"

#define BLOCK 32 /* rows that a thread works on at a time */

/*
 * A choice is an expert of a token: token * choices + number. The rows of the MLP's arrays are the choices sorted by
 * expert, and those of an expert by token (acts->choices; expert_first says where an expert's begin). Experts are
 * worked on one after the other, each with all threads, so that sums go in one order.
 */
struct layer {
    const struct step *s;
    const struct arch *a;
    const struct acts *acts;
    const struct acts_layer *act;
    size_t number;
    const void *x; /* real [n, D] rows to gather */
    float *y;      /* [n, D] rows to add to */
    const float *factors; /* of each choice, for what is added; NULL: 1 */
    size_t first;  /* of the choices of the expert that is worked on */
    /* Arrays with a row for each choice. */
    void *gate_up;
    const void *dgate_up, *product;
    float *dproduct;
};

static struct layer layer_of(const struct step *s, size_t layer)
{
    return (struct layer){
        .s = s, .a = &s->m->arch, .acts = s->acts, .act = &s->acts->layers[layer], .number = layer};
}

static uint32_t choice_at(const struct layer *l, size_t row)
{
    return l->acts->choices[l->first + row];
}

static size_t token_at(const struct layer *l, size_t row)
{
    return choice_at(l, row) / l->a->experts_a_token;
}

/* ---- the router ---- */

/* From logits to probabilities, in f32 as transformers has it. */
static void soften(float *p, size_t count)
{
    float most = p[0], sum = 0;
    for (size_t i = 1; i < count; i++)
        most = p[i] > most ? p[i] : most;
    for (size_t i = 0; i < count; i++)
        sum += p[i] = expf(p[i] - most);
    for (size_t i = 0; i < count; i++)
        p[i] /= sum;
}

static bool is_taken(const uint32_t *chosen, size_t count, size_t expert)
{
    bool taken = false;
    for (size_t i = 0; i < count; i++)
        taken |= chosen[i] == expert;
    return taken;
}

/* The next most probable expert. */
static uint32_t next_choice(const float *p, size_t experts, const uint32_t *chosen, size_t count)
{
    uint32_t best = UINT32_MAX;
    for (uint32_t i = 0; i < experts; i++)
        if (!is_taken(chosen, count, i) && (best == UINT32_MAX || p[i] > p[best]))
            best = i;
    return best;
}

static void choose(void *context, size_t first, size_t count)
{
    const struct layer *l = context;
    size_t experts = l->a->experts, choices = l->a->experts_a_token;
    for (size_t token = first; token < first + count; token++) {
        float *p = l->act->routing + token * experts, *shares = l->act->shares + token * choices, sum = 0;
        uint32_t *chosen = l->act->chosen + token * choices;
        soften(p, experts);
        for (size_t i = 0; i < choices; i++) {
            chosen[i] = next_choice(p, experts, chosen, i);
            shares[i] = p[chosen[i]];
            sum += shares[i];
        }
        for (size_t i = 0; i < choices && l->a->experts_share_one; i++)
            shares[i] /= sum;
    }
}

static void route(struct layer *l, const void *x)
{
    const struct step *s = l->s;
    size_t n = s->in->n, experts = l->a->experts, width = l->a->width;
    gemm(s->type, DTYPE_F32, GEMM_N, GEMM_T, n, experts, width, 1, x, width, s->m->weights.layers[l->number].router,
         width, 0, l->act->routing, experts);
    if (s->trace) {
        char path[ARCH_PATH_SIZE];
        arch_router_path(path, l->a, l->number);
        step_check(s, DTYPE_F32, l->act->routing, experts, n, experts, path);
    }
    parallel_blocks(n, BLOCK, choose, l);
}

static void sort_choices(const struct layer *l)
{
    uint32_t *first = l->acts->expert_first;
    size_t experts = l->a->experts, count = l->s->in->n * l->a->experts_a_token;
    memset(first, 0, (experts + 1) * sizeof *first);
    for (size_t i = 0; i < count; i++)
        first[l->act->chosen[i] + 1]++;
    for (size_t i = 0; i < experts; i++)
        first[i + 1] += first[i];
    for (size_t i = 0; i < count; i++)
        l->acts->choices[first[l->act->chosen[i]]++] = (uint32_t)i;
    memmove(first + 1, first, experts * sizeof *first); /* each has become where the next begins */
    first[0] = 0;
}

/* dz of the logits z: p = softmax(z), and the shares are some of p, or those divided by their sum. */
static void unroute(void *context, size_t first, size_t count)
{
    const struct layer *l = context;
    size_t experts = l->a->experts, choices = l->a->experts_a_token;
    for (size_t token = first; token < first + count; token++) {
        const float *p = l->act->routing + token * experts, *shares = l->act->shares + token * choices;
        const float *dshares = l->acts->dshares + token * choices;
        const uint32_t *chosen = l->act->chosen + token * choices;
        float *dz = l->acts->drouting + token * experts, mean = 0;
        for (size_t i = 0; i < choices; i++)
            mean += shares[i] * dshares[i];
        for (size_t i = 0; i < experts; i++)
            dz[i] = l->a->experts_share_one ? 0 : -mean * p[i];
        for (size_t i = 0; i < choices; i++)
            dz[chosen[i]] = shares[i] * (dshares[i] - mean);
    }
}

/* ---- an expert's rows ---- */

static void gather(void *context, size_t first, size_t count)
{
    const struct layer *l = context;
    size_t bytes = l->a->width * l->s->real->size;
    for (size_t row = first; row < first + count; row++)
        memcpy((char *)l->acts->expert_in + row * bytes, (const char *)l->x + token_at(l, row) * bytes, bytes);
}

static void add_back(void *context, size_t first, size_t count)
{
    const struct layer *l = context;
    size_t width = l->a->width;
    for (size_t row = first; row < first + count; row++) {
        const float *x = l->acts->expert_out + row * width, factor = l->factors ? l->factors[choice_at(l, row)] : 1;
        float *y = l->y + token_at(l, row) * width;
        for (size_t i = 0; i < width; i++)
            y[i] += factor * x[i];
    }
}

/* The product's gradient without the share gives that of the share. */
static void share_gradients(void *context, size_t first, size_t count)
{
    const struct layer *l = context;
    size_t ffn = l->a->ffn, size = l->s->real->size;
    for (size_t row = first; row < first + count; row++) {
        uint32_t choice = choice_at(l, row);
        float *d = l->dproduct + (l->first + row) * ffn, part[256];
        double sum = 0;
        for (size_t done = 0, next; done < ffn; done += next) {
            next = ffn - done < 256 ? ffn - done : 256;
            dtype_to_f32(part, l->s->type, (const char *)l->product + ((l->first + row) * ffn + done) * size, next);
            for (size_t i = 0; i < next; i++) {
                sum += (double)part[i] * (double)d[done + i];
                d[done + i] *= l->act->shares[choice];
            }
        }
        l->acts->dshares[choice] = (float)sum;
    }
}

/* ---- all experts ---- */

/* One expert after the other, if it has rows; the first is l->first. */
static void each_expert(struct layer *l, void (*work)(struct layer *l, size_t expert, size_t n))
{
    const uint32_t *first = l->acts->expert_first;
    for (size_t expert = 0; expert < l->a->experts; expert++) {
        l->first = first[expert];
        if (first[expert + 1] > first[expert])
            work(l, expert, first[expert + 1] - first[expert]);
    }
}

/* A matrix of an expert, and where its columns are in the output of its group. */
struct operand {
    size_t matrix, rows, columns, at;
};

/* The next matrix of a group; false after the last. The first call has all zeros. */
static bool next_operand(struct operand *o, const struct arch *a, enum linear_group g)
{
    o->at += o->rows;
    o->matrix += o->rows > 0;
    while (o->matrix < arch_expert_matrices(a) && arch_expert_module(a, o->matrix)->group != g)
        o->matrix++;
    if (o->matrix == arch_expert_matrices(a))
        return false;
    o->rows = arch_expert_rows(a, o->matrix);
    o->columns = arch_expert_columns(a, o->matrix);
    return true;
}

static struct operand only_operand(const struct arch *a, enum linear_group g)
{
    struct operand o = {0};
    next_operand(&o, a, g);
    return o;
}

static const void *matrix_of(const struct layer *l, size_t expert, const struct operand *o)
{
    return weights_expert(&l->s->m->weights, l->number, expert, o->matrix);
}

static float scale_of(const struct arch *a, enum linear_group g)
{
    return a->scale[g] != 0 ? a->scale[g] : 1;
}

static void first_forward(struct layer *l, size_t expert, size_t n)
{
    const struct step *s = l->s;
    size_t ld = arch_group_rows(l->a, l->number, GROUP_MLP_IN);
    parallel_blocks(n, BLOCK, gather, l);
    for (struct operand o = {0}; next_operand(&o, l->a, GROUP_MLP_IN);)
        gemm(s->type, s->type, GEMM_N, GEMM_T, n, o.rows, o.columns, scale_of(l->a, GROUP_MLP_IN), l->acts->expert_in,
             o.columns, matrix_of(l, expert, &o), o.columns, 0,
             (char *)l->gate_up + (l->first * ld + o.at) * s->real->size, ld);
}

static void last_forward(struct layer *l, size_t expert, size_t n)
{
    const struct step *s = l->s;
    const struct operand o = only_operand(l->a, GROUP_MLP_OUT);
    gemm(s->type, DTYPE_F32, GEMM_N, GEMM_T, n, o.rows, o.columns, scale_of(l->a, GROUP_MLP_OUT),
         step_at(s, l->product, l->first * o.columns), o.columns, matrix_of(l, expert, &o), o.columns, 0,
         l->acts->expert_out, o.rows);
    parallel_blocks(n, BLOCK, add_back, l);
}

void experts_forward(const struct step *s, size_t layer, enum linear_group g, void *y, const void *x)
{
    struct layer l = layer_of(s, layer);
    enum prof_phase before = prof_enter(PROF_BASE_GEMM);
    if (g == GROUP_MLP_IN) {
        if (!s->recompute)
            route(&l, x);
        sort_choices(&l);
        l.x = x;
        l.gate_up = y;
        each_expert(&l, first_forward);
    } else {
        l.y = y;
        l.factors = l.act->shares;
        l.product = x;
        each_expert(&l, last_forward);
    }
    prof_enter(before);
    if (s->trace && g == GROUP_MLP_OUT) {
        char path[ARCH_PATH_SIZE];
        arch_experts_path(path, l.a, layer);
        step_check(s, DTYPE_F32, y, l.a->width, s->in->n, l.a->width, path);
    }
}

static void last_backward(struct layer *l, size_t expert, size_t n)
{
    const struct step *s = l->s;
    const struct operand o = only_operand(l->a, GROUP_MLP_OUT);
    parallel_blocks(n, BLOCK, gather, l);
    gemm(s->type, DTYPE_F32, GEMM_N, GEMM_N, n, o.columns, o.rows, scale_of(l->a, GROUP_MLP_OUT), l->acts->expert_in,
         o.rows, matrix_of(l, expert, &o), o.columns, 0, l->dproduct + l->first * o.columns, o.columns);
    parallel_blocks(n, BLOCK, share_gradients, l);
}

static void router_backward(struct layer *l)
{
    const struct step *s = l->s;
    const struct acts *acts = l->acts;
    size_t n = s->in->n, experts = l->a->experts, width = l->a->width;
    parallel_blocks(n, BLOCK, unroute, l);
    if (acts->drouting_copy)
        s->real->from_f32(acts->drouting_copy, acts->drouting, n * experts);
    gemm(s->type, DTYPE_F32, GEMM_N, GEMM_N, n, width, experts, 1,
         acts->drouting_copy ? acts->drouting_copy : (const void *)acts->drouting, experts,
         s->m->weights.layers[l->number].router, width, 0, l->y, width);
}

static void first_backward(struct layer *l, size_t expert, size_t n)
{
    const struct step *s = l->s;
    size_t ld = arch_group_rows(l->a, l->number, GROUP_MLP_IN);
    for (struct operand o = {0}; next_operand(&o, l->a, GROUP_MLP_IN);)
        gemm(s->type, DTYPE_F32, GEMM_N, GEMM_N, n, o.columns, o.rows, scale_of(l->a, GROUP_MLP_IN),
             step_at(s, l->dgate_up, l->first * ld + o.at), ld, matrix_of(l, expert, &o), o.columns, o.at > 0 ? 1 : 0,
             l->acts->expert_out, o.columns);
    parallel_blocks(n, BLOCK, add_back, l);
}

void experts_backward(const struct step *s, size_t layer, enum linear_group g, float *dx, const void *dy,
                      const void *x)
{
    struct layer l = layer_of(s, layer);
    if (!dx)
        return;
    enum prof_phase before = prof_enter(PROF_BASE_GEMM);
    if (g == GROUP_MLP_OUT) {
        sort_choices(&l);
        l.x = dy;
        l.dproduct = dx;
        l.product = x;
        each_expert(&l, last_backward);
    } else {
        l.y = dx;
        l.dgate_up = dy;
        router_backward(&l);
        each_expert(&l, first_backward);
    }
    prof_enter(before);
}
