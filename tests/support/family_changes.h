/*
 * Changes of a family's tables, for model.mutations: norms at other places, modules that change places, rows in another
 * order. A change makes way `way`; false: there is none, or it means nothing to this record. The record then refers to
 * a copy of the tables, which the next change overwrites.
 */
#ifndef MPILORA_TESTS_FAMILY_CHANGES_H
#define MPILORA_TESTS_FAMILY_CHANGES_H

#include <string.h>

#include "model/family.h"

static bool is_gguf; /* the model's file */

struct family_tables {
    struct family family;
    struct family_vector vectors[PLACE_COUNT];
    struct family_experts experts;
    struct module modules[ARCH_MODULES + 1], matrices[ARCH_MODULES];
};

static inline struct family_tables *copy_tables(struct arch *a)
{
    static struct family_tables t;
    const struct family *f = a->family;
    t.family = *f;
    memcpy(t.vectors, f->vectors, sizeof t.vectors);
    memcpy(t.modules, f->modules, (f->module_count + 1) * sizeof *t.modules);
    t.family.vectors = t.vectors;
    t.family.modules = t.modules;
    if (f->experts) {
        t.experts = *f->experts;
        memcpy(t.matrices, f->experts->modules, f->experts->module_count * sizeof *t.matrices);
        t.experts.modules = t.matrices;
        t.family.experts = &t.experts;
    }
    a->family = &t.family;
    return &t;
}

/* A norm of a block is left out, stands elsewhere, or two change places. Those of q and k after the rotation are one
 * product in the scores. */
static inline bool move_norm(struct arch *a, size_t way)
{
    size_t from = way / AT_FINAL, to = way % AT_FINAL;
    struct family_tables *t = copy_tables(a);
    const struct family_vector norm = t->vectors[from], other = t->vectors[to];
    t->vectors[from] = from == to ? (struct family_vector){NULL, NULL} : other;
    if (from != to)
        t->vectors[to] = norm;
    bool one_product = a->norms_rotated && from == AT_K && to == AT_Q;
    return norm.path && !(other.path && from < to) && !one_product;
}

static inline bool swap_names(struct module *x, struct module *y)
{
    const struct module names = *x;
    x->path = y->path;
    x->gguf = y->gguf;
    y->path = names.path;
    y->gguf = names.gguf;
    return true;
}

/* Two linears of a group change places. */
static inline bool swap_modules(struct arch *a, size_t way)
{
    size_t i = way / ARCH_MODULES, j = way % ARCH_MODULES;
    if (i >= j || j >= a->family->module_count || a->family->modules[i].group != a->family->modules[j].group)
        return false;
    struct family_tables *t = copy_tables(a);
    return swap_names(&t->modules[i], &t->modules[j]);
}

/* The same of an expert. */
static inline bool swap_matrices(struct arch *a, size_t way)
{
    size_t i = way / ARCH_MODULES, j = way % ARCH_MODULES;
    if (i >= j || j >= arch_expert_matrices(a) || arch_expert_module(a, i)->group != arch_expert_module(a, j)->group)
        return false;
    struct family_tables *t = copy_tables(a);
    return swap_names(&t->matrices[i], &t->matrices[j]);
}

#define STORED_FLAGS 3 /* of enum module_stored */
static inline bool flip_stored(struct arch *a, size_t way)
{
    size_t linear = way / STORED_FLAGS;
    unsigned flag = 1U << way % STORED_FLAGS;
    if (linear >= a->family->module_count || (flag & HF_TRANSPOSED) == is_gguf * HF_TRANSPOSED)
        return false;
    if (flag != HF_TRANSPOSED && a->family->modules[linear].group != GROUP_ATTN_IN)
        return false;
    if (flag != HF_TRANSPOSED && (flag == GGUF_SORTED) != (a->family->modules[linear].rows == ROWS_ATTENTION))
        return false;
    struct family_tables *t = copy_tables(a);
    t->modules[linear].stored ^= flag;
    return true;
}

#define NORM_WAYS (AT_FINAL * AT_FINAL)
#define SWAP_WAYS (ARCH_MODULES * ARCH_MODULES)
#define FAMILY_WAYS (NORM_WAYS + 2 * SWAP_WAYS + ARCH_MODULES * STORED_FLAGS)
static inline bool change_family(struct arch *a, void *field, size_t way)
{
    (void)field;
    if (way < NORM_WAYS)
        return move_norm(a, way);
    if (way < NORM_WAYS + SWAP_WAYS)
        return swap_modules(a, way - NORM_WAYS);
    if (way < NORM_WAYS + 2 * SWAP_WAYS)
        return swap_matrices(a, way - NORM_WAYS - SWAP_WAYS);
    return flip_stored(a, way - NORM_WAYS - 2 * SWAP_WAYS);
}

#endif
