#include <string.h>

#include "../linear.h"
#include "base/prof.h"
#include "parts.h"

const struct branch branch_attention = {.norm = AT_ATTN_IN,
                                        .out_norm = AT_ATTN_OUT,
                                        .in = GROUP_ATTN_IN,
                                        .out = GROUP_ATTN_OUT,
                                        .forward = attend_forward,
                                        .backward = attend_backward};
const struct branch branch_mlp = {.norm = AT_MLP_IN,
                                  .out_norm = AT_MLP_OUT,
                                  .in = GROUP_MLP_IN,
                                  .out = GROUP_MLP_OUT,
                                  .forward = mlp_forward,
                                  .backward = mlp_backward,
                                  .shares_out = true};

/* The arrays between its products: output of the first and its gradient, and columns of both; input of the last. */
struct between {
    void *in, *din;
    size_t ld;
    void *out;
};

static struct between between(const struct step *s, size_t layer, const struct branch *b)
{
    const struct acts *acts = s->acts;
    const struct acts_layer *act = &acts->layers[layer];
    const struct arch *a = &s->m->arch;
    size_t qkv = arch_qkv_columns(a, layer);
    if (b->in == GROUP_ATTN_IN && a->grouped_qkv)
        return (struct between){.in = acts->grouped, .din = acts->grouped, .ld = qkv, .out = act->attention};
    if (b->in == GROUP_ATTN_IN)
        return (struct between){.in = act->qkv, .din = acts->dqkv, .ld = qkv, .out = act->attention};
    return (struct between){
        .in = act->gate_up, .din = act->gate_up, .ld = arch_group_rows(a, layer, b->in), .out = acts->product};
}

static bool has_experts(const struct step *s, enum linear_group g)
{
    return arch_has_experts(&s->m->arch) && (g == GROUP_MLP_IN || g == GROUP_MLP_OUT);
}

static void products_forward(const struct step *s, size_t layer, enum linear_group g, void *y, size_t ld,
                             const void *x)
{
    const struct step_rows rows = step_rows(s);
    if (has_experts(s, g))
        experts_forward(s, layer, g, y, x);
    else
        linear_forward(s, &rows, layer, g, y, ld, x);
}

static void products_backward(const struct step *s, size_t layer, enum linear_group g, float *dx, const void *dy,
                              size_t ld, const void *x)
{
    const struct step_rows rows = step_rows(s);
    if (has_experts(s, g))
        experts_backward(s, layer, g, dx, dy, x);
    else
        linear_backward(s, &rows, layer, g, dx, dy, ld, x);
}

static void check_norm(const struct step *s, size_t layer, enum place place, const void *x, size_t columns)
{
    char path[ARCH_PATH_SIZE];
    arch_norm_path(path, &s->m->arch, layer, place);
    step_check(s, s->type, x, columns, s->in->n, columns, path);
}

static void check_between(const struct step *s, size_t layer, const struct branch *b, const void *x)
{
    char path[ARCH_PATH_SIZE];
    size_t columns = arch_group_columns(&s->m->arch, layer, b->out);
    if (has_experts(s, b->out)) /* its rows are not tokens */
        return;
    arch_between_path(path, &s->m->arch, layer, b->out);
    step_check(s, s->type, x, columns, s->in->n, columns, path);
}

void branch_open(const struct step *s, size_t layer, const struct branch *b)
{
    const struct norm_site norm = norm_site(s, layer, b->norm);
    const struct between x = between(s, layer, b);
    enum prof_phase before = prof_enter(PROF_NORMS);
    norm_forward(s, &norm);
    prof_enter(before);
    if (s->trace && norm.weight)
        check_norm(s, layer, arch_has_norm(&s->m->arch, b->norm) ? b->norm : AT_ATTN_IN, norm.y, norm.width);
    products_forward(s, layer, b->in, x.in, x.ld, norm.y);
}

