#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "arch_source.h"

static const char window_key[] = "sliding_window";

/* ---- which layers are of which kind ---- */

/* ARCH_KINDS if it is none. */
static size_t kind_of_element(const struct family_layers *layers, const struct json_value *element)
{
    const char *word = json_text(element);
    size_t kind = 0;
    if (!layers->words[0])
        return json_kind(element) == JSON_KIND_INT && json_int(element, 0) >= 0 && json_int(element, 0) < ARCH_KINDS
                   ? (size_t)json_int(element, 0)
                   : ARCH_KINDS;
    while (kind < ARCH_KINDS && !(word && strcmp(word, layers->words[kind]) == 0))
        kind++;
    return kind;
}

static enum err_code read_listed_kinds(struct arch *a, const struct source *s, const struct json_value *list,
                                       struct err *e)
{
    const struct family_layers *layers = s->family->layers;
    if (json_count(list) != a->layers)
        return source_refuse(s, ERR_FORMAT, layers->key, e, "%zu types for %zu layers", json_count(list), a->layers);
    for (size_t layer = 0; layer < a->layers; layer++) {
        const struct json_value *element = json_at(list, layer);
        size_t kind = kind_of_element(layers, element);
        if (kind == ARCH_KINDS)
            return source_refuse(s, ERR_UNSUPPORTED, layers->key, e,
                                 "\"%s\" of layer %zu is not supported; supported: %s, %s",
                                 json_text(element) ? json_text(element) : json_kind_name(element), layer,
                                 layers->words[0] ? layers->words[0] : "0", layers->words[0] ? layers->words[1] : "1");
        a->kind_of[layer] = (uint8_t)kind;
    }
    return ERR_OK;
}

static enum err_code read_flagged_kinds(struct arch *a, const struct source *s, const char *name, struct err *e)
{
    const struct gguf_key *list;
    if (gguf_get_array(&list, s->store->gguf, name, GGUF_FLAGS, e))
        return e->code;
    if (list->count != a->layers)
        return source_refuse(s, ERR_FORMAT, name, e, "%" PRIu64 " layers of %zu", list->count, a->layers);
    for (size_t layer = 0; layer < a->layers; layer++)
        a->kind_of[layer] = gguf_array_flag(list, layer);
    return ERR_OK;
}

static enum err_code read_kind_of(struct arch *a, const struct source *s, struct err *e)
{
    const struct layer_pattern p = a->pattern;
    const struct json_value *list = NULL;
    if (!p.mixed)
        a->kinds[1].window = 0;
    /* Where only some models of a family have windows, none has one whose size is null. */
    const bool windowless = !s->family->defaults.pattern.mixed && !a->kinds[1].window && source_is_null(s, window_key);
    if (s->store->kind == STORE_HF && json_get_value(&list, &s->json, s->family->layers->key, JSON_KIND_ARRAY, e))
        return e->code;
    if (list)
        return read_listed_kinds(a, s, list, e);
    char key[SOURCE_KEY_SIZE];
    const char *name = source_key(key, s, NULL, s->family->layers->gguf);
    const struct gguf_key *flags = s->store->kind == STORE_GGUF && name ? gguf_find(s->store->gguf, name) : NULL;
    if (flags && flags->type == GGUF_ARRAY)
        return read_flagged_kinds(a, s, name, e);
    for (size_t layer = 0; layer < a->layers; layer++)
        a->kind_of[layer] = p.mixed && !windowless && layer >= p.first &&
                            (p.full_every == 0 || (layer + 1) % p.full_every != 0);
    return ERR_OK;
}

/* Layers with a window that no key gives: transformers refuses to compute them. */
static enum err_code check_window(const struct arch *a, const struct source *s, struct err *e)
{
    const struct family_layers *layers = s->family->layers;
    if (s->store->kind != STORE_HF || a->kinds[1].window || !layers->words[1] ||
        strcmp(layers->words[1], "sliding_attention") != 0)
        return ERR_OK;
    for (size_t layer = 0; layer < a->layers; layer++)
        if (a->kind_of[layer] == 1)
            return source_refuse(s, ERR_FORMAT, layers->key, e,
                                 "layer %zu is of \"%s\", and there is no window: give the size as sliding_window (and "
                                 "use_sliding_window true, if it is there), or call the layer \"%s\"",
                                 layer, layers->words[1], layers->words[0]);
    return ERR_OK;
}

/* ---- sizes of single layers ---- */

/* Of one layer; 0: those of the record. */
struct sizes {
    size_t kv_heads, head_dim;
};

static enum err_code read_sizes_of(struct sizes *sizes, const struct source *s, const struct json_fields *whole,
                                   const struct json_member *m, struct err *e)
{
    static const char kv_heads_key[] = "num_key_value_heads", head_dim_key[] = "head_dim";
    struct json_fields layer = *whole;
    if (json_get_value(&layer.object, whole, m->key, JSON_KIND_OBJECT, e))
        return e->code;
    for (struct json_member of = json_first(layer.object); of.key; of = json_next(of))
        if (strcmp(of.key, kv_heads_key) != 0 && strcmp(of.key, head_dim_key) != 0)
            return source_refuse(s, ERR_UNSUPPORTED, whole->part, e,
                                 "%s of layer %s: only %s and %s may differ from layer to layer", of.key, m->key,
                                 kv_heads_key, head_dim_key);
    return json_get_size(&sizes->kv_heads, &layer, kv_heads_key, 0, e)
               ? e->code
               : json_get_size(&sizes->head_dim, &layer, head_dim_key, 0, e);
}

