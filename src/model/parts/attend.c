#include <string.h>

#include "base/prof.h"
#include "math/parallel.h"
#include "parts.h"

#define REGROUP_ROWS 64 /* that a thread has at a time */

/* From the order of the products to that of attention, or back. */
struct regroup {
    const struct step *s;
    size_t layer;
    char *grouped, *qkv;
    bool back;
};

static void regroup_columns(const struct regroup *r, char *grouped, char *qkv, size_t bytes)
{
    memcpy(r->back ? grouped : qkv, r->back ? qkv : grouped, bytes);
}

/* A key head's queries, its key and its value after one another, against all queries, all keys, all values. */
static void regroup_rows(void *context, size_t first, size_t count)
{
    const struct regroup *r = context;
    const struct arch *a = &r->s->m->arch;
    size_t size = r->s->real->size, kv_heads = arch_kv_heads(a, r->layer);
    size_t head = arch_head_dim(a, r->layer) * size, queries = a->heads / kv_heads * head;
    size_t row = arch_qkv_columns(a, r->layer) * size;
    size_t keys = arch_key_column(a, r->layer) * size, values = arch_value_column(a, r->layer) * size;
    for (size_t i = first; i < first + count; i++) {
        char *grouped = r->grouped + i * row, *qkv = r->qkv + i * row;
        for (size_t k = 0; k < kv_heads; k++, grouped += queries + 2 * head) {
            regroup_columns(r, grouped, qkv + k * queries, queries);
            regroup_columns(r, grouped + queries, qkv + keys + k * head, head);
            regroup_columns(r, grouped + queries + head, qkv + values + k * head, head);
        }
    }
}

static void regroup(const struct step *s, size_t layer, void *qkv, bool back)
{
    struct regroup r = {s, layer, s->acts->grouped, qkv, back};
    if (s->m->arch.grouped_qkv)
        parallel_blocks(s->in->n, REGROUP_ROWS, regroup_rows, &r);
}

/* The values of a layer where they are its keys, or their gradient on its way back to the keys. */
struct copying {
    const struct step *s;
    size_t layer;
    char *qkv;
};

static void copy_keys(void *context, size_t first, size_t count)
{
    const struct copying *c = context;
    const struct arch *a = &c->s->m->arch;
    size_t size = c->s->real->size, row = arch_qkv_columns(a, c->layer) * size;
    size_t keys = arch_key_column(a, c->layer) * size, values = arch_value_column(a, c->layer) * size;
    for (size_t i = first; i < first + count; i++)
        memcpy(c->qkv + i * row + values, c->qkv + i * row + keys, values - keys);
}

static void add_to_keys(void *context, size_t first, size_t count)
{
    const struct copying *c = context;
    const struct arch *a = &c->s->m->arch;
    const struct kern_typed *real = c->s->real;
    size_t row = arch_qkv_columns(a, c->layer), keys = arch_key_column(a, c->layer);
    size_t values = arch_value_column(a, c->layer), columns = values - keys;
    float sum[256];
    for (size_t i = first; i < first + count; i++)
        for (size_t done = 0, next; done < columns; done += next) {
            char *key = c->qkv + (i * row + keys + done) * real->size;
            next = columns - done < 256 ? columns - done : 256;
            real->to_f32(sum, key, next);
            real->add(sum, key + columns * real->size, next);
            real->from_f32(key, sum, next);
        }
}

static void with_keys(const struct step *s, size_t layer, void *qkv,
                      void (*work)(void *context, size_t first, size_t count))
{
    struct copying c = {s, layer, qkv};
    if (arch_kind(&s->m->arch, layer)->values_are_keys)
        parallel_blocks(s->in->n, REGROUP_ROWS, work, &c);
}

/* k's heads follow q's, so one call turns both. */
static void rotate(const struct step *s, size_t layer, void *qkv, float direction)
{
    const struct arch *arch = &s->m->arch;
    const struct layer_kind *kind = arch_kind(arch, layer);
    if (kind->unrotated)
        return;
    size_t table = kind->rotation * s->acts->size.longest * s->acts->size.half;
    const float *cosines = s->acts->cos + table, *sines = s->acts->sin + table;
    size_t heads = arch->heads + arch_kv_heads(arch, layer), rotated = arch->rotations[kind->rotation].rotated;
    (arch->rotates_pairs ? s->real->rope_pairs : s->real->rope)(qkv, arch_qkv_columns(arch, layer), s->turns, cosines,
                                                                sines, s->in->n, heads, arch_head_dim(arch, layer),
                                                                rotated, direction);
}

