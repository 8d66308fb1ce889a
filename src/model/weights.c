#include "model/weights.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "math/convert.h"

#define NAME_SIZE 128

struct loading {
    struct weights *w;
    const struct arch *a;
    const struct store *store;
    unsigned char *taken; /* [tensor_count] 1 for each tensor that was used */
    struct err *e;
};

static bool has_shape(const struct store_tensor *t, size_t rows, size_t columns, bool vector)
{
    if (vector)
        return t->dims == 1 && t->shape[0] == columns;
    return t->dims == 2 && t->shape[0] == rows && t->shape[1] == columns;
}

static enum err_code misshapen(const struct store_tensor *t, size_t rows, size_t columns, bool vector,
                               struct err *e)
{
    char shape[STORE_MAX_DIMS * 24] = "", wanted[64];
    for (int i = 0; i < t->dims; i++) {
        size_t used = strlen(shape);
        snprintf(shape + used, sizeof shape - used, i ? ", %" PRIu64 : "%" PRIu64, t->shape[i]);
    }
    if (vector)
        snprintf(wanted, sizeof wanted, "%zu", columns);
    else
        snprintf(wanted, sizeof wanted, "%zu, %zu", rows, columns);
    return err_set(e, ERR_MISMATCH, "%s: tensor %s is [%s]; the model's configuration makes it [%s]", t->file,
                   t->name, shape, wanted);
}

/* Expands a tensor to out[rows, columns] (a vector is one row). */
static enum err_code take(const struct loading *l, float *out, const char *name, size_t rows, size_t columns,
                          bool vector, size_t interleaved_head)
{
    const struct store_tensor *t = store_find(l->store, name);
    if (!t)
        return err_set(l->e, ERR_FORMAT, "%s: tensor %s is missing", l->store->path, name);
    if (!has_shape(t, rows, columns, vector))
        return misshapen(t, rows, columns, vector, l->e);
    l->taken[t - l->store->tensors] = 1;
    /* A vector's elements are its rows when they are to be permuted. */
    bool column = vector && interleaved_head;
    struct convert_matrix in = {
        .type = t->type,
        .data = t->data,
        .rows = column   ? columns
                : vector ? 1
                         : rows,
        .columns = column ? 1 : columns,
        .interleaved_head = interleaved_head,
    };
    if (in.columns % dtype_info(t->type)->block_elements != 0)
        return err_set(l->e, ERR_FORMAT,
                       "%s: tensor %s: rows of %zu elements are not whole blocks of type %s", t->file, name,
                       in.columns, dtype_info(t->type)->name);
    size_t bad = convert_to_f32(out, &in);
    if (bad < in.rows)
        return err_set(l->e, ERR_NUMERIC, "%s: tensor %s holds a NaN or an infinity, in row %zu", t->file,
                       name, bad);
    return ERR_OK;
}

static float *room(const struct loading *l, size_t rows, size_t columns, const char *what)
{
    return arena_alloc(&l->w->arena, rows * columns, sizeof(float), what, l->e);
}

static bool is_gguf(const struct loading *l)
{
    return l->store->kind == STORE_GGUF;
}

static void linear_name(char name[NAME_SIZE], const struct loading *l, size_t layer, enum linear linear,
                        const char *kind)
{
    if (is_gguf(l))
        snprintf(name, NAME_SIZE, "blk.%zu.%s.%s", layer, arch_gguf_name(linear), kind);
    else
        snprintf(name, NAME_SIZE, "model.layers.%zu.%s.%s", layer, arch_path(linear), kind);
}

static enum err_code load_group(const struct loading *l, size_t layer, enum linear_group g)
{
    const struct arch *a = l->a;
    size_t rows = arch_group_rows(a, g), columns = arch_group_columns(a, g);
    bool attention = g == GROUP_ATTN_IN || g == GROUP_ATTN_OUT;
    bool has_bias = attention ? a->attention_bias : a->mlp_bias;
    float *weight = room(l, rows, columns, "base weights");
    float *bias = has_bias ? room(l, 1, rows, "base biases") : NULL;
    if (!weight || (has_bias && !bias))
        return l->e->code;
    l->w->layers[layer].weight[g] = weight;
    l->w->layers[layer].bias[g] = bias;
    for (int i = 0; i < LINEAR_COUNT; i++) {
        enum linear linear = (enum linear)i;
        if (arch_group(linear) != g)
            continue;
        bool permuted = a->permuted_qk && (linear == LINEAR_Q || linear == LINEAR_K);
        size_t head = permuted ? a->head_dim : 0, first = arch_row_offset(a, linear);
        size_t own_rows = arch_rows(a, linear);
        char name[NAME_SIZE];
        linear_name(name, l, layer, linear, "weight");
        if (take(l, weight + first * columns, name, own_rows, columns, false, head))
            return l->e->code;
        linear_name(name, l, layer, linear, "bias");
        if (has_bias && take(l, bias + first, name, 1, own_rows, true, head))
            return l->e->code;
    }
    return ERR_OK;
}

