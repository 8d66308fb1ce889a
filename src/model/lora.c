#include "model/lora.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/str.h"
#include "lora_choose.h"
#include "model/family.h"
#include "model/lora_init.h"

/* What is wanted of one linear layer; rank 0: it is not adapted. */
struct wanted {
    size_t rank;
    double scaling;
};

double lora_divisor(double rank, bool rslora)
{
    return rslora ? sqrt(rank) : rank;
}

/* The rounder number where that gives the same float, since a scaling of 32 / 3 was cut to one. */
double lora_alpha(const struct lora_module *m, bool rslora)
{
    char text[32];
    double divisor = lora_divisor((double)m->rank, rslora);
    double exact = (double)m->scaling * divisor, round = 0;
    snprintf(text, sizeof text, "%.6g", exact);
    sscanf(text, "%lf", &round);
    return (float)(round / divisor) == m->scaling ? round : exact;
}

static size_t slot_of(const struct lora_layout *l, size_t layer, size_t linear)
{
    size_t head = l->family->module_count;
    return linear == head ? l->layers * head : layer * head + linear;
}

static enum err_code set_module(struct lora_layout *l, struct arena *arena, const struct arch *a, size_t slot,
                                const struct wanted *wanted, struct err *e)
{
    struct lora_module *m = &l->modules[l->count];
    char path[ARCH_PATH_SIZE];
    m->linear = arch_slot_linear(a, slot);
    m->layer = arch_slot_layer(a, slot);
    arch_module_path(path, a, m->layer, m->linear);
    m->path = arena_strndup(arena, path, strlen(path), e);
    if (!m->path)
        return e->code;
    m->in = arch_columns(a, m->layer, m->linear);
    m->out = arch_rows(a, m->layer, m->linear);
    m->rank = wanted->rank;
    m->scaling = (float)wanted->scaling;
    l->index[slot] = (int32_t)l->count++;
    if (m->linear != arch_head(a) && m->layer < l->lowest_layer)
        l->lowest_layer = m->layer;
    return ERR_OK;
}

static enum linear_group group_of(const struct lora_layout *l, size_t module)
{
    return l->family->modules[l->modules[module].linear].group;
}

/* Offsets: for each group of a layer, first every A, then every B. */
static enum err_code lay_out(struct lora_layout *l, struct err *e)
{
    uint64_t size = 0; /* ranks and matrices are bounded, so only the sum could overflow */
    for (size_t first = 0, end; first < l->count; first = end) {
        const struct lora_module *head = &l->modules[first];
        for (end = first;
             end < l->count && l->modules[end].layer == head->layer && group_of(l, end) == group_of(l, first);
             end++) {
            l->modules[end].a = size;
            size += (uint64_t)l->modules[end].rank * l->modules[end].in;
        }
        for (size_t i = first; i < end; i++) {
            l->modules[i].b = size;
            size += (uint64_t)l->modules[i].rank * l->modules[i].out;
        }
        if (size > SIZE_MAX / sizeof(float) / 2)
            return err_set(e, ERR_MEMORY, "adapter: more parameters than can be addressed");
    }
    l->size = size;
    return ERR_OK;
}

/* Lays out the linears whose rank is not 0. */
static enum err_code build_layout(struct lora_layout *l, struct arena *arena, const struct arch *a,
                                  const struct wanted *wanted, struct err *e)
{
    size_t slots = arch_slots(a), count = 0;
    for (size_t i = 0; i < slots; i++)
        count += wanted[i].rank != 0;
    l->layers = l->lowest_layer = a->layers;
    l->family = a->family;
    l->modules = arena_alloc(arena, count, sizeof *l->modules, "adapter modules", e);
    l->index = arena_alloc(arena, slots, sizeof *l->index, "adapter modules", e);
    if (!l->modules || !l->index)
        return e->code;
    memset(l->index, 0xff, slots * sizeof *l->index);
    for (size_t i = 0; i < slots; i++)
        if (wanted[i].rank != 0 && set_module(l, arena, a, i, &wanted[i], e))
            return e->code;
    return lay_out(l, e);
}