/* The last product goes through a norm before it is added. */
static void add_normed(const struct step *s, size_t layer, const struct branch *b, const void *x)
{
    const struct norm_site norm = norm_site(s, layer, b->out_norm);
    size_t count = norm.n * norm.width;
    memset(s->acts->out, 0, count * sizeof *s->acts->out);
    products_forward(s, layer, b->out, s->acts->out, norm.width, x);
    enum prof_phase before = prof_enter(PROF_NORMS);
    norm_forward(s, &norm);
    s->real->add(s->acts->residual, norm.y, count);
    prof_enter(before);
    if (s->trace)
        check_norm(s, layer, b->out_norm, norm.y, norm.width);
}

void branch_close(const struct step *s, size_t layer, const struct branch *b)
{
    const void *out = between(s, layer, b).out;
    if (s->trace)
        check_between(s, layer, b, out);
    if (arch_has_norm(&s->m->arch, b->out_norm))
        add_normed(s, layer, b, out);
    else
        products_forward(s, layer, b->out, s->acts->residual, s->m->arch.width, out);
}

void branch_forward(const struct step *s, size_t layer, const struct branch *b)
{
    branch_open(s, layer, b);
    b->forward(s, layer);
    branch_close(s, layer, b);
}

/* Does backward end at this group's input, no adapter being before it? */
static bool ends_at(const struct step *s, size_t layer, enum linear_group g)
{
    bool ends = layer == s->layout->lowest_layer;
    for (int before = 0; before < (int)g && ends; before++)
        ends = !linear_is_adapted(s, layer, (enum linear_group)before);
    return ends;
}

/* The gradient of the last product's output, as products read it: that of the residual stream, or what a norm after
 * the product makes of it. */
static const void *gradient_of_out(const struct step *s, size_t layer, const struct branch *b)
{
    const struct acts *acts = s->acts;
    if (!arch_has_norm(&s->m->arch, b->out_norm))
        return acts->dh_copy ? acts->dh_copy : (const void *)acts->dh;
    const struct norm_site norm = norm_site(s, layer, b->out_norm);
    enum prof_phase before = prof_enter(PROF_NORMS);
    memset(acts->dout, 0, norm.n * norm.width * sizeof *acts->dout);
    norm_backward(s, &norm, acts->dout, acts->dout_copy, acts->dh);
    prof_enter(before);
    return acts->dout_copy ? acts->dout_copy : (const void *)acts->dout;
}

static void recompute_out(const struct step *s, size_t layer, const struct branch *b)
{
    const struct step_rows rows = step_rows(s);
    if (!b->shares_out || !(has_experts(s, b->out) || linear_is_adapted(s, layer, b->out)))
        return;
    b->forward(s, layer);
    if (s->acts->size.recompute == RECOMPUTE_LAYER)
        linear_recompute_low(s, &rows, layer, b->out, between(s, layer, b).out);
}

bool branch_backward(const struct step *s, size_t layer, const struct branch *b)
{
    const struct acts *acts = s->acts;
    const struct between x = between(s, layer, b);
    const struct norm_site norm = norm_site(s, layer, b->norm);
    recompute_out(s, layer, b);
    bool ends = ends_at(s, layer, b->out);
    products_backward(s, layer, b->out, ends ? NULL : acts->dwide, gradient_of_out(s, layer, b), norm.width, x.out);
    if (ends)
        return false;
    b->backward(s, layer);
    enum prof_phase before = prof_enter(PROF_NORMS);
    if (linear_is_adapted(s, layer, b->in))
        norm_recompute(s, &norm);
    prof_enter(before);
    ends = ends_at(s, layer, b->in);
    products_backward(s, layer, b->in, ends ? NULL : acts->dnormed, x.din, x.ld, norm.y);
    if (ends)
        return false;
    prof_enter(PROF_NORMS);
    if (b->norm == AT_MLP_IN && s->m->arch.parallel) { /* attention's part still reads dh as it is */
        memset(acts->dside, 0, norm.n * norm.width * sizeof *acts->dside);
        norm_backward(s, &norm, acts->dside, NULL, acts->dnormed);
    } else {
        norm_backward(s, &norm, acts->dh, acts->dh_copy, acts->dnormed);
    }
    prof_enter(before);
    return true;
}
