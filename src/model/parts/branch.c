#include <stdio.h>

#include "../linear.h"
#include "base/prof.h"
#include "parts.h"

const struct branch branch_attention = {.norm = NORM_ATTENTION,
                                        .in = GROUP_ATTN_IN,
                                        .out = GROUP_ATTN_OUT,
                                        .forward = attend_forward,
                                        .backward = attend_backward,
                                        .norm_path = "input_layernorm",
                                        .between_path = "self_attn"};
const struct branch branch_mlp = {.norm = NORM_MLP,
                                  .in = GROUP_MLP_IN,
                                  .out = GROUP_MLP_OUT,
                                  .forward = mlp_forward,
                                  .backward = mlp_backward,
                                  .shares_out = true,
                                  .norm_path = "post_attention_layernorm",
                                  .between_path = "mlp.act_fn"};

/* The arrays between its products: output of the first and its gradient, input of the last. */
struct between {
    void *in, *din, *out;
};

static struct between between(const struct step *s, size_t layer, const struct branch *b)
{
    const struct acts *acts = s->acts;
    const struct acts_layer *act = &acts->layers[layer];
    if (b->in == GROUP_ATTN_IN)
        return (struct between){.in = act->qkv, .din = acts->dqkv, .out = act->attention};
    return (struct between){.in = act->gate_up, .din = act->gate_up, .out = acts->product};
}

static void check(const struct step *s, size_t layer, const char *path, const void *x, size_t columns)
{
    char whole[ARCH_PATH_SIZE];
    if (!s->trace)
        return;
    snprintf(whole, sizeof whole, "model.layers.%zu.%s", layer, path);
    step_check(s, s->type, x, columns, s->in->n, columns, whole);
}

void branch_open(const struct step *s, size_t layer, const struct branch *b)
{
    const struct step_rows rows = step_rows(s);
    const struct norm_site norm = norm_site(s, layer, b->norm);
    enum prof_phase before = prof_enter(PROF_NORMS);
    norm_forward(s, &norm);
    prof_enter(before);
    check(s, layer, b->norm_path, norm.y, norm.width);
    linear_forward(s, &rows, layer, b->in, between(s, layer, b).in, norm.y);
}

void branch_close(const struct step *s, size_t layer, const struct branch *b)
{
    const struct step_rows rows = step_rows(s);
    const void *out = between(s, layer, b).out;
    check(s, layer, b->between_path, out, arch_group_columns(&s->m->arch, b->out));
    linear_forward(s, &rows, layer, b->out, s->acts->residual, out);
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

/* dh as products read it. */
static const void *products_dh(const struct acts *acts)
{
    return acts->dh_copy ? acts->dh_copy : (const void *)acts->dh;
}

static void recompute_out(const struct step *s, size_t layer, const struct branch *b)
{
    const struct step_rows rows = step_rows(s);
    if (!b->shares_out || !linear_is_adapted(s, layer, b->out))
        return;
    b->forward(s, layer);
    if (s->acts->size.recompute == RECOMPUTE_LAYER)
        linear_recompute_low(s, &rows, layer, b->out, between(s, layer, b).out);
}

bool branch_backward(const struct step *s, size_t layer, const struct branch *b)
{
    const struct acts *acts = s->acts;
    const struct step_rows rows = step_rows(s);
    const struct between x = between(s, layer, b);
    const struct norm_site norm = norm_site(s, layer, b->norm);
    recompute_out(s, layer, b);
    bool ends = ends_at(s, layer, b->out);
    linear_backward(s, &rows, layer, b->out, ends ? NULL : acts->dwide, products_dh(acts), norm.width, x.out);
    if (ends)
        return false;
    b->backward(s, layer);
    enum prof_phase before = prof_enter(PROF_NORMS);
    if (linear_is_adapted(s, layer, b->in))
        norm_recompute(s, &norm);
    prof_enter(before);
    ends = ends_at(s, layer, b->in);
    linear_backward(s, &rows, layer, b->in, ends ? NULL : acts->dnormed, x.din,
                    arch_group_rows(&s->m->arch, b->in), norm.y);
    if (ends)
        return false;
    prof_enter(PROF_NORMS);
    norm_backward(s, &norm, acts->dh, acts->dh_copy, acts->dnormed);
    prof_enter(before);
    return true;
}
