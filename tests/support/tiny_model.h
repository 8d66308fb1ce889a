/*
 * The tiny models of tests/golden with what torch, transformers and PEFT compute for them
 * (scripts/make_golden.py).
 */
#ifndef MPILORA_TESTS_TINY_MODEL_H
#define MPILORA_TESTS_TINY_MODEL_H

#include <dirent.h>
#include <stdlib.h>

#include "base/file.h"
#include "math/gemm.h"
#include "model/model.h"
#include "numbers.h"
#include "unit.h"

#define TINY_TOKENS 1200

struct tiny {
    struct store base, golden;
    struct model model;
    struct lora lora;
    struct model_grads grads;
    struct lora_moments moments;
    struct arena arena; /* of gradients and moments */
    /* The examples of the golden file, or what a test puts there */
    int32_t tokens[TINY_TOKENS], positions[TINY_TOKENS];
    uint8_t supervised[TINY_TOKENS];
    uint32_t offsets[TINY_TOKENS + 1], prefixes[TINY_TOKENS];
    uint64_t samples[TINY_TOKENS];
    struct model_input in;
};

static inline const char *tiny_path(const char *name, const char *file)
{
    static char paths[2][512];
    static unsigned next;
    char *path = paths[next++ % 2];
    const char *golden = getenv("GOLDEN");
    if (!golden)
        fail_msg("the environment variable GOLDEN names the folder tests/golden");
    snprintf(path, sizeof paths[0], "%s/%s%s%s", golden, name, file[0] ? "/" : "", file);
    return path;
}

/* What store_open() takes for a model of tests/golden. */
static inline const char *tiny_base(const char *name)
{
    const char *gguf = tiny_path(name, "model.gguf");
    return file_exists(gguf) ? gguf : tiny_path(name, "");
}

static inline int tiny_is_model(const struct dirent *entry)
{
    return strncmp(entry->d_name, "tiny_", 5) == 0;
}

/* The names of all models of tests/golden, in the order of the alphabet, with NULL after the last; they stay until
 * the program ends. Each is a row of scripts/make_golden.py. */
static inline char **tiny_names(void)
{
    static char *names[128];
    struct dirent **entries;
    int count = scandir(tiny_path("", ""), &entries, tiny_is_model, alphasort);
    assert_in_range(count, 1, 127);
    for (int i = 0; i < count && !names[count - 1]; i++)
        names[i] = strdup(entries[i]->d_name);
    for (int i = 0; i < count; i++)
        free(entries[i]);
    free(entries);
    return names;
}

/* A tensor of the golden file (all are f32), aligned; the caller frees it. */
static inline float *tiny_golden(const struct tiny *t, const char *name, size_t *count)
{
    const struct store_tensor *tensor = store_find(&t->golden, name);
    if (!tensor)
        fail_msg("no golden tensor %s", name);
    float *x = malloc(tensor->bytes + 1);
    assert_non_null(x);
    memcpy(x, tensor->data, tensor->bytes);
    if (count)
        *count = tensor->elements;
    return x;
}

/* Lays an example after the others, without its first `prefix` tokens, which are those of the one that was laid down
 * whole last. */
static inline void tiny_add_after(struct tiny *t, size_t prefix, const int32_t *tokens, const uint8_t *supervised,
                                  size_t count, uint64_t sample)
{
    size_t first = t->in.n;
    assert_true(first + count - prefix <= TINY_TOKENS);
    for (size_t i = prefix; i < count; i++) {
        t->tokens[first + i - prefix] = tokens[i];
        t->positions[first + i - prefix] = (int32_t)i;
        t->supervised[first + i - prefix] = supervised[i];
    }
    t->prefixes[t->in.examples] = (uint32_t)prefix;
    t->samples[t->in.examples++] = sample;
    t->in.n += count - prefix;
    t->offsets[t->in.examples] = (uint32_t)t->in.n;
    if (prefix)
        t->in.prefixes = t->prefixes;
}

/* Lays an example after the others. */
static inline void tiny_add(struct tiny *t, const int32_t *tokens, const uint8_t *supervised, size_t count,
                            uint64_t sample)
{
    tiny_add_after(t, 0, tokens, supervised, count, sample);
}

static inline void tiny_clear(struct tiny *t)
{
    t->in = (struct model_input){.tokens = t->tokens,
                                 .positions = t->positions,
                                 .supervised = t->supervised,
                                 .offsets = t->offsets,
                                 .samples = t->samples};
}

