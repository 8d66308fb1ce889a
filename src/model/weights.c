#include "model/weights.h"

#include <assert.h>
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
    const struct weights_place *place; /* NULL: the arena */
    size_t size, used;                 /* bytes of the place */
    unsigned char *taken;              /* [tensor_count] 1 for each tensor that was used */
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

/* Finds a tensor of this shape, before memory is taken for it; NULL with the error set. */
static const struct store_tensor *expect(const struct loading *l, const char *name, size_t rows,
                                         size_t columns, bool vector)
{
    const struct store_tensor *t = store_find(l->store, name);
    if (!t)
        err_set(l->e, ERR_FORMAT, "%s: tensor %s is missing", l->store->path, name);
    else if (!has_shape(t, rows, columns, vector))
        misshapen(t, rows, columns, vector, l->e);
    else
        return t;
    return NULL;
}

/* Expands a tensor that was found to out[rows, columns]; interleaved_head as in struct convert_matrix. */
static enum err_code expand(const struct loading *l, float *out, const struct store_tensor *t,
                            size_t interleaved_head)
{
    bool vector = t->dims == 1;
    /* A vector is one row, unless its elements are to be permuted as rows. */
    bool column = vector && interleaved_head > 0;
    struct convert_matrix in = {
        .type = t->type,
        .data = t->data,
        .rows = vector && !column ? 1 : t->shape[0],
        .columns = column   ? 1
                   : vector ? t->shape[0]
                            : t->shape[1],
        .interleaved_head = interleaved_head,
    };
    if (in.columns % dtype_info(t->type)->block_elements != 0)
        return err_set(l->e, ERR_FORMAT,
                       "%s: tensor %s: rows of %zu elements are not whole blocks of type %s", t->file,
                       t->name, in.columns, dtype_info(t->type)->name);
    l->taken[t - l->store->tensors] = 1;
    if (l->place && l->place->filled)
        return ERR_OK;
    size_t bad = convert_to_f32(out, &in);
    if (bad < in.rows)
        return err_set(l->e, ERR_NUMERIC, "%s: tensor %s holds a NaN or an infinity, in row %zu", t->file,
                       t->name, bad);
    return ERR_OK;
}

/* Bytes of a matrix in a place; SIZE_MAX when it cannot be. */
static size_t padded_size(size_t rows, size_t columns)
{
    size_t bytes;
    if (__builtin_mul_overflow(rows, columns, &bytes) ||
        __builtin_mul_overflow(bytes, sizeof(float), &bytes) ||
        __builtin_add_overflow(bytes, (size_t)ARENA_ALIGN - 1, &bytes))
        return SIZE_MAX;
    return bytes - bytes % ARENA_ALIGN;
}

static float *room(struct loading *l, size_t rows, size_t columns, const char *what)
{
    if (!l->place)
        return arena_alloc(&l->w->arena, rows * columns, sizeof(float), what, l->e);
    size_t bytes = padded_size(rows, columns);
    assert(bytes <= l->size - l->used); /* weights_size() counts what is loaded */
    float *values = (float *)((char *)l->place->memory + l->used);
    l->used += bytes;
    return values;
}

