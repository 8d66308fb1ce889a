#include "model/arch.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "arch_read.h"
#include "base/limits.h"

size_t arch_head(const struct arch *a)
{
    return a->family->module_count;
}

const struct family_module *arch_module(const struct arch *a, size_t linear)
{
    return &a->family->modules[linear];
}

struct arch_range arch_group(const struct family *f, enum linear_group g)
{
    struct arch_range range = {0};
    while (f->modules[range.first].group != g)
        range.first++;
    range.end = range.first;
    while (range.end <= f->module_count && f->modules[range.end].group == g)
        range.end++;
    return range;
}

size_t arch_rows(const struct arch *a, size_t linear)
{
    switch (arch_module(a, linear)->rows) {
    case ROWS_WIDTH:
        return a->width;
    case ROWS_QUERIES:
        return a->heads * a->head_dim;
    case ROWS_KEYS:
        return a->kv_heads * a->head_dim;
    case ROWS_FFN:
        return a->ffn;
    case ROWS_VOCAB:
        break;
    }
    return a->vocab;
}

size_t arch_columns(const struct arch *a, size_t linear)
{
    return arch_group_columns(a, arch_module(a, linear)->group);
}

size_t arch_group_rows(const struct arch *a, enum linear_group g)
{
    struct arch_range range = arch_group(a->family, g);
    size_t rows = 0;
    for (size_t i = range.first; i < range.end; i++)
        rows += arch_rows(a, i);
    return rows;
}

size_t arch_group_columns(const struct arch *a, enum linear_group g)
{
    if (g == GROUP_ATTN_OUT)
        return a->heads * a->head_dim;
    return g == GROUP_MLP_OUT ? a->ffn : a->width;
}

size_t arch_row_offset(const struct arch *a, size_t linear)
{
    size_t rows = 0;
    for (size_t i = arch_group(a->family, arch_module(a, linear)->group).first; i < linear; i++)
        rows += arch_rows(a, i);
    return rows;
}

size_t arch_key_row(const struct arch *a)
{
    return a->heads * a->head_dim;
}

size_t arch_value_row(const struct arch *a)
{
    return (a->heads + a->kv_heads) * a->head_dim;
}

size_t arch_slot_linear(const struct arch *a, size_t slot)
{
    return slot == a->layers * arch_head(a) ? arch_head(a) : slot % arch_head(a);
}

void arch_module_path(char path[ARCH_PATH_SIZE], const struct arch *a, size_t layer, size_t linear)
{
    if (linear == arch_head(a))
        snprintf(path, ARCH_PATH_SIZE, "%s", arch_module(a, linear)->path);
    else
        snprintf(path, ARCH_PATH_SIZE, "model.layers.%zu.%s", layer, arch_module(a, linear)->path);
}

