#include "acts.h"

#include <math.h>

#include "base/redzone.h"
#include "math/attention.h"
#include "math/gemm.h"
#include "math/kern.h"

/* Places arrays one after the other, each with a red zone after it; with base NULL it only measures. */
struct layout {
    char *base;
    size_t used;
    bool overflow;
};

static void *place(struct layout *l, size_t rows, size_t columns, size_t size)
{
    size_t count = 0, bytes = 0, padded = 0, start = l->used;
    l->overflow |= __builtin_mul_overflow(rows, columns, &count) ||
                   __builtin_mul_overflow(count, size, &bytes) ||
                   __builtin_add_overflow(bytes, (size_t)ARENA_ALIGN - 1 + RED_ZONE, &padded) ||
                   __builtin_add_overflow(start, padded - padded % ARENA_ALIGN, &l->used);
    if (!l->base)
        return NULL;
    red_zone_mark(l->base + start + bytes, l->used - start - bytes);
    return l->base + start;
}

enum when { INPUT, ATTENTION, BLOCK, KEPT, ALWAYS, TRAIN, DROPOUT, NARROW, NARROW_TRAIN };

static bool is_wanted(const struct acts_size *s, enum when when)
{
    switch (when) {
    case TRAIN:
        return s->train;
    case DROPOUT:
        return s->train && s->dropout;
    case NARROW:
        return s->real_size < sizeof(float);
    case NARROW_TRAIN:
        return s->train && s->real_size < sizeof(float);
    default:
        return true;
    }
}

/* Whether all layers share an array of this kind. */
static bool is_shared(const struct acts_size *s, enum when when)
{
    return (when == ATTENTION && s->recompute != RECOMPUTE_NONE) ||
           (when == BLOCK && s->recompute == RECOMPUTE_LAYER);
}

#define real void

/* One of each array that layers share. */
static void lay_out_shared(struct acts_layer *layer, const struct acts_size *s, struct layout *l)
{
    const struct acts_kind *k = &s->most;
    bool all = s->first_kept > 0; /* some layers keep nothing */
#define ACT_LAYER(when, name, type, rows, columns)                                                           \
    if ((when) != INPUT && (all || is_shared(s, when)))                                                      \
        layer->name = place(l, rows, columns, ACTS_SIZE_OF(s, type));
#define ACT_STEP(when, name, type, rows, columns)
#include "acts.def"
#undef ACT_LAYER
#undef ACT_STEP
}

static void lay_out_kept(struct acts_layer *layer, const struct acts_size *s, const struct acts_kind *k,
                         struct layout *l)
{
#define ACT_LAYER(when, name, type, rows, columns)                                                           \
    if (!is_shared(s, when))                                                                                 \
        layer->name = place(l, rows, columns, ACTS_SIZE_OF(s, type));
#define ACT_STEP(when, name, type, rows, columns)
#include "acts.def"
#undef ACT_LAYER
#undef ACT_STEP
}

static void lay_out(struct acts *a, struct layout *l)
{
    const struct acts_size *s = &a->size;
#define ACT_LAYER(when, name, type, rows, columns)
#define ACT_STEP(when, name, type, rows, columns)                                                            \
    if (is_wanted(s, when))                                                                                  \
        a->name = place(l, rows, columns, ACTS_SIZE_OF(s, type));
#include "acts.def"
#undef ACT_LAYER
#undef ACT_STEP
    struct acts_layer shared = {0};
    lay_out_shared(&shared, s, l);
    for (size_t i = 0; i < s->layers; i++) {
        a->layers[i] = shared;
        if (i >= s->first_kept)
            lay_out_kept(&a->layers[i], s, &s->kinds[s->kind_of[i]], l);
    }
}
#undef real

static void measure_ranks(struct acts_size *s, const struct arch *arch, const struct lora_layout *lora)
{
    size_t offset;
    for (size_t layer = 0; layer < arch->layers && lora; layer++)
        for (int g = 0; g <= GROUP_HEAD; g++) {
            size_t ranks = lora_group_ranks(lora, layer, (enum linear_group)g, &offset);
            s->ranks[g] = ranks > s->ranks[g] ? ranks : s->ranks[g];
        }
    for (int g = 0; g <= GROUP_HEAD; g++) {
        s->block_ranks += g < GROUP_COUNT ? s->ranks[g] : 0;
        s->most_ranks = s->ranks[g] > s->most_ranks ? s->ranks[g] : s->most_ranks;
    }
    s->adapter = lora ? lora->size : 0;
}

