#include "base/prof.h"
#include "parts.h"

void embed_forward(const struct step *s)
{
    size_t width = s->m->arch.width;
    float *h = s->acts->residual;
    enum prof_phase before = prof_enter(PROF_EMBEDDING);
    for (size_t i = 0; i < s->in->n; i++)
        s->real->to_f32(h + i * width, step_at(s, s->m->weights.embedding, (size_t)s->in->tokens[i] * width),
                        width);
    prof_enter(before);
    step_check(s, DTYPE_F32, h, width, s->in->n, width, arch_embedding_path(&s->m->arch));
}