static enum err_code check_limits(const struct arch *a, const struct store *store, struct err *e)
{
    const struct {
        const char *name;
        size_t value;
    } sizes[] = {{"number of layers", a->layers},
                 {"width", a->width},
                 {"feed-forward width", a->ffn},
                 {"number of heads", a->heads},
                 {"number of key/value heads", a->kv_heads},
                 {"head size", a->head_dim},
                 {"vocabulary", a->vocab}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        if (sizes[i].value == 0 || sizes[i].value > INT32_MAX)
            return err_set(e, ERR_FORMAT, "%s: %s: %zu is out of range", store->path, sizes[i].name,
                           sizes[i].value);
    if (a->layers > LIMIT_LAYERS)
        return err_set(e, ERR_FORMAT, "%s: %zu layers; at most %d are read", store->path, a->layers,
                       LIMIT_LAYERS);
    if (a->heads % a->kv_heads != 0)
        return err_set(e, ERR_FORMAT, "%s: %zu heads cannot share %zu key/value heads evenly", store->path,
                       a->heads, a->kv_heads);
    if (a->head_dim % 2 != 0)
        return err_set(e, ERR_FORMAT, "%s: a head size of %zu; rotary positions need an even one",
                       store->path, a->head_dim);
    for (size_t i = 0; i <= arch_head(a); i++) {
        uint64_t elements;
        size_t rows = a->heads > (size_t)LIMIT_MATRIX / a->head_dim ? 0 : arch_rows(a, i);
        if (rows == 0 || __builtin_mul_overflow((uint64_t)rows, arch_columns(a, i), &elements) ||
            elements > (uint64_t)LIMIT_MATRIX)
            return err_set(e, ERR_FORMAT, "%s: %s would have more than 2^40 elements", store->path,
                           arch_module(a, i)->path);
    }
    if (!(a->norm_eps >= 0) || !isfinite(a->norm_eps))
        return err_set(e, ERR_FORMAT, "%s: the norms' epsilon is %g", store->path, (double)a->norm_eps);
    if (!(a->rope_theta > 0) || !isfinite(a->rope_theta))
        return err_set(e, ERR_FORMAT, "%s: rope_theta is %g", store->path, a->rope_theta);
    if (a->rope_type != ROPE_DEFAULT && !(a->rope_factor > 0 && isfinite(a->rope_factor)))
        return err_set(e, ERR_FORMAT, "%s: the rope scaling factor is %g", store->path, a->rope_factor);
    if (a->rope_type == ROPE_LLAMA3 &&
        !(a->rope_low_freq_factor > 0 && a->rope_high_freq_factor > a->rope_low_freq_factor &&
          a->rope_original_positions > 0))
        return err_set(e, ERR_FORMAT,
                       "%s: llama3 rope scaling with low_freq_factor %g, high_freq_factor %g and "
                       "original_max_position_embeddings %g",
                       store->path, a->rope_low_freq_factor, a->rope_high_freq_factor,
                       a->rope_original_positions);
    return ERR_OK;
}

enum err_code arch_read(struct arch *a, const struct store *store, struct err *e)
{
    *a = (struct arch){0};
    if (store->kind == STORE_GGUF ? arch_read_gguf(a, store, e) : arch_read_hf(a, store, e))
        return e->code;
    return check_limits(a, store, e);
}

/* Llama 3.1's scaling: long waves are stretched by the factor, short ones stay, those between are blended. */
static float scale_llama3(float frequency, const struct arch *a)
{
    double original = a->rope_original_positions;
    float wave = (float)(2.0 * M_PI) / frequency;
    if (wave < (float)(original / a->rope_high_freq_factor))
        return frequency;
    if (wave > (float)(original / a->rope_low_freq_factor))
        return frequency / (float)a->rope_factor;
    float smooth = ((float)original / wave - (float)a->rope_low_freq_factor) /
                   (float)(a->rope_high_freq_factor - a->rope_low_freq_factor);
    return (1 - smooth) * frequency / (float)a->rope_factor + smooth * frequency;
}

enum err_code arch_rope_frequencies(float *inv_freq, const struct arch *a, const struct store *store,
                                    struct err *e)
{
    size_t half = a->head_dim / 2;
    for (size_t i = 0; i < half; i++) {
        float exponent = (float)(2 * i) / (float)a->head_dim;
        float frequency = 1.0F / powf((float)a->rope_theta, exponent);
        if (a->rope_type == ROPE_LINEAR)
            frequency /= (float)a->rope_factor;
        if (a->rope_type == ROPE_LLAMA3)
            frequency = scale_llama3(frequency, a);
        inv_freq[i] = frequency;
    }
    const struct store_tensor *factors =
        store->kind == STORE_GGUF ? store_find(store, "rope_freqs.weight") : NULL;
    if (!factors)
        return ERR_OK;
    if (factors->type != DTYPE_F32 || factors->elements != half)
        return err_set(e, ERR_FORMAT, "%s: tensor rope_freqs.weight should be f32 [%zu]", factors->file,
                       half);
    for (size_t i = 0; i < half; i++) {
        float factor;
        memcpy(&factor, (const char *)factors->data + i * sizeof factor, sizeof factor);
        if (!(factor > 0) || !isfinite(factor))
            return err_set(e, ERR_FORMAT, "%s: tensor rope_freqs.weight: element %zu is %g", factors->file, i,
                           (double)factor);
        inv_freq[i] /= factor;
    }
    return ERR_OK;
}

uint64_t arch_parameters(const struct arch *a)
{
    uint64_t block = 2 * a->width;
    for (size_t i = 0; i < arch_head(a); i++) {
        enum linear_group g = arch_module(a, i)->group;
        bool bias = g == GROUP_ATTN_IN || g == GROUP_ATTN_OUT ? a->attention_bias : a->mlp_bias;
        block += (uint64_t)arch_rows(a, i) * (arch_columns(a, i) + bias);
    }
    uint64_t table = (uint64_t)a->vocab * a->width;
    return a->layers * block + a->width + (a->tied ? table : 2 * table);
}
