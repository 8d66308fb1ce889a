#include <string.h>

#include "parts.h"

struct norm_site norm_site(const struct step *s, size_t layer, enum place place)
{
    const struct acts_layer *act = &s->acts->layers[layer];
    const struct layer_weights *w = &s->m->weights.layers[layer];
    bool side = place == AT_MLP_IN && s->m->arch.parallel; /* it reads the block's input too */
    enum place own = side && !w->norm[place] ? AT_ATTN_IN : place;
    struct norm_site at = {.weight = w->norm[own],
                           .bias = w->norm_bias[own],
                           .n = s->in->n,
                           .width = s->m->arch.width,
                           .x = s->acts->residual,
                           .y = s->acts->normed};
    switch (place) {
    case AT_ATTN_IN:
        at.copy = act->h;
        at.rstd = act->attention_rstd;
        at.mean = act->attention_mean;
        break;
    case AT_ATTN_OUT:
        at.x = s->acts->out;
        at.copy = act->attention_out;
        at.rstd = act->attention_out_rstd;
        break;
    case AT_MLP_OUT:
        at.x = s->acts->out;
        at.copy = act->mlp_out;
        at.rstd = act->mlp_out_rstd;
        break;
    default:
        at.copy = side ? act->h : act->mid;
        at.rstd = act->mlp_rstd;
        at.mean = act->mlp_mean;
    }
    at.kept = at.copy;
    if (!act->h /* backward does not come to this layer */ || (place == AT_ATTN_IN && s->recompute /* from this */) ||
        side /* attention's has it */)
        at.copy = NULL;
    return at;
}

/* Where the record has no norm, what would be its input goes through. */
static bool is_norm(const struct norm_site *at)
{
    return at->weight != NULL;
}

static bool is_centred(const struct step *s)
{
    return s->m->arch.centred_norms;
}

void norm_forward(const struct step *s, const struct norm_site *at)
{
    float eps = s->m->arch.norm_eps;
    if (is_norm(at) && is_centred(s)) {
        s->real->layernorm_forward(at->y, at->copy, at->mean, at->rstd, at->x, at->weight, at->bias, at->n, at->width,
                                   eps);
    } else if (is_norm(at)) {
        s->real->rmsnorm_forward(at->y, at->copy, at->rstd, at->x, at->weight, at->n, at->width, eps);
    } else {
        s->real->from_f32(at->y, at->x, at->n * at->width);
        if (at->copy)
            memcpy(at->copy, at->y, at->n * at->width * s->real->size);
    }
}

void norm_recompute(const struct step *s, const struct norm_site *at)
{
    if (is_norm(at) && is_centred(s))
        s->real->layernorm_apply(at->y, at->kept, at->mean, at->rstd, at->weight, at->bias, at->n, at->width);
    else if (is_norm(at))
        s->real->rmsnorm_apply(at->y, at->kept, at->rstd, at->weight, at->n, at->width);
    else
        memcpy(at->y, at->kept, at->n * at->width * s->real->size);
}

void norm_backward(const struct step *s, const struct norm_site *at, float *dx, void *copy, const float *dy)
{
    if (is_norm(at) && is_centred(s)) {
        s->real->layernorm_backward(dx, copy, dy, at->kept, at->mean, at->rstd, at->weight, at->n, at->width);
    } else if (is_norm(at)) {
        s->real->rmsnorm_backward(dx, copy, dy, at->kept, at->rstd, at->weight, at->n, at->width);
    } else {
        s->kern->axpy(dx, 1, dy, at->n * at->width);
        if (copy)
            s->real->from_f32(copy, dx, at->n * at->width);
    }
}
