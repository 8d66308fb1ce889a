#include "base/prof.h"
#include "parts.h"

static const struct kern_activation *activation(const struct step *s)
{
    const struct arch *arch = &s->m->arch;
    return &(arch_is_gated(arch) ? s->real->gated : s->real->plain)[arch->activation];
}

void mlp_forward(const struct step *s, size_t layer)
{
    enum prof_phase before = prof_enter(PROF_ACTIVATION);
    activation(s)->forward(s->acts->product, s->acts->layers[layer].gate_up, s->in->n, s->m->arch.ffn);
    prof_enter(before);
}

void mlp_backward(const struct step *s, size_t layer)
{
    void *gate_up = s->acts->layers[layer].gate_up;
    enum prof_phase before = prof_enter(PROF_ACTIVATION);
    activation(s)->backward(gate_up, s->acts->dwide, gate_up, s->in->n, s->m->arch.ffn);
    prof_enter(before);
}