/* The norm of q, k or v, head by head or of all heads as one; in what is kept they follow one another. */
struct heads_norm {
    const float *weight;
    size_t heads, width, column; /* heads of width columns in qkv from column on; no heads: there is no norm */
    void *raw;
    float *rstd;
};

static struct heads_norm heads_norm(const struct step *s, size_t layer, enum place place)
{
    const struct arch *arch = &s->m->arch;
    const struct acts_layer *act = &s->acts->layers[layer];
    size_t before = 0, kv_heads = arch_kv_heads(arch, layer);
    for (enum place p = AT_Q; p < place; p++)
        before += arch_has_norm(arch, p) ? s->in->n * (p == AT_Q ? arch->heads : kv_heads) : 0;
    size_t width = arch_norm_width(arch, layer, place), head_dim = arch_head_dim(arch, layer);
    if (!width)
        return (struct heads_norm){0};
    size_t column = place == AT_K ? arch_key_column(arch, layer) : arch_value_column(arch, layer);
    return (struct heads_norm){.weight = place == AT_V ? s->acts->ones : s->m->weights.layers[layer].norm[place],
                               .heads = (place == AT_Q ? arch->heads : kv_heads) * head_dim / width,
                               .width = width,
                               .column = place == AT_Q ? 0 : column,
                               .raw = (char *)act->heads_raw + before * head_dim * s->real->size,
                               .rstd = act->heads_rstd + before};
}

static void norm_heads(const struct step *s, size_t layer, enum place place)
{
    const struct arch *arch = &s->m->arch;
    const struct heads_norm at = heads_norm(s, layer, place);
    if (at.heads)
        s->real->rmsnorm_heads_forward((char *)s->acts->layers[layer].qkv + at.column * s->real->size,
                                       arch_qkv_columns(arch, layer), at.raw, at.rstd, at.weight, s->in->n,
                                       at.heads, at.width, arch->norm_eps);
}

static void norm_heads_backward(const struct step *s, size_t layer, enum place place)
{
    const struct arch *arch = &s->m->arch;
    const struct heads_norm at = heads_norm(s, layer, place);
    if (at.heads)
        s->real->rmsnorm_heads_backward((char *)s->acts->dqkv + at.column * s->real->size,
                                        arch_qkv_columns(arch, layer), at.raw, at.rstd, at.weight, s->in->n,
                                        at.heads, at.width);
}

void attend_forward(const struct step *s, size_t layer)
{
    const struct acts_layer *act = &s->acts->layers[layer];
    const struct attention_shape shape = step_attention(s, layer);
    enum prof_phase before = prof_enter(PROF_ATTENTION);
    bool rotates_first = s->m->arch.norms_rotated;
    regroup(s, layer, act->qkv, false);
    with_keys(s, layer, act->qkv, copy_keys);
    if (rotates_first)
        rotate(s, layer, act->qkv, 1);
    norm_heads(s, layer, AT_Q);
    norm_heads(s, layer, AT_K);
    norm_heads(s, layer, AT_V);
    if (!rotates_first)
        rotate(s, layer, act->qkv, 1);
    if (s->attend)
        s->attend->forward(s->attend->context, s, layer);
    else
        attention_forward(act->attention, act->lse, act->qkv, arch_qkv_columns(&s->m->arch, layer), &shape,
                          s->acts->attention_scratch);
    prof_enter(before);
}

void attend_backward(const struct step *s, size_t layer)
{
    const struct acts *acts = s->acts;
    const struct acts_layer *act = &acts->layers[layer];
    const struct attention_shape shape = step_attention(s, layer);
    enum prof_phase before = prof_enter(PROF_ATTENTION);
    attention_backward(acts->dqkv, acts->dwide, act->attention, act->lse, act->qkv,
                       arch_qkv_columns(&s->m->arch, layer), &shape, acts->attention_scratch);
    bool rotates_first = s->m->arch.norms_rotated;
    if (!rotates_first)
        rotate(s, layer, acts->dqkv, -1);
    norm_heads_backward(s, layer, AT_V);
    norm_heads_backward(s, layer, AT_K);
    norm_heads_backward(s, layer, AT_Q);
    if (rotates_first)
        rotate(s, layer, acts->dqkv, -1);
    with_keys(s, layer, acts->dqkv, add_to_keys);
    regroup(s, layer, acts->dqkv, true);
    prof_enter(before);
}
