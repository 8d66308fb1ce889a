#include <stdio.h>
#include <string.h>

#include "base/prof.h"
#include "step.h"

void block_embed(const struct step *s)
{
    size_t width = s->m->arch.width;
    float *h = s->acts->layers[0].h;
    enum prof_phase before = prof_enter(PROF_EMBEDDING);
    for (size_t i = 0; i < s->in->n; i++)
        memcpy(h + i * width, (const float *)s->m->weights.embedding + (size_t)s->in->tokens[i] * width,
               width * sizeof *h);
    prof_enter(before);
    step_check(s, h, width, s->in->n, width, "model.embed_tokens");
}

static void check(const struct step *s, size_t layer, const char *module, const float *x, size_t columns)
{
    char path[ARCH_PATH_SIZE];
    if (!s->trace)
        return;
    snprintf(path, sizeof path, "model.layers.%zu.%s", layer, module);
    step_check(s, x, columns, s->in->n, columns, path);
}

/* The residual stream goes on from `from`: in place where nothing is kept. */
static void carry(float *to, const float *from, size_t count)
{
    if (to != from)
        memcpy(to, from, count * sizeof *to);
}

void block_forward_project(const struct step *s, size_t layer)
{
    const struct arch *arch = &s->m->arch;
    const struct acts_layer *act = &s->acts->layers[layer];
    const struct step_rows rows = step_rows(s);
    enum prof_phase before = prof_enter(PROF_NORMS);
    s->kern->rmsnorm_forward(s->acts->normed, act->attention_rstd, act->h,
                             s->m->weights.layers[layer].norm[NORM_ATTENTION], rows.n, arch->width,
                             arch->norm_eps);
    prof_enter(before);
    check(s, layer, "input_layernorm", s->acts->normed, arch->width);
    linear_forward(s, &rows, layer, GROUP_ATTN_IN, act->qkv, s->acts->normed, 0);
    prof_enter(PROF_ATTENTION);
    /* k's heads follow q's, so one call turns both */
    s->kern->rope(act->qkv, arch_group_rows(arch, GROUP_ATTN_IN), s->in->positions, s->acts->cos,
                  s->acts->sin, rows.n, arch->heads + arch->kv_heads, arch->head_dim, 1);
    prof_enter(before);
}

void block_forward_finish(const struct step *s, size_t layer, float *out)
{
    const struct arch *arch = &s->m->arch;
    const struct acts_layer *act = &s->acts->layers[layer];
    const struct step_rows rows = step_rows(s);
    size_t n = rows.n, width = arch->width;
    check(s, layer, "self_attn", act->attention, arch_columns(arch, LINEAR_O));
    carry(act->mid, act->h, n * width);
    linear_forward(s, &rows, layer, GROUP_ATTN_OUT, act->mid, act->attention, 1);
    enum prof_phase before = prof_enter(PROF_NORMS);
    s->kern->rmsnorm_forward(s->acts->normed, act->mlp_rstd, act->mid,
                             s->m->weights.layers[layer].norm[NORM_MLP], n, width, arch->norm_eps);
    prof_enter(before);
    check(s, layer, "post_attention_layernorm", s->acts->normed, width);
    linear_forward(s, &rows, layer, GROUP_MLP_IN, act->gate_up, s->acts->normed, 0);
    prof_enter(PROF_ACTIVATION);
    s->kern->swiglu_forward(s->acts->product, act->gate_up, n, arch->ffn);
    prof_enter(before);
    check(s, layer, "mlp.act_fn", s->acts->product, arch->ffn);
    carry(out, act->mid, n * width);
    linear_forward(s, &rows, layer, GROUP_MLP_OUT, out, s->acts->product, 1);
}

void block_forward_all(const struct step *s)
{
    const struct acts *acts = s->acts;
    size_t layers = s->m->arch.layers, ld = arch_group_rows(&s->m->arch, GROUP_ATTN_IN);
    block_embed(s);
    for (size_t layer = 0; layer < layers; layer++) {
        const struct acts_layer *act = &acts->layers[layer];
        block_forward_project(s, layer);
        enum prof_phase before = prof_enter(PROF_ATTENTION);
        attention_forward(act->attention, act->lse, act->qkv, ld, &s->attention, acts->attention_scratch);
        prof_enter(before);
        block_forward_finish(s, layer, layer + 1 < layers ? acts->layers[layer + 1].h : acts->final);
    }
}
