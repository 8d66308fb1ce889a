#include "parts.h"

struct norm_site norm_site(const struct step *s, size_t layer, enum place place)
{
    const struct acts_layer *act = &s->acts->layers[layer];
    bool first = place == AT_ATTN_IN, kept = act->h != NULL; /* does backward come to this layer? */
    struct norm_site at = {.weight = s->m->weights.layers[layer].norm[place],
                           .n = s->in->n,
                           .width = s->m->arch.width,
                           .x = s->acts->residual,
                           .kept = first ? act->h : act->mid,
                           .rstd = first ? act->attention_rstd : act->mlp_rstd,
                           .y = s->acts->normed};
    if (first && !s->recompute) /* which begins with this copy */
        at.copy = act->h;
    else if (!first && kept)
        at.copy = act->mid;
    return at;
}

void norm_forward(const struct step *s, const struct norm_site *at)
{
    s->real->rmsnorm_forward(at->y, at->copy, at->rstd, at->x, at->weight, at->n, at->width,
                             s->m->arch.norm_eps);
}

void norm_recompute(const struct step *s, const struct norm_site *at)
{
    s->real->rmsnorm_apply(at->y, at->kept, at->rstd, at->weight, at->n, at->width);
}

void norm_backward(const struct step *s, const struct norm_site *at, float *dx, void *copy, const float *dy)
{
    s->real->rmsnorm_backward(dx, copy, dy, at->kept, at->rstd, at->weight, at->n, at->width);
}
