#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/stop.h"
#include "base/str.h"
#include "io/json.h"
#include "io/store/gguf.h"
#include "io/store/store.h"

/* Keys of config.json that say how a model was written, or what other programs do with it, and not what it computes. */
static const char *const silent_keys[] = {"_attn_implementation",
                                          "_attn_implementation_autoset",
                                          "_name_or_path",
                                          "attn_implementation",
                                          "auto_map",
                                          "bos_token_id",
                                          "dtype",
                                          "eos_token_id",
                                          "id2label",
                                          "initializer_range",
                                          "label2id",
                                          "name_or_path",
                                          "output_attentions",
                                          "output_hidden_states",
                                          "pad_token_id",
                                          "return_dict",
                                          "torch_dtype",
                                          "transformers_version",
                                          "use_cache"};

/* Keys whose null says something else than leaving them out, which means a default: no window, say, and one of 4096. */
static const char *const null_keys[] = {"attn_logit_softcapping",  "final_logit_softcapping", "head_dim",
                                        "max_window_layers",       "num_key_value_heads",     "sliding_window",
                                        "sliding_window_pattern"};

static bool is_among(const char *key, const char *const *keys, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(keys[i], key) == 0)
            return true;
    return false;
}

static bool enters_hash(const struct json_member *m)
{
    if (is_among(m->key, silent_keys, sizeof silent_keys / sizeof *silent_keys))
        return false;
    return !json_is_absent(m->value) || is_among(m->key, null_keys, sizeof null_keys / sizeof *null_keys);
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp((*(const struct gguf_key *const *)a)->name, (*(const struct gguf_key *const *)b)->name);
}

/* Numbers of any width as they count. */
static enum err_code append_gguf_value(struct str *out, const struct gguf_key *k, struct err *e)
{
    enum err_code code = str_append(out, k->type == GGUF_ARRAY ? "[" : "=", 1, e);
    for (uint64_t i = 0; i < k->count && !code; i++) {
        if (k->strings)
            code = json_append_string(out, k->strings[i].data, k->strings[i].length, e);
        else if (k->element_type == GGUF_BOOL)
            code = str_appendf(out, e, "%d,", k->value[i] != 0);
        else
            code = str_appendf(out, e, "%.17g,", gguf_array_real(k, i));
    }
    return code ? code : str_append(out, ";", 1, e);
}

/* The architecture and its own keys: not the file's name, author and quantiser, nor the vocabulary, which is hashed
 * with the tokenizer. */
static enum err_code append_gguf(struct str *out, const struct gguf *g, struct err *e)
{
    struct gguf_string name;
    if (gguf_get_string(&name, g, "general.architecture", e))
        return e->code;
    const struct gguf_key **keys = calloc(g->key_count + 1, sizeof *keys);
    if (!keys)
        return err_set(e, ERR_MEMORY, "no memory for %zu keys", g->key_count);
    size_t count = 0;
    for (size_t i = 0; i < g->key_count; i++) {
        const char *key = g->keys[i].name;
        if (name.length && strncmp(key, name.data, name.length) == 0 && key[name.length] == '.')
            keys[count++] = &g->keys[i];
    }
    qsort(keys, count, sizeof *keys, compare_keys);
    enum err_code code = name.length ? str_append(out, name.data, name.length, e) : ERR_OK;
    for (size_t i = 0; i < count && !code; i++) {
        code = str_appendf(out, e, "\n%s", keys[i]->name);
        if (!code)
            code = append_gguf_value(out, keys[i], e);
    }
    free(keys);
    return code;
}

/* A piece at a time, so that a large tensor never counts as this process's memory as a whole. */
static enum err_code hash_tensor(struct file_hasher *hasher, const struct store *s, const struct store_tensor *t,
                                 struct err *e)
{
    const size_t piece = (size_t)16 << 20;
    const unsigned char *data = t->data;
    for (size_t at = 0, bytes; at < t->bytes; at += bytes) {
        bytes = t->bytes - at < piece ? t->bytes - at : piece;
        if (stop_check("the model was read", e))
            return e->code;
        file_hasher_add(hasher, data + at, bytes);
        for (size_t i = 0; !s->image && i < s->file_count; i++) {
            const struct file_map *map = &s->files[i].map;
            if (data >= map->data && data + t->bytes <= map->data + map->size)
                file_map_drop(map, data + at, bytes);
        }
    }
    return ERR_OK;
}

enum err_code store_hash(struct store *s, const char *const *without, struct err *e)
{
    if (s->hash[0])
        return ERR_OK;
    struct str text = {0};
    struct file_hasher *hasher = file_hasher_open(e);
    if (!hasher)
        return e->code;
    enum err_code code = ERR_OK;
    if (s->config)
        code = json_append_canonical(&text, json_root(s->config), enters_hash, e);
    if (!code && s->gguf)
        code = append_gguf(&text, s->gguf, e);
    if (!code)
        file_hasher_add(hasher, text.data, text.length);
    for (size_t i = 0; i < s->tensor_count && !code; i++) {
        const struct store_tensor *t = &s->tensors[i];
        if (without && str_starts_with_any(t->name, without))
            continue;
        str_clear(&text);
        code = str_appendf(&text, e, "\n%s %s", t->name, dtype_info(t->type)->name);
        for (int d = 0; d < t->dims && !code; d++)
            code = str_appendf(&text, e, " %" PRIu64, t->shape[d]);
        if (!code) {
            file_hasher_add(hasher, text.data, text.length);
            code = hash_tensor(hasher, s, t, e);
        }
    }
    str_release(&text);
    char hash[FILE_HASH_SIZE];
    file_hasher_finish(hasher, hash);
    if (!code)
        memcpy(s->hash, hash, sizeof hash);
    return code;
}