/* The layers of a kind have the same sizes. */
static enum err_code take_sizes(struct arch *a, const struct source *s, const struct sizes *sizes, const char *key,
                                struct err *e)
{
    size_t first[ARCH_KINDS] = {a->layers, a->layers};
    for (size_t layer = 0; layer < a->layers; layer++) {
        size_t kind = a->kind_of[layer];
        const struct sizes *own = &sizes[layer];
        if (first[kind] == a->layers) {
            first[kind] = layer;
            a->kinds[kind].kv_heads = own->kv_heads;
            a->kinds[kind].head_dim = own->head_dim;
        } else if (own->kv_heads != a->kinds[kind].kv_heads || own->head_dim != a->kinds[kind].head_dim) {
            return source_refuse(s, ERR_UNSUPPORTED, key, e,
                                 "layers %zu and %zu are of one type, but not of the same sizes", first[kind], layer);
        }
    }
    return ERR_OK;
}

static enum err_code read_json_sizes(struct arch *a, const struct source *s, const char *key, struct err *e)
{
    struct sizes sizes[LIMIT_LAYERS] = {0};
    struct json_fields object = s->json;
    if (json_get_value(&object.object, &s->json, key, JSON_KIND_OBJECT, e))
        return e->code;
    object.part = key;
    for (struct json_member m = json_first(object.object); m.key; m = json_next(m)) {
        char *end;
        size_t layer = strtoull(m.key, &end, 10);
        if (end == m.key || *end != '\0' || layer >= a->layers)
            return source_refuse(s, ERR_FORMAT, key, e, "%s is not the number of one of %zu layers", m.key, a->layers);
        if (read_sizes_of(&sizes[layer], s, &object, &m, e))
            return e->code;
    }
    return take_sizes(a, s, sizes, key, e);
}

/* A number for all layers, or a list. */
static enum err_code read_kv_heads(struct sizes *sizes, const struct arch *a, const struct source *s,
                                   const struct gguf_key *key, struct err *e)
{
    const struct gguf_key *list = NULL;
    uint64_t number = 0;
    if (key->type == GGUF_ARRAY ? gguf_get_array(&list, s->store->gguf, key->name, GGUF_INTEGERS, e)
                                : gguf_get_u64(&number, s->store->gguf, key->name, 0, e))
        return e->code;
    if (list && list->count != a->layers)
        return source_refuse(s, ERR_FORMAT, key->name, e, "%" PRIu64 " numbers for %zu layers", list->count, a->layers);
    for (size_t layer = 0; layer < a->layers; layer++) {
        int64_t heads = list ? gguf_array_int(list, layer) : (int64_t)number;
        if (heads < 1 || heads > INT32_MAX)
            return source_refuse(s, ERR_FORMAT, key->name, e, "%" PRId64 " of layer %zu is out of range", heads, layer);
        sizes[layer].kv_heads = (size_t)heads;
    }
    return ERR_OK;
}

/* Does the file have the matrix for the values of a layer? */
static bool has_values(const struct arch *a, const struct store *store, size_t layer)
{
    char name[ARCH_NAME_SIZE];
    struct arch_range in = arch_group(a->family, GROUP_ATTN_IN);
    while (in.first < in.end && arch_module(a, in.first)->rows != ROWS_VALUES)
        in.first++;
    arch_module_tensor(name, a, STORE_GGUF, layer, in.first, "weight");
    return store_find(store, name) != NULL;
}

static enum err_code read_gguf_sizes(struct arch *a, const struct source *s, struct err *e)
{
    char name[SOURCE_KEY_SIZE];
    struct sizes sizes[LIMIT_LAYERS] = {0};
    const struct gguf_key *key = gguf_find(s->store->gguf, source_key(name, s, NULL, s->family->layers->kv_heads_gguf));
    if (!key)
        return source_refuse(s, ERR_FORMAT, name, e, "this key is missing");
    if (read_kv_heads(sizes, a, s, key, e))
        return e->code;
    for (size_t layer = 0; layer < a->layers; layer++) {
        struct layer_kind *kind = &a->kinds[a->kind_of[layer]];
        sizes[layer].head_dim = kind->head_dim;
        kind->values_are_keys |= !has_values(a, s->store, layer);
    }
    a->kv_heads = sizes[0].kv_heads;
    return take_sizes(a, s, sizes, name, e);
}

static enum err_code read_sizes(struct arch *a, const struct source *s, struct err *e)
{
    const struct family_layers *layers = s->family->layers;
    if (s->store->kind == STORE_GGUF)
        return layers->kv_heads_gguf ? read_gguf_sizes(a, s, e) : ERR_OK;
    return layers->sizes && !source_is_missing(s, layers->sizes, NULL) ? read_json_sizes(a, s, layers->sizes, e)
                                                                      : ERR_OK;
}

enum err_code arch_read_kinds(struct arch *a, const struct source *s, struct err *e)
{
    if (!s->family->layers)
        return ERR_OK;
    if (read_kind_of(a, s, e))
        return e->code;
    if (a->pattern.ends_full)
        a->kind_of[a->layers - 1] = 0;
    return check_window(a, s, e) ? e->code : read_sizes(a, s, e);
}
