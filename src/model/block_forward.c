#include <stdio.h>

#include "base/prof.h"
#include "step.h"

void block_embed(const struct step *s)
{
    size_t width = s->m->arch.width;
    float *h = s->acts->residual;
    enum prof_phase before = prof_enter(PROF_EMBEDDING);
    for (size_t i = 0; i < s->in->n; i++)
        s->real->to_f32(h + i * width, step_at(s, s->m->weights.embedding, (size_t)s->in->tokens[i] * width),
                        width);
    prof_enter(before);
    step_check(s, DTYPE_F32, h, width, s->in->n, width, "model.embed_tokens");
}

static void check(const struct step *s, size_t layer, const char *module, const void *x, size_t columns)
{
    char path[ARCH_PATH_SIZE];
    if (!s->trace)
        return;
    snprintf(path, sizeof path, "model.layers.%zu.%s", layer, module);
    step_check(s, s->type, x, columns, s->in->n, columns, path);
}

void block_forward_project(const struct step *s, size_t layer)
{
    const struct arch *arch = &s->m->arch;
    const struct acts_layer *act = &s->acts->layers[layer];
    const struct step_rows rows = step_rows(s);
    enum prof_phase before = prof_enter(PROF_NORMS);
    s->real->rmsnorm_forward(s->acts->normed, s->again ? NULL : act->h, act->attention_rstd,
                             s->acts->residual, s->m->weights.layers[layer].norm[NORM_ATTENTION], rows.n,
                             arch->width, arch->norm_eps);
    prof_enter(before);
    check(s, layer, "input_layernorm", s->acts->normed, arch->width);
    linear_forward(s, &rows, layer, GROUP_ATTN_IN, act->qkv, s->acts->normed);
    prof_enter(PROF_ATTENTION);
    /* k's heads follow q's, so one call turns both */
    s->real->rope(act->qkv, arch_group_rows(arch, GROUP_ATTN_IN), s->in->positions, s->acts->cos,
                  s->acts->sin, rows.n, arch->heads + arch->kv_heads, arch->head_dim, 1);
    prof_enter(before);
}

static void attend(const struct step *s, size_t layer)
{
    const struct acts_layer *act = &s->acts->layers[layer];
    enum prof_phase before = prof_enter(PROF_ATTENTION);
    attention_forward(act->attention, act->lse, act->qkv, arch_group_rows(&s->m->arch, GROUP_ATTN_IN),
                      &s->attention, s->acts->attention_scratch);
    prof_enter(before);
}

/* From attention's output to gate and up. */
static void forward_middle(const struct step *s, size_t layer)
{
    const struct arch *arch = &s->m->arch;
    const struct acts_layer *act = &s->acts->layers[layer];
    const struct step_rows rows = step_rows(s);
    check(s, layer, "self_attn", act->attention, arch_group_columns(arch, GROUP_ATTN_OUT));
    linear_forward(s, &rows, layer, GROUP_ATTN_OUT, s->acts->residual, act->attention);
    enum prof_phase before = prof_enter(PROF_NORMS);
    s->real->rmsnorm_forward(s->acts->normed, act->h ? act->mid : NULL, act->mlp_rstd, s->acts->residual,
                             s->m->weights.layers[layer].norm[NORM_MLP], rows.n, arch->width, arch->norm_eps);
    prof_enter(before);
    check(s, layer, "post_attention_layernorm", s->acts->normed, arch->width);
    linear_forward(s, &rows, layer, GROUP_MLP_IN, act->gate_up, s->acts->normed);
}

void block_forward_finish(const struct step *s, size_t layer)
{
    const struct arch *arch = &s->m->arch;
    const struct step_rows rows = step_rows(s);
    forward_middle(s, layer);
    enum prof_phase before = prof_enter(PROF_ACTIVATION);
    s->real->swiglu_forward(s->acts->product, s->acts->layers[layer].gate_up, rows.n, arch->ffn);
    prof_enter(before);
    check(s, layer, "mlp.act_fn", s->acts->product, arch->ffn);
    linear_forward(s, &rows, layer, GROUP_MLP_OUT, s->acts->residual, s->acts->product);
}

void block_forward_all(const struct step *s)
{
    block_embed(s);
    for (size_t layer = 0; layer < s->m->arch.layers; layer++) {
        block_forward_project(s, layer);
        attend(s, layer);
        block_forward_finish(s, layer);
    }
}

/* From the kept input of the block to attention's output. */
static struct step attend_again(const struct step *s, size_t layer)
{
    struct step again = *s;
    again.again = true;
    s->real->to_f32(s->acts->residual, s->acts->layers[layer].h, s->in->n * s->m->arch.width);
    block_forward_project(&again, layer);
    attend(&again, layer);
    return again;
}

void block_again_mlp(const struct step *s, size_t layer)
{
    if (s->acts->size.recompute != RECOMPUTE_LAYER)
        return;
    const struct step again = attend_again(s, layer);
    forward_middle(&again, layer);
}

void block_again_attention(const struct step *s, size_t layer)
{
    if (s->acts->size.recompute == RECOMPUTE_ATTENTION)
        attend_again(s, layer);
}
