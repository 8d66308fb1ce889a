#include <math.h>

#include "base/prof.h"
#include "parts.h"

static const struct kern_activation *activation(const struct step *s)
{
    const struct arch *arch = &s->m->arch;
    return &(arch_is_gated(arch) ? s->real->gated : s->real->plain)[arch->activation];
}

static float softplus(float x)
{
    return x > 20 ? x : log1pf(expf(x));
}

static struct kern_xielu xielu(const struct step *s, size_t layer)
{
    const float *const *w = s->m->weights.layers[layer].xielu;
    return (struct kern_xielu){.positive = softplus(*w[XIELU_ALPHA_P]),
                               .negative = *w[XIELU_BETA] + softplus(*w[XIELU_ALPHA_N]),
                               .beta = *w[XIELU_BETA],
                               .most = *w[XIELU_EPS]};
}

static size_t rows_of(const struct step *s)
{
    return s->in->n * arch_mlp_rows(&s->m->arch);
}

void mlp_forward(const struct step *s, size_t layer)
{
    const void *gate_up = s->acts->layers[layer].gate_up;
    enum prof_phase before = prof_enter(PROF_ACTIVATION);
    if (arch_has_xielu(&s->m->arch)) {
        const struct kern_xielu numbers = xielu(s, layer);
        s->real->xielu_forward(s->acts->product, gate_up, rows_of(s), s->m->arch.ffn, &numbers);
    } else {
        activation(s)->forward(s->acts->product, gate_up, rows_of(s), s->m->arch.ffn);
    }
    prof_enter(before);
}

void mlp_backward(const struct step *s, size_t layer)
{
    void *gate_up = s->acts->layers[layer].gate_up;
    enum prof_phase before = prof_enter(PROF_ACTIVATION);
    if (arch_has_xielu(&s->m->arch)) {
        const struct kern_xielu numbers = xielu(s, layer);
        s->real->xielu_backward(gate_up, s->acts->dwide, gate_up, rows_of(s), s->m->arch.ffn, &numbers);
    } else {
        activation(s)->backward(gate_up, s->acts->dwide, gate_up, rows_of(s), s->m->arch.ffn);
    }
    prof_enter(before);
}
