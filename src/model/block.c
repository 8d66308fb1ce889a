#include "block.h"

#include "linear.h"
#include "parts/parts.h"

/* The MLP reads the residual stream before attention adds to it. */
static void forward_side_by_side(const struct step *s, size_t layer)
{
    branch_open(s, layer, &branch_attention);
    attend_forward(s, layer);
    branch_open(s, layer, &branch_mlp);
    mlp_forward(s, layer);
    branch_close(s, layer, &branch_attention);
    branch_close(s, layer, &branch_mlp);
}

/* What a block has made of the residual stream, or its gradient, times the block's number; false if it has none. */
static bool scale_output(const struct step *s, size_t layer, float *x)
{
    const float *scale = s->m->weights.layers[layer].scale;
    for (size_t i = 0; scale && i < s->in->n * s->m->arch.width; i++)
        x[i] *= *scale;
    return scale != NULL;
}

void block_forward(const struct step *s, size_t layer)
{
    if (s->m->arch.parallel) {
        forward_side_by_side(s, layer);
    } else {
        branch_forward(s, layer, &branch_attention);
        branch_forward(s, layer, &branch_mlp);
    }
    scale_output(s, layer, s->acts->residual);
}

/* From the kept input of the block to attention's output. */
static void recompute_attention(const struct step *s, size_t layer)
{
    struct step pass = *s;
    pass.recompute = true;
    s->real->to_f32(s->acts->residual, s->acts->layers[layer].h, s->in->n * s->m->arch.width);
    branch_open(&pass, layer, &branch_attention);
    attend_forward(&pass, layer);
}

/* From there to gate and up. */
static void recompute_mlp(const struct step *s, size_t layer)
{
    struct step pass = *s;
    pass.recompute = true;
    if (s->m->arch.parallel) {
        const struct step_rows rows = step_rows(s);
        linear_recompute_low(&pass, &rows, layer, GROUP_ATTN_OUT, s->acts->layers[layer].attention);
    } else {
        branch_close(&pass, layer, &branch_attention);
    }
    branch_open(&pass, layer, &branch_mlp);
}

/* The MLP's part of the gradient of the block's input. */
static void add_side(const struct step *s)
{
    const struct acts *acts = s->acts;
    size_t count = s->in->n * s->m->arch.width;
    s->kern->axpy(acts->dh, 1, acts->dside, count);
    if (acts->dh_copy)
        s->real->from_f32(acts->dh_copy, acts->dh, count);
}

void block_backward(const struct step *s, size_t layer)
{
    const struct acts *acts = s->acts;
    enum model_recompute mode = acts->size.recompute;
    if (scale_output(s, layer, acts->dh) && acts->dh_copy)
        s->real->from_f32(acts->dh_copy, acts->dh, s->in->n * s->m->arch.width);
    if (mode == RECOMPUTE_LAYER) {
        recompute_attention(s, layer);
        recompute_mlp(s, layer);
    }
    if (!branch_backward(s, layer, &branch_mlp))
        return;
    if (mode == RECOMPUTE_ATTENTION)
        recompute_attention(s, layer);
    if (branch_backward(s, layer, &branch_attention) && s->m->arch.parallel)
        add_side(s);
}
