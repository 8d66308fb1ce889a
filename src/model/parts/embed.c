#include "base/prof.h"
#include "parts.h"

/* Learned positions. */
static void add_positions(const struct step *s)
{
    size_t width = s->m->arch.width;
    float *h = s->acts->residual;
    if (!s->m->weights.positions)
        return;
    for (size_t i = 0; i < s->in->n; i++)
        s->real->add(h + i * width, step_at(s, s->m->weights.positions, (size_t)s->in->positions[i] * width), width);
    char path[ARCH_PATH_SIZE];
    arch_positions_path(path, &s->m->arch);
    step_check(s, DTYPE_F32, h, width, s->in->n, width, path);
}

void embed_forward(const struct step *s)
{
    size_t width = s->m->arch.width;
    float *h = s->acts->residual;
    float scale = s->m->arch.embedding_scale;
    enum prof_phase before = prof_enter(PROF_EMBEDDING);
    for (size_t i = 0; i < s->in->n; i++)
        s->real->to_f32(h + i * width, step_at(s, s->m->weights.embedding, (size_t)s->in->tokens[i] * width),
                        width);
    if (scale != 0) {
        if (s->type == DTYPE_BF16)
            scale = dtype_bf16_to_f32(dtype_f32_to_bf16(scale));
        for (size_t i = 0; i < s->in->n * width; i++)
            h[i] *= scale;
    }
    char path[ARCH_PATH_SIZE];
    arch_embedding_path(path, &s->m->arch);
    step_check(s, DTYPE_F32, h, width, s->in->n, width, path);
    add_positions(s);
    prof_enter(before);
}
