#include "base/prof.h"
#include "parts.h"

void mlp_forward(const struct step *s, size_t layer)
{
    enum prof_phase before = prof_enter(PROF_ACTIVATION);
    const struct kern_activation *act = &s->real->gated[s->m->arch.activation];
    act->forward(s->acts->product, s->acts->layers[layer].gate_up, s->in->n, s->m->arch.ffn);
    prof_enter(before);
}

void mlp_backward(const struct step *s, size_t layer)
{
    void *gate_up = s->acts->layers[layer].gate_up;
    enum prof_phase before = prof_enter(PROF_ACTIVATION);
    s->real->gated[s->m->arch.activation].backward(gate_up, s->acts->dwide, gate_up, s->in->n, s->m->arch.ffn);
    prof_enter(before);
}