static enum err_code build(struct lora *l, const struct arch *a, const struct wanted *wanted, struct err *e)
{
    if (build_layout(&l->layout, &l->arena, a, wanted, e))
        return e->code;
    l->params = arena_alloc(&l->arena, l->layout.size, sizeof(float), "adapter parameters", e);
    return l->params ? ERR_OK : e->code;
}

static enum err_code check_rank(size_t rank, struct err *e)
{
    if (rank == 0 || rank > LIMIT_RANK)
        return err_set(e, ERR_USAGE, "LoRA rank %zu is out of range: 1 to %d", rank, LIMIT_RANK);
    return ERR_OK;
}

static double scaling_of(const struct lora_spec *spec)
{
    return spec->alpha / lora_divisor((double)spec->rank, spec->rslora);
}

static enum err_code start_values(struct lora *l, const struct lora_spec *spec, struct err *e)
{
    if (lora_init_values(l, spec, e))
        return e->code;
    return lora_scheme(spec->init)->changes_base ? lora_start_buffer(l, e) : ERR_OK;
}

enum err_code lora_create(struct lora *l, const struct arch *a, const struct lora_spec *spec, struct err *e)
{
    *l = (struct lora){0};
    if (check_rank(spec->rank, e))
        return e->code;
    if (!isfinite(spec->alpha))
        return err_set(e, ERR_USAGE, "LoRA alpha %g is not a finite number", spec->alpha);
    if (!(spec->dropout >= 0 && spec->dropout < 1))
        return err_set(e, ERR_USAGE, "LoRA dropout %g is out of range: at least 0, below 1", spec->dropout);
    struct arena scratch = {0};
    size_t slots = arch_slots(a);
    bool *chosen = arena_alloc(&scratch, slots, sizeof *chosen, "adapter modules", e);
    struct wanted *wanted = arena_alloc(&scratch, slots, sizeof *wanted, "adapter modules", e);
    enum err_code code = chosen && wanted ? lora_choose(chosen, a, spec->targets, e) : e->code;
    if (!code) {
        for (size_t i = 0; i < slots; i++)
            if (chosen[i])
                wanted[i] = (struct wanted){spec->rank, scaling_of(spec)};
        code = build(l, a, wanted, e);
    }
    arena_release(&scratch);
    l->dropout = spec->dropout;
    l->seed = spec->seed;
    l->rslora = spec->rslora;
    if (!code)
        code = start_values(l, spec, e);
    if (code)
        lora_release(l);
    return code;
}

/* The number of slots if no module that can be adapted has this path. */
static size_t slot_of_path(const struct arch *a, const char *wanted)
{
    size_t slots = arch_slots(a);
    for (size_t slot = 0; slot < slots - a->tied; slot++) {
        char path[ARCH_PATH_SIZE];
        arch_module_path(path, a, arch_slot_layer(a, slot), arch_slot_linear(a, slot));
        if (arch_has_slot(a, slot) && strcmp(path, wanted) == 0)
            return slot;
    }
    return slots;
}

static enum err_code find_slot(size_t *slot, const struct arch *a, const char *wanted, struct err *e)
{
    *slot = slot_of_path(a, wanted);
    if (*slot < arch_slots(a))
        return ERR_OK;
    return err_set(e, ERR_MISMATCH, "adapter: the model has no linear layer %s%s", wanted,
                   a->tied && strcmp(wanted, arch_module(a, arch_head(a))->path) == 0
                       ? " of its own: it is tied to the embedding"
                       : "");
}

enum err_code lora_create_given(struct lora *l, const struct arch *a, const struct lora_given *given,
                                size_t count, struct err *e)
{
    *l = (struct lora){0};
    struct arena scratch = {0};
    struct wanted *wanted = arena_alloc(&scratch, arch_slots(a), sizeof *wanted, "adapter modules", e);
    enum err_code code = wanted ? ERR_OK : ERR_MEMORY;
    for (size_t i = 0; i < count && !code; i++) {
        size_t slot;
        if ((code = find_slot(&slot, a, given[i].path, e)) || (code = check_rank(given[i].rank, e)))
            break;
        if (wanted[slot].rank != 0)
            code = err_set(e, ERR_MISMATCH, "adapter: %s is given twice", given[i].path);
        else if (!isfinite(given[i].scaling))
            code = err_set(e, ERR_NUMERIC, "adapter: %s: scaling %g", given[i].path, given[i].scaling);
        wanted[slot] = (struct wanted){given[i].rank, given[i].scaling};
    }
    if (!code)
        code = build(l, a, wanted, e);
    arena_release(&scratch);
    if (code)
        lora_release(l);
    return code;
}

