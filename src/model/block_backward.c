#include "base/prof.h"
#include "step.h"

static bool is_adapted(const struct step *s, size_t layer, enum linear_group g)
{
    size_t a;
    return lora_group_ranks(s->layout, layer, g, &a) > 0;
}

/* The group at whose input the gradient ends in the lowest adapted layer. */
static enum linear_group last_group(const struct step *s, size_t layer)
{
    int g = 0;
    while (g < GROUP_MLP_OUT && !is_adapted(s, layer, (enum linear_group)g))
        g++;
    return (enum linear_group)g;
}

/* dh as products read it. */
static const void *narrow_dh(const struct acts *acts)
{
    return acts->dh_copy ? acts->dh_copy : (const void *)acts->dh;
}

/* dh: gradient of the block's output, then of `mid`. Ends before a dx that no adapter needs. */
static bool backward_mlp(const struct step *s, size_t layer, bool lowest, enum linear_group last)
{
    const struct arch *arch = &s->m->arch;
    const struct acts *acts = s->acts;
    const struct acts_layer *act = &acts->layers[layer];
    const struct layer_weights *w = &s->m->weights.layers[layer];
    const struct step_rows rows = step_rows(s);
    bool ends = lowest && last == GROUP_MLP_OUT;
    block_again_mlp(s, layer);
    enum prof_phase before = prof_enter(PROF_ACTIVATION);
    if (is_adapted(s, layer, GROUP_MLP_OUT))
        s->real->swiglu_forward(acts->product, act->gate_up, rows.n, arch->ffn);
    prof_enter(before);
    if (acts->size.recompute == RECOMPUTE_LAYER)
        linear_low_again(s, &rows, layer, GROUP_MLP_OUT, acts->product);
    linear_backward(s, &rows, layer, GROUP_MLP_OUT, ends ? NULL : acts->dwide, narrow_dh(acts), arch->width,
                    acts->product);
    if (ends)
        return false;
    prof_enter(PROF_ACTIVATION);
    s->real->swiglu_backward(act->gate_up, acts->dwide, act->gate_up, rows.n, arch->ffn);
    prof_enter(PROF_NORMS);
    ends = lowest && last == GROUP_MLP_IN;
    if (is_adapted(s, layer, GROUP_MLP_IN))
        s->real->rmsnorm_apply(acts->normed, act->mid, act->mlp_rstd, w->norm[NORM_MLP], rows.n, arch->width);
    prof_enter(before);
    linear_backward(s, &rows, layer, GROUP_MLP_IN, ends ? NULL : acts->dnormed, act->gate_up, 2 * arch->ffn,
                    acts->normed);
    if (ends)
        return false;
    prof_enter(PROF_NORMS);
    s->real->rmsnorm_backward(acts->dh, acts->dh_copy, acts->dnormed, act->mid, act->mlp_rstd,
                              w->norm[NORM_MLP], rows.n, arch->width);
    prof_enter(before);
    return true;
}

/* dh: gradient of `mid`, then of the block's input. */
static void backward_attention(const struct step *s, size_t layer, bool lowest, enum linear_group last)
{
    const struct arch *arch = &s->m->arch;
    const struct acts *acts = s->acts;
    const struct acts_layer *act = &acts->layers[layer];
    const struct layer_weights *w = &s->m->weights.layers[layer];
    const struct step_rows rows = step_rows(s);
    size_t ld = arch_group_rows(arch, GROUP_ATTN_IN);
    bool ends = lowest && last == GROUP_ATTN_OUT;
    block_again_attention(s, layer);
    linear_backward(s, &rows, layer, GROUP_ATTN_OUT, ends ? NULL : acts->dwide, narrow_dh(acts), arch->width,
                    act->attention);
    if (ends)
        return;
    enum prof_phase before = prof_enter(PROF_ATTENTION);
    attention_backward(acts->dqkv, acts->dwide, act->attention, act->lse, act->qkv, ld, &s->attention,
                       acts->attention_scratch);
    s->real->rope(acts->dqkv, ld, s->in->positions, acts->cos, acts->sin, rows.n,
                  arch->heads + arch->kv_heads, arch->head_dim, -1);
    prof_enter(PROF_NORMS);
    if (is_adapted(s, layer, GROUP_ATTN_IN))
        s->real->rmsnorm_apply(acts->normed, act->h, act->attention_rstd, w->norm[NORM_ATTENTION], rows.n,
                               arch->width);
    prof_enter(before);
    linear_backward(s, &rows, layer, GROUP_ATTN_IN, lowest ? NULL : acts->dnormed, acts->dqkv, ld,
                    acts->normed);
    prof_enter(PROF_NORMS);
    if (!lowest)
        s->real->rmsnorm_backward(acts->dh, acts->dh_copy, acts->dnormed, act->h, act->attention_rstd,
                                  w->norm[NORM_ATTENTION], rows.n, arch->width);
    prof_enter(before);
}

void block_backward_all(const struct step *s)
{
    for (size_t layer = s->m->arch.layers; layer-- > s->layout->lowest_layer;) {
        bool lowest = layer == s->layout->lowest_layer;
        enum linear_group last = last_group(s, layer);
        if (backward_mlp(s, layer, lowest, last))
            backward_attention(s, layer, lowest, last);
        step_grads_ready(s, layer);
    }
}
