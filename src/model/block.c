#include "block.h"

#include "parts/parts.h"

void block_forward(const struct step *s, size_t layer)
{
    branch_forward(s, layer, &branch_attention);
    branch_forward(s, layer, &branch_mlp);
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
    branch_close(&pass, layer, &branch_attention);
    branch_open(&pass, layer, &branch_mlp);
}

void block_backward(const struct step *s, size_t layer)
{
    enum model_recompute mode = s->acts->size.recompute;
    if (mode == RECOMPUTE_LAYER) {
        recompute_attention(s, layer);
        recompute_mlp(s, layer);
    }
    if (!branch_backward(s, layer, &branch_mlp))
        return;
    if (mode == RECOMPUTE_ATTENTION)
        recompute_attention(s, layer);
    branch_backward(s, layer, &branch_attention);
}