enum err_code lora_check_given(const struct arch *a, const struct lora_given *given, size_t count,
                               uint64_t most, struct err *e)
{
    uint64_t size = 0; /* ranks and matrices are bounded, and it is held against the bound each time */
    most = most > LIMIT_ADAPTER_SPARE ? most : LIMIT_ADAPTER_SPARE;
    for (size_t i = 0; i < count; i++) {
        size_t slot = slot_of_path(a, given[i].path);
        if (slot == arch_slots(a) || given[i].rank > LIMIT_RANK)
            continue; /* lora_create_given() says so */
        size_t layer = arch_slot_layer(a, slot), linear = arch_slot_linear(a, slot);
        size_t sides = arch_rows(a, layer, linear) + arch_columns(a, layer, linear);
        size += (uint64_t)given[i].rank * sides;
        if (size > most)
            return err_set(
                e, ERR_FORMAT,
                "adapter: %s has the rank %zu: with it there are more parameters than the file can hold",
                given[i].path, given[i].rank);
    }
    return ERR_OK;
}

enum err_code lora_start_buffer(struct lora *l, struct err *e)
{
    l->start = arena_alloc(&l->arena, l->layout.size, sizeof(float), "start of the adapter", e);
    return l->start ? ERR_OK : e->code;
}

enum err_code lora_moments_init(struct lora_moments *moments, const struct lora_layout *l, bool outer,
                                struct arena *a, struct err *e)
{
    *moments =
        (struct lora_moments){.m = arena_alloc(a, l->size, sizeof(float), "moments of the adapter", e),
                              .v = arena_alloc(a, l->size, sizeof(float), "moments of the adapter", e)};
    if (outer)
        moments->outer = arena_alloc(a, l->size, sizeof(float), "momentum of the outer step", e);
    return moments->m && moments->v && (!outer || moments->outer) ? ERR_OK : e->code;
}

const struct lora_module *lora_find(const struct lora_layout *l, const char *path)
{
    for (size_t i = 0; i < l->count; i++)
        if (strcmp(l->modules[i].path, path) == 0)
            return &l->modules[i];
    return NULL;
}

const struct lora_module *lora_at(const struct lora_layout *l, size_t layer, size_t linear)
{
    if (!l)
        return NULL;
    int32_t number = l->index[slot_of(l, layer, linear)];
    return number < 0 ? NULL : &l->modules[number];
}

size_t lora_group_ranks(const struct lora_layout *l, size_t layer, enum linear_group g, size_t *a)
{
    size_t ranks = 0;
    const struct arch_range range = arch_group(l->family, g);
    for (size_t i = range.first; i < range.end; i++) {
        const struct lora_module *m = lora_at(l, layer, i);
        if (!m)
            continue;
        if (ranks == 0)
            *a = m->a;
        ranks += m->rank;
    }
    return ranks;
}

void lora_layer_range(size_t *begin, size_t *count, const struct lora_layout *l, size_t layer)
{
    size_t first = l->size, end = 0;
    for (size_t i = 0; i < l->count; i++) {
        const struct lora_module *m = &l->modules[i];
        if ((m->linear == l->family->module_count ? l->layers : m->layer) != layer)
            continue;
        size_t last = m->b + m->out * m->rank; /* its group's A come before */
        first = m->a < first ? m->a : first;
        end = last > end ? last : end;
    }
    *begin = first;
    *count = end > first ? end - first : 0;
}

void lora_release(struct lora *l)
{
    arena_release(&l->arena);
    *l = (struct lora){0};
}