static enum err_code load_layer(const struct loading *l, size_t layer)
{
    static const char *const hf_norms[] = {"input_layernorm", "post_attention_layernorm"};
    static const char *const gguf_norms[] = {"attn_norm", "ffn_norm"};
    size_t width = l->a->width;
    for (int i = 0; i < NORM_COUNT; i++) {
        char name[NAME_SIZE];
        if (is_gguf(l))
            snprintf(name, sizeof name, "blk.%zu.%s.weight", layer, gguf_norms[i]);
        else
            snprintf(name, sizeof name, "model.layers.%zu.%s.weight", layer, hf_norms[i]);
        float *norm = room(l, 1, width, "norm weights");
        if (!norm || take(l, norm, name, 1, width, true, 0))
            return l->e->code;
        l->w->layers[layer].norm[i] = norm;
    }
    for (int g = 0; g < GROUP_COUNT; g++)
        if (load_group(l, layer, (enum linear_group)g))
            return l->e->code;
    return ERR_OK;
}

static enum err_code load_outside_blocks(const struct loading *l)
{
    const struct arch *a = l->a;
    float *embedding = room(l, a->vocab, a->width, "embedding");
    float *norm = room(l, 1, a->width, "norm weights");
    if (!embedding || !norm)
        return l->e->code;
    if (take(l, embedding, is_gguf(l) ? "token_embd.weight" : "model.embed_tokens.weight", a->vocab, a->width,
             false, 0) ||
        take(l, norm, is_gguf(l) ? "output_norm.weight" : "model.norm.weight", 1, a->width, true, 0))
        return l->e->code;
    l->w->embedding = l->w->head = embedding;
    l->w->norm = norm;
    if (a->tied)
        return ERR_OK;
    float *head = room(l, a->vocab, a->width, "head");
    if (!head || take(l, head, is_gguf(l) ? "output.weight" : "lm_head.weight", a->vocab, a->width, false, 0))
        return l->e->code;
    l->w->head = head;
    return ERR_OK;
}

/* Tensors that some writers add and that carry nothing: tables of the rotation, and a copy of a tied head. */
static bool is_harmless(const struct loading *l, const char *name)
{
    if (is_gguf(l))
        return strcmp(name, "rope_freqs.weight") == 0;
    return str_ends_with(name, ".rotary_emb.inv_freq") || (l->a->tied && strcmp(name, "lm_head.weight") == 0);
}

static enum err_code refuse_surplus(const struct loading *l)
{
    for (size_t i = 0; i < l->store->tensor_count; i++) {
        const struct store_tensor *t = &l->store->tensors[i];
        if (!l->taken[i] && !is_harmless(l, t->name))
            return err_set(l->e, ERR_UNSUPPORTED,
                           "%s: tensor %s is not part of a %s model as its configuration has it", t->file,
                           t->name, l->a->family);
    }
    return ERR_OK;
}

enum err_code weights_load(struct weights *w, const struct arch *a, const struct store *store, struct err *e)
{
    *w = (struct weights){0};
    struct loading l = {w, a, store, calloc(store->tensor_count + 1, 1), e};
    w->layers = arena_alloc(&w->arena, a->layers, sizeof *w->layers, "base weights", e);
    enum err_code code = ERR_OK;
    if (!l.taken)
        code = err_set(e, ERR_MEMORY, "%s: no memory for %zu tensors", store->path, store->tensor_count);
    else if (!w->layers)
        code = e->code;
    else
        code = load_outside_blocks(&l);
    for (size_t layer = 0; layer < a->layers && !code; layer++)
        code = load_layer(&l, layer);
    if (!code)
        code = refuse_surplus(&l);
    free(l.taken);
    if (code)
        weights_release(w);
    return code;
}

void weights_release(struct weights *w)
{
    arena_release(&w->arena);
    *w = (struct weights){0};
}