/* Each token goes through several experts. */
static void measure_experts(struct acts_size *s, const struct arch *arch)
{
    s->experts = arch->experts;
    s->choices = arch->experts_a_token;
    s->expert_width = arch_has_experts(arch) ? arch->width : 0;
    s->mlp_rows = s->n * arch_mlp_rows(arch);
    size_t product = arch_mlp_rows(arch) * s->product;
    s->wide = product > s->widest ? product : s->widest;
}

static size_t more(size_t a, size_t b)
{
    return a > b ? a : b;
}

static struct acts_kind kind_of_layer(const struct arch *arch, size_t layer)
{
    size_t q = arch_has_norm(arch, AT_Q) ? arch->heads : 0;
    size_t k = arch_has_norm(arch, AT_K) ? arch_kv_heads(arch, layer) : 0;
    size_t v = arch_has_norm(arch, AT_V) ? arch_kv_heads(arch, layer) : 0;
    return (struct acts_kind){.qkv = arch_qkv_columns(arch, layer),
                              .attention = arch_group_columns(arch, layer, GROUP_ATTN_OUT),
                              .normed_heads = q + k + v,
                              .normed = (q + k + v) * arch_head_dim(arch, layer)};
}

static void measure_layers(struct acts_size *s, const struct model *m, const struct model_plan *plan)
{
    const struct arch *arch = &m->arch;
    size_t longest = plan->longest < plan->tokens ? plan->longest : plan->tokens;
    int threads = plan->threads > gemm_threads() ? plan->threads : gemm_threads();
    for (size_t layer = 0; layer < arch->layers; layer++) {
        const struct attention_shape shape = {.type = m->weights.type,
                                              .heads = arch->heads,
                                              .kv_heads = arch_kv_heads(arch, layer),
                                              .head_dim = arch_head_dim(arch, layer)};
        const struct acts_kind kind = kind_of_layer(arch, layer);
        s->kinds[arch->kind_of[layer]] = kind;
        s->most.qkv = more(s->most.qkv, kind.qkv);
        s->most.attention = more(s->most.attention, kind.attention);
        s->most.normed_heads = more(s->most.normed_heads, kind.normed_heads);
        s->most.normed = more(s->most.normed, kind.normed);
        s->ones = more(s->ones, arch_norm_width(arch, layer, AT_V));
        s->attention_bytes =
            more(s->attention_bytes,
                 attention_scratch_bytes(&shape, plan->tokens, plan->repeated, longest, threads));
        for (int g = 0; g < GROUP_COUNT; g++)
            s->widest = more(s->widest, arch_group_columns(arch, layer, (enum linear_group)g));
    }
    s->grouped_rows = arch->grouped_qkv ? s->most.qkv : 0;
}

static void measure(struct acts_size *s, const struct model *m, const struct model_plan *plan)
{
    const struct arch *arch = &m->arch;
    *s = (struct acts_size){
        .n = plan->tokens,
        .repeated = plan->repeated,
        .examples = plan->examples,
        .longest = plan->longest,
        .part = plan->tokens,
        .block = plan->tokens,
        .width = arch->width,
        .half = arch_most_rotated(arch) / 2,
        .short_positions = arch_short_positions(arch),
        .rotations = arch_rotation_count(arch),
        .heads = arch->heads,
        .centred = arch->centred_norms,
        .mid_width = arch->parallel ? 0 : arch->width,
        .side_width = arch->parallel ? arch->width : 0,
        .out_width = arch_norm_width(arch, 0, AT_MLP_OUT),
        .vocab = arch->vocab,
        .kind_of = arch->kind_of,
        .gate_up = arch_group_rows(arch, 0, GROUP_MLP_IN),
        .product = arch_group_columns(arch, 0, GROUP_MLP_OUT),
        .layers = arch->layers,
        .first_kept = plan->train && m->lora ? m->lora->layout.lowest_layer : arch->layers,
        .real_size = kern_typed(&kern_reference, m->weights.type)->size,
        .recompute = plan->recompute,
        .train = plan->train,
        .dropout = m->lora && m->lora->dropout > 0,
    };
    measure_layers(s, m, plan);
    measure_experts(s, arch);
    bool narrow = is_wanted(s, NARROW);
    size_t chunk = narrow ? ACTS_NARROW_HEAD_CHUNK : ACTS_HEAD_CHUNK;
    s->chunk = plan->tokens < chunk ? plan->tokens : chunk;
    if (narrow) {
        s->part = s->part < ACTS_NARROW_PART ? s->part : ACTS_NARROW_PART;
        s->block = ACTS_NARROW_BLOCK;
    }
    measure_ranks(s, arch, m->lora ? &m->lora->layout : NULL);
}

