/*
 * An adapter without a model: the modules of a small architecture, with values that tell every place apart.
 */
#ifndef MPILORA_TESTS_SMALL_LORA_H
#define MPILORA_TESTS_SMALL_LORA_H

#include "base/rng.h"
#include "model/family.h"
#include "model/lora.h"
#include "run/export/export_notes.h"
#include "unit.h"

static const struct arch small_arch = {.family = &family_llama,
                                       .layers = 12,
                                       .width = 8,
                                       .ffn = 12,
                                       .heads = 2,
                                       .kv_heads = 1,
                                       .head_dim = 4,
                                       .vocab = 20,
                                       .norm_eps = 1e-5F};

/* Its base, and its data. */
static const struct export_notes small_base = {.name = "some/\"base\"",
                                               .hash = "00112233445566778899aabbccddeeff",
                                               .prompts = PROMPTS_CHAT,
                                               .objective = {.kind = OBJECTIVE_DPO, .beta = 0.3, .likelihood = 2},
                                               .continued = true};

/* Of what was read back. */
static inline void small_expect_notes(const struct export_notes *of)
{
    assert_string_equal(of->name, small_base.name);
    assert_string_equal(of->hash, small_base.hash);
    assert_int_equal(of->prompts, PROMPTS_CHAT);
    assert_true(of->continued);
    assert_int_equal(of->objective.kind, OBJECTIVE_DPO);
    assert_true(of->objective.beta == 0.3 && of->objective.likelihood == 2 && of->objective.label_smoothing == 0);
}

static inline void small_fill(float *x, size_t count, uint64_t item)
{
    rng_fill_normal(x, rng_key_make(7, RNG_SAMPLE, item), 0, count);
}

/* lora_release() it. */
static inline void small_make(struct lora *l, const char *targets, size_t rank, double alpha)
{
    struct err e;
    struct lora_spec spec = {.targets = targets, .rank = rank, .alpha = alpha, .init = LORA_NORMAL};
    assert_ok(lora_create(l, &small_arch, &spec, &e), &e);
    small_fill(l->params, l->layout.size, 1);
}

/* A gradient for it, in its arena. */
static inline float *small_grads(struct lora *l)
{
    struct err e;
    float *grads = arena_alloc(&l->arena, l->layout.size, sizeof *grads, "gradients", &e);
    assert_non_null(grads);
    small_fill(grads, l->layout.size, 2);
    return grads;
}

/* Moments for it, in its arena. */
static inline struct lora_moments small_moments(struct lora *l)
{
    struct err e;
    struct lora_moments moments;
    assert_ok(lora_moments_init(&moments, &l->layout, false, &l->arena, &e), &e);
    small_fill(moments.m, l->layout.size, 3);
    for (size_t i = 0; i < l->layout.size; i++)
        moments.v[i] = (float)(i + 1) / (float)l->layout.size;
    return moments;
}

static inline void small_equal(const float *a, const float *b, size_t count)
{
    assert_memory_equal(a, b, count * sizeof *a);
}

#endif