/* A whole tensor in memory of its own. */
static enum err_code load(struct loading *l, const float **out, const char *name, size_t rows, size_t columns,
                          bool vector)
{
    const struct store_tensor *t = expect(l, name, rows, columns, vector);
    float *values = t ? room(l, rows, columns, name) : NULL;
    if (!values || expand(l, values, t, 0))
        return l->e->code;
    *out = values;
    return ERR_OK;
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

/* The tensors of a group's linears, NULL for those of other groups; `biases` too if there are any. */
struct group_tensors {
    const struct store_tensor *weights[LINEAR_COUNT], *biases[LINEAR_COUNT];
};

static enum err_code find_group(const struct loading *l, struct group_tensors *found, size_t layer,
                                enum linear_group g, bool has_bias)
{
    *found = (struct group_tensors){0};
    for (int i = 0; i < LINEAR_COUNT; i++) {
        enum linear linear = (enum linear)i;
        char name[NAME_SIZE];
        if (arch_group(linear) != g)
            continue;
        size_t rows = arch_rows(l->a, linear);
        linear_name(name, l, layer, linear, "weight");
        found->weights[i] = expect(l, name, rows, arch_columns(l->a, linear), false);
        if (!found->weights[i])
            return l->e->code;
        linear_name(name, l, layer, linear, "bias");
        found->biases[i] = has_bias ? expect(l, name, 1, rows, true) : NULL;
        if (has_bias && !found->biases[i])
            return l->e->code;
    }
    return ERR_OK;
}

static bool group_has_bias(const struct arch *a, enum linear_group g)
{
    return g == GROUP_ATTN_IN || g == GROUP_ATTN_OUT ? a->attention_bias : a->mlp_bias;
}

static enum err_code load_group(struct loading *l, size_t layer, enum linear_group g)
{
    const struct arch *a = l->a;
    size_t rows = arch_group_rows(a, g), columns = arch_group_columns(a, g);
    bool has_bias = group_has_bias(a, g);
    struct group_tensors found;
    if (find_group(l, &found, layer, g, has_bias))
        return l->e->code;
    float *weight = room(l, rows, columns, "base weights");
    float *bias = has_bias ? room(l, 1, rows, "base biases") : NULL;
    if (!weight || (has_bias && !bias))
        return l->e->code;
    l->w->layers[layer].weight[g] = weight;
    l->w->layers[layer].bias[g] = bias;
    for (int i = 0; i < LINEAR_COUNT; i++) {
        if (!found.weights[i])
            continue;
        bool permuted = a->permuted_qk && (i == LINEAR_Q || i == LINEAR_K);
        size_t head = permuted ? a->head_dim : 0, first = arch_row_offset(a, (enum linear)i);
        if (expand(l, weight + first * columns, found.weights[i], head) ||
            (has_bias && expand(l, bias + first, found.biases[i], head)))
            return l->e->code;
    }
    return ERR_OK;
}

static enum err_code load_layer(struct loading *l, size_t layer)
{
    static const char *const hf_norms[] = {"input_layernorm", "post_attention_layernorm"};
    static const char *const gguf_norms[] = {"attn_norm", "ffn_norm"};
    for (int i = 0; i < NORM_COUNT; i++) {
        char name[NAME_SIZE];
        if (is_gguf(l))
            snprintf(name, sizeof name, "blk.%zu.%s.weight", layer, gguf_norms[i]);
        else
            snprintf(name, sizeof name, "model.layers.%zu.%s.weight", layer, hf_norms[i]);
        if (load(l, &l->w->layers[layer].norm[i], name, 1, l->a->width, true))
            return l->e->code;
    }
    for (int g = 0; g < GROUP_COUNT; g++)
        if (load_group(l, layer, (enum linear_group)g))
            return l->e->code;
    return ERR_OK;
}

static enum err_code load_outside_blocks(struct loading *l)
{
    const struct arch *a = l->a;
    struct weights *w = l->w;
    if (load(l, &w->embedding, is_gguf(l) ? "token_embd.weight" : "model.embed_tokens.weight", a->vocab,
             a->width, false) ||
        load(l, &w->norm, is_gguf(l) ? "output_norm.weight" : "model.norm.weight", 1, a->width, true))
        return l->e->code;
    w->head = w->embedding;
    if (a->tied)
        return ERR_OK;
    return load(l, &w->head, is_gguf(l) ? "output.weight" : "lm_head.weight", a->vocab, a->width, false);
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

enum err_code weights_size(size_t *bytes, const struct arch *a, struct err *e)
{
    size_t vocabulary = padded_size(a->vocab, a->width), norm = padded_size(1, a->width), layer, layers;
    bool fits = !__builtin_mul_overflow((size_t)NORM_COUNT, norm, &layer);
    for (int i = 0; i < GROUP_COUNT; i++) {
        enum linear_group g = (enum linear_group)i;
        size_t rows = arch_group_rows(a, g);
        fits = fits && !__builtin_add_overflow(layer, padded_size(rows, arch_group_columns(a, g)), &layer);
        if (group_has_bias(a, g))
            fits = fits && !__builtin_add_overflow(layer, padded_size(1, rows), &layer);
    }
    fits = fits && !__builtin_mul_overflow(layer, a->layers, &layers) &&
           !__builtin_add_overflow(layers, norm, bytes) &&
           !__builtin_add_overflow(*bytes, vocabulary, bytes) &&
           (a->tied || !__builtin_add_overflow(*bytes, vocabulary, bytes));
    return fits ? ERR_OK : err_set(e, ERR_MEMORY, "the base weights are more bytes than can be addressed");
}

enum err_code weights_load(struct weights *w, const struct arch *a, const struct store *store, struct err *e)
{
    return weights_load_at(w, a, store, NULL, e);
}

enum err_code weights_load_at(struct weights *w, const struct arch *a, const struct store *store,
                              const struct weights_place *place, struct err *e)
{
    *w = (struct weights){0};
    struct loading l = {.w = w, .a = a, .store = store, .place = place, .e = e};
    if (place && weights_size(&l.size, a, e))
        return e->code;
    w->placed = l.size;
    l.taken = calloc(store->tensor_count + 1, 1);
    w->layer_count = a->layers;
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

static const float *matrix_of(const struct layer_weights *layers, const float *head, const struct arch *a,
                              size_t layer, enum linear linear)
{
    enum linear_group g = arch_group(linear);
    if (linear == LINEAR_HEAD)
        return head;
    return layers[layer].weight[g] + arch_row_offset(a, linear) * arch_group_columns(a, g);
}

const float *weights_matrix(const struct weights *w, const struct arch *a, size_t layer, enum linear linear)
{
    return matrix_of(w->layers, w->head, a, layer, linear);
}

const float *weights_file_matrix(const struct weights *w, const struct arch *a, size_t layer,
                                 enum linear linear)
{
    return matrix_of(w->file_layers ? w->file_layers : w->layers, w->file_layers ? w->file_head : w->head, a,
                     layer, linear);
}

static enum err_code keep_file_weights(struct weights *w, const struct arch *a, struct err *e)
{
    if (w->file_layers)
        return ERR_OK;
    w->file_layers = arena_alloc(&w->changed, a->layers, sizeof *w->file_layers, "changed base weights", e);
    if (!w->file_layers)
        return e->code;
    memcpy(w->file_layers, w->layers, a->layers * sizeof *w->layers);
    w->file_head = w->head;
    return ERR_OK;
}

enum err_code weights_change(float **matrix, struct weights *w, const struct arch *a, size_t layer,
                             enum linear linear, struct err *e)
{
    enum linear_group g = arch_group(linear);
    if (keep_file_weights(w, a, e))
        return e->code;
    bool head = linear == LINEAR_HEAD;
    const float **used = head ? &w->head : &w->layers[layer].weight[g];
    const float *file = head ? w->file_head : w->file_layers[layer].weight[g];
    size_t count = arch_group_rows(a, g) * arch_group_columns(a, g);
    if (*used == file) {
        float *copy = arena_alloc(&w->changed, count, sizeof *copy, "changed base weights", e);
        if (!copy)
            return e->code;
        memcpy(copy, file, count * sizeof *copy);
        *used = copy;
    }
    /* The copy is this module's own memory. */
    *matrix = (float *)(uintptr_t)weights_matrix(w, a, layer, linear);
    return ERR_OK;
}

void weights_restore(struct weights *w)
{
    if (!w->file_layers)
        return;
    memcpy(w->layers, w->file_layers, w->layer_count * sizeof *w->layers);
    w->head = w->file_head;
    w->file_layers = NULL;
    w->file_head = NULL;
    arena_release(&w->changed);
}

void weights_release(struct weights *w)
{
    arena_release(&w->changed);
    arena_release(&w->arena);
    *w = (struct weights){0};
}
