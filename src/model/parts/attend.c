#include "base/prof.h"
#include "parts.h"

/* k's heads follow q's, so one call turns both. */
static void rotate(const struct step *s, size_t layer, void *qkv, float direction)
{
    const struct arch *arch = &s->m->arch;
    size_t table = arch_kind(arch, layer)->rotation * s->acts->size.longest * s->acts->size.half;
    s->real->rope(qkv, arch_group_rows(arch, GROUP_ATTN_IN), s->in->positions, s->acts->cos + table,
                  s->acts->sin + table, s->in->n, arch->heads + arch->kv_heads, arch->head_dim, arch->head_dim,
                  direction);
}

void attend_forward(const struct step *s, size_t layer)
{
    const struct acts_layer *act = &s->acts->layers[layer];
    const struct attention_shape shape = step_attention(s, layer);
    enum prof_phase before = prof_enter(PROF_ATTENTION);
    rotate(s, layer, act->qkv, 1);
    if (s->attend)
        s->attend->forward(s->attend->context, s, layer);
    else
        attention_forward(act->attention, act->lse, act->qkv, arch_group_rows(&s->m->arch, GROUP_ATTN_IN),
                          &shape, s->acts->attention_scratch);
    prof_enter(before);
}

void attend_backward(const struct step *s, size_t layer)
{
    const struct acts *acts = s->acts;
    const struct acts_layer *act = &acts->layers[layer];
    const struct attention_shape shape = step_attention(s, layer);
    enum prof_phase before = prof_enter(PROF_ATTENTION);
    attention_backward(acts->dqkv, acts->dwide, act->attention, act->lse, act->qkv,
                       arch_group_rows(&s->m->arch, GROUP_ATTN_IN), &shape, acts->attention_scratch);
    rotate(s, layer, acts->dqkv, -1);
    prof_enter(before);
}