/* Example i of the golden file. */
static inline void tiny_add_golden(struct tiny *t, int i)
{
    char name[32];
    size_t count;
    int32_t ids[TINY_TOKENS];
    uint8_t marks[TINY_TOKENS];
    snprintf(name, sizeof name, "tokens.%d", i);
    float *tokens = tiny_golden(t, name, &count);
    snprintf(name, sizeof name, "supervised.%d", i);
    float *supervised = tiny_golden(t, name, NULL);
    for (size_t k = 0; k < count; k++) {
        ids[k] = (int32_t)tokens[k];
        marks[k] = supervised[k] != 0;
    }
    tiny_add(t, ids, marks, count, (uint64_t)i);
    free(tokens);
    free(supervised);
}

/* A pseudo-random example with every token but the first supervised. */
static inline void tiny_add_random(struct tiny *t, size_t count, uint64_t sample)
{
    int32_t ids[TINY_TOKENS];
    uint8_t marks[TINY_TOKENS];
    struct rng_key key = rng_key_make(99, RNG_SAMPLE, sample);
    for (size_t i = 0; i < count; i++) {
        ids[i] = (int32_t)(rng_word(key, i) % t->model.arch.vocab);
        marks[i] = i > 0;
    }
    tiny_add(t, ids, marks, count, sample);
}

static inline void tiny_plan_with(struct tiny *t, enum model_recompute recompute)
{
    struct err e;
    const struct model_plan plan = {.tokens = TINY_TOKENS,
                                    .repeated = TINY_TOKENS,
                                    .examples = 16,
                                    .longest = TINY_TOKENS,
                                    .threads = 2,
                                    .train = true,
                                    .recompute = recompute};
    assert_ok(model_plan_memory(&t->model, &plan, &e), &e);
}

static inline void tiny_plan(struct tiny *t)
{
    tiny_plan_with(t, RECOMPUTE_NONE);
}

/* The adapter of the golden file. */
static inline void tiny_make_lora(struct tiny *t)
{
    struct err e;
    struct lora_given given[64];
    char paths[64][ARCH_PATH_SIZE];
    size_t count = 0;
    float *alpha = tiny_golden(t, "alpha", NULL);
    for (size_t i = 0; i < t->golden.tensor_count; i++) {
        const struct store_tensor *tensor = &t->golden.tensors[i];
        size_t length = strlen(tensor->name);
        if (strncmp(tensor->name, "adapter.", 8) != 0 || strcmp(tensor->name + length - 7, ".lora_A") != 0)
            continue;
        snprintf(paths[count], sizeof paths[count], "%.*s", (int)(length - 15), tensor->name + 8);
        given[count] = (struct lora_given){paths[count], tensor->shape[0], *alpha / (double)tensor->shape[0]};
        count++;
    }
    free(alpha);
    assert_ok(lora_create_given(&t->lora, &t->model.arch, given, count, &e), &e);
    t->grads.values = arena_alloc(&t->arena, t->lora.layout.size, sizeof(float), "gradients", &e);
    assert_non_null(t->grads.values);
    assert_ok(lora_moments_init(&t->moments, &t->lora.layout, false, &t->arena, &e), &e);
    for (size_t i = 0; i < t->lora.layout.count; i++) {
        const struct lora_module *m = &t->lora.layout.modules[i];
        for (int matrix = 0; matrix < 2; matrix++) {
            char name[128];
            size_t elements;
            snprintf(name, sizeof name, "adapter.%s.lora_%c", m->path, "AB"[matrix]);
            float *values = tiny_golden(t, name, &elements);
            assert_int_equal(elements, m->rank * (matrix ? m->out : m->in));
            memcpy(t->lora.params + (matrix ? m->b : m->a), values, elements * sizeof *values);
            free(values);
        }
    }
    t->model.lora = &t->lora;
}

/* Opens a model of tests/golden with its adapter, room for TINY_TOKENS tokens, and both examples packed. */
static inline void tiny_open_as(struct tiny *t, const char *name, enum dtype type)
{
    struct err e;
    const struct weights_options weights = {.type = type};
    memset(t, 0, sizeof *t);
    assert_ok(store_open(&t->base, tiny_base(name), &e), &e);
    assert_ok(store_open_safetensors(&t->golden, tiny_path(name, "golden.safetensors"), &e), &e);
    assert_ok(model_load(&t->model, &t->base, &weights, &e), &e);
    gemm_set_threads(2);
    tiny_make_lora(t);
    tiny_plan(t);
    tiny_clear(t);
    tiny_add_golden(t, 0);
    tiny_add_golden(t, 1);
}

static inline void tiny_open(struct tiny *t, const char *name)
{
    tiny_open_as(t, name, DTYPE_F32);
}