/* Angles are rounded to f32 before the cosine, as transformers computes them. */
static void fill_rotation(float *cosines, float *sines, const struct acts_size *s, const float *inv_freq,
                          const struct rotation *r)
{
    float size = r->size != 0 ? (float)r->size : 1;
    size_t half = r->rotated / 2;
    for (size_t position = 0; position < s->longest; position++)
        for (size_t i = 0; i < half; i++) {
            float angle = (float)position * inv_freq[i];
            cosines[position * half + i] = size * (float)cos((double)angle);
            sines[position * half + i] = size * (float)sin((double)angle);
        }
}

enum err_code acts_open(struct acts **out, const struct model *m, const struct model_plan *plan,
                        struct err *e)
{
    struct arena arena = {0};
    *out = NULL;
    size_t most = m->arch.most_positions;
    if (most && plan->longest > most)
        return err_set(e, ERR_UNSUPPORTED,
                       "texts of up to %zu tokens: after %zu this model has no positions, or another attention, which "
                       "is not supported: cut examples there (--max-length %zu), or let an answer end before "
                       "(--max-new-tokens)",
                       plan->longest, most, most);
    struct acts *a = arena_alloc(&arena, 1, sizeof *a, "memory of a step", e);
    struct acts_layer *layers = arena_alloc(&arena, m->arch.layers, sizeof *layers, "memory of a step", e);
    if (!a || !layers) {
        arena_release(&arena);
        return e->code;
    }
    a->layers = layers;
    measure(&a->size, m, plan);
    struct layout l = {0};
    lay_out(a, &l);
    char *base = NULL;
    if (l.overflow)
        err_set(e, ERR_MEMORY, "memory of a step of %zu tokens: more than can be addressed", plan->tokens);
    else
        base = arena_alloc(&arena, l.used, 1, "memory of a step", e);
    if (!base) {
        arena_release(&arena);
        return err_wrap(e, "packs of %zu tokens (a smaller micro-batch-tokens and max-length need less)",
                        plan->tokens);
    }
    l = (struct layout){.base = base};
    lay_out(a, &l);
    a->arena = arena;
    for (size_t i = 0, table = a->size.longest * a->size.half; i < a->size.rotations; i++)
        fill_rotation(a->cos + i * table, a->sin + i * table, &a->size, m->inv_freq + i * a->size.half,
                      &m->arch.rotations[i]);
    for (size_t i = 0; i < a->size.ones; i++)
        a->ones[i] = 1;
    *out = a;
    return ERR_OK;
}

void acts_close(struct acts *a)
{
    if (!a)
        return;
    struct arena arena = a->arena; /* holds `a` itself */
    arena_release(&arena);
}

bool acts_fit_lora(const struct acts *a, const struct arch *arch, const struct lora *lora, bool train)
{
    struct acts_size now = {0};
    measure_ranks(&now, arch, lora ? &lora->layout : NULL);
    for (int g = 0; g <= GROUP_HEAD; g++)
        if (now.ranks[g] > a->size.ranks[g])
            return false;
    if (now.adapter > a->size.adapter)
        return false;
    if (!train)
        return true;
    return a->size.train && (lora->dropout == 0 || a->size.dropout) &&
           lora->layout.lowest_layer >= a->size.first_kept;
}

void *acts_low(const struct acts *a, size_t layer, enum linear_group g)
{
    size_t before = 0;
    if (g == GROUP_HEAD)
        return a->head_low;
    for (int i = 0; i < (int)g; i++)
        before += a->size.ranks[i];
    return (char *)a->layers[layer].low + a->size.n * before * a->size.real_size;
}