static inline void tiny_close(struct tiny *t)
{
    model_release(&t->model);
    lora_release(&t->lora);
    arena_release(&t->arena);
    store_close(&t->golden);
    store_close(&t->base);
}

static inline double tiny_supervised(const struct tiny *t)
{
    size_t count = 0;
    for (size_t i = 0; i < t->in.n; i++)
        count += t->supervised[i];
    return (double)count;
}

/* Mean loss, and its gradient in grads. */
static inline double tiny_grad(struct tiny *t)
{
    struct err e;
    struct model_result result;
    memset(t->grads.values, 0, t->lora.layout.size * sizeof *t->grads.values);
    assert_ok(model_step_grad(&t->model, &t->in, 1.0 / tiny_supervised(t), &t->grads, &result, NULL, &e), &e);
    return result.loss_sum / (double)result.supervised;
}

/* sum (x - y)^2 / sum y^2 */
static inline double tiny_nmse(const float *x, const float *y, size_t count)
{
    double difference = 0, size = 1e-300;
    for (size_t i = 0; i < count; i++) {
        double d = (double)x[i] - (double)y[i];
        difference += d * d;
        size += (double)y[i] * (double)y[i];
    }
    return difference / size;
}

/* The directional derivative along a random direction over all of A and B, and along single entries, against
 * central differences of the loss, which leaves its gradient in grads. f32 noise of the loss is about 1e-7, so
 * steps are large and the tolerance is of the size of noise / step + step^2. */
static inline void tiny_check_gradient(struct tiny *t, double (*loss_of)(struct tiny *t), double tolerance)
{
    struct lora *l = &t->lora;
    loss_of(t);
    float *grad = numbers_copy(t->grads.values, l->layout.size),
          *at = numbers_copy(l->params, l->layout.size);
    double scale = 0;
    for (size_t i = 0; i < l->layout.size; i++)
        scale = fmax(scale, fabs((double)grad[i]));
    for (uint64_t trial = 0; trial < 30; trial++) {
        struct rng_key key = rng_key_make(trial, RNG_SHUFFLE, 0);
        size_t entry = rng_word(key, 0) % l->layout.size;
        float *direction = numbers_new(l->layout.size, 1.0F / sqrtf((float)l->layout.size), trial);
        double expected = 0, loss[2], step = 5e-3;
        for (size_t i = 0; i < l->layout.size; i++) {
            if (trial % 2) /* odd trials: one entry */
                direction[i] = i == entry ? 1 : 0;
            expected += (double)direction[i] * (double)grad[i];
        }
        for (int side = 0; side < 2; side++) {
            for (size_t i = 0; i < l->layout.size; i++)
                l->params[i] = at[i] + (float)(side ? step : -step) * direction[i];
            loss[side] = loss_of(t);
        }
        double measured = (loss[1] - loss[0]) / (2 * step);
        if (!(fabs(measured - expected) < tolerance * scale))
            fail_msg("trial %zu: derivative %g, by differences %g (largest entry %g)", (size_t)trial,
                     expected, measured, scale);
        free(direction);
    }
    memcpy(l->params, at, l->layout.size * sizeof *at);
    free(grad);
    free(at);
}

/* Loss and gradients of five random examples in one pack are those of each alone, added up. */
static inline void tiny_check_packing(struct tiny *t, const size_t lengths[5], double loss_tolerance,
                                      double grad_tolerance)
{
    struct err e;
    struct model_result result;
    double separate = 0;
    memset(t->grads.values, 0, t->lora.layout.size * sizeof *t->grads.values);
    for (uint64_t k = 0; k < 5; k++) {
        tiny_clear(t);
        tiny_add_random(t, lengths[k], k);
        assert_ok(model_step_grad(&t->model, &t->in, 1, &t->grads, &result, NULL, &e), &e);
        assert_int_equal(result.supervised, lengths[k] - 1);
        separate += result.loss_sum;
    }
    float *grads = numbers_copy(t->grads.values, t->lora.layout.size);
    tiny_clear(t);
    for (uint64_t k = 0; k < 5; k++)
        tiny_add_random(t, lengths[k], k);
    memset(t->grads.values, 0, t->lora.layout.size * sizeof *grads);
    assert_ok(model_step_grad(&t->model, &t->in, 1, &t->grads, &result, NULL, &e), &e);
    assert_true(fabs(result.loss_sum - separate) < loss_tolerance * separate);
    assert_true(tiny_nmse(t->grads.values, grads, t->lora.layout.size) < grad_tolerance);
    free(grads);
}

#endif
