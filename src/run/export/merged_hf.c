#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/limits.h"
#include "base/str.h"
#include "io/json.h"
#include "io/store/safetensors.h"
#include "merge.h"
#include "part.h"
#include "run/export/export.h"

#define INDEX "model.safetensors.index.json"

/* One file of weights: the base's tensors in the base's order. */
struct shard {
    struct arena arena;
    const struct store_file *from;
    struct safetensors tensors;
};

/* What is written in place of a tensor. */
static const struct store_tensor *find(const struct merge *m, const struct safetensors_tensor *t)
{
    return store_find(m->job->store, t->name);
}

static uint64_t saved_bytes(const struct merge *m, const struct safetensors_tensor *t)
{
    const struct store_tensor *found = find(m, t);
    const enum dtype type = found ? merge_type(m, found) : DTYPE_COUNT;
    return !found || type == found->type ? t->end - t->begin : t->elements * dtype_info(type)->block_bytes;
}

static enum err_code append_tensor(struct str *out, const struct merge *m, const struct safetensors_tensor *t,
                                   uint64_t *at, struct err *e)
{
    const struct store_tensor *found = find(m, t);
    const char *type = found ? dtype_info(merge_type(m, found))->safetensors : t->type;
    const uint64_t begin = *at;
    *at += saved_bytes(m, t);
    return safetensors_put_tensor(out, t->name, type, t->shape, t->dims, begin, *at, e);
}

/* The header, with the base's own metadata. */
static enum err_code append_header(struct str *out, const struct merge *m, const struct shard *s,
                                   const struct json_value *metadata, struct err *e)
{
    uint64_t at = 0;
    if (safetensors_put_begin(out, metadata, NULL, 0, e))
        return e->code;
    for (size_t i = 0; i < s->tensors.count; i++)
        if (append_tensor(out, m, &s->tensors.tensors[i], &at, e))
            return e->code;
    return safetensors_put_end(out, e);
}

static enum err_code put_header(const struct file_out *f, const struct merge *m, const struct shard *s, struct err *e)
{
    struct str text = {0};
    struct json *doc;
    const struct file_map *map = &s->from->map;
    const size_t prefix = sizeof(uint64_t);
    if (json_open_bytes(&doc, (const char *)map->data + prefix, s->tensors.data_offset - prefix, s->from->path, e))
        return e->code;
    enum err_code code = append_header(&text, m, s, json_get(json_root(doc), "__metadata__"), e);
    if (!code)
        code = file_out_put(f, text.data, text.length, e);
    json_close(doc);
    str_release(&text);
    return code;
}

static enum err_code put_tensors(const struct file_out *f, const struct merge *m, const struct shard *s, struct err *e)
{
    const struct file_map *map = &s->from->map;
    enum err_code code = put_header(f, m, s, e);
    for (size_t i = 0; !code && i < s->tensors.count; i++) {
        const struct safetensors_tensor *t = &s->tensors.tensors[i];
        const struct store_tensor *found = find(m, t);
        code = found ? merge_put(f, m, found, e)
                     : merge_copy(f, map, map->data + s->tensors.data_offset + t->begin, t->end - t->begin, e);
    }
    return code;
}

static enum err_code write_shard(const struct merge *m, const char *folder, const struct store_file *from,
                                 uint64_t *bytes, struct err *e)
{
    char path[PATH_MAX];
    struct shard s = {.from = from};
    struct file_out f;
    enum err_code code = safetensors_parse(&s.tensors, &from->map, from->path, &s.arena, e);
    if (!code)
        code = file_join(path, sizeof path, folder, from->name, e);
    if (!code && !(code = file_out_create(&f, path, e)))
        code = file_out_finish(&f, put_tensors(&f, m, &s, e), e);
    for (size_t i = 0; !code && i < s.tensors.count; i++)
        *bytes += saved_bytes(m, &s.tensors.tensors[i]);
    arena_release(&s.arena);
    return code;
}

static enum err_code write_text(const char *folder, const char *name, const struct str *text, struct err *e)
{
    char path[PATH_MAX];
    struct file_out f;
    if (file_join(path, sizeof path, folder, name, e) || file_out_create(&f, path, e))
        return e->code;
    return file_out_finish(&f, file_out_put(&f, text->data, text->length, e), e);
}

/* The same tensors in the same shards, which may be of another size. */
static enum err_code write_index(const char *folder, const struct store_file *from, uint64_t bytes, struct err *e)
{
    struct str text = {0};
    struct json *doc;
    if (json_open_map(&doc, &from->map, from->path, LIMIT_MODEL_JSON, e))
        return e->code;
    enum err_code code = str_appendf(&text, e, "{\n  \"metadata\": {\n    \"total_size\": %" PRIu64, bytes);
    const struct json_value *metadata = json_get(json_root(doc), "metadata");
    for (struct json_member k = json_first(metadata); !code && k.key; k = json_next(k))
        if (strcmp(k.key, "total_size") != 0 &&
            (str_appendf(&text, e, ",\n    ") || json_append_string(&text, k.key, strlen(k.key), e) ||
             str_appendf(&text, e, ": ") || json_append_value(&text, k.value, e)))
            code = e->code;
    if (!code && (str_appendf(&text, e, "\n  },\n  \"weight_map\": ") ||
                  json_append_value(&text, json_get(json_root(doc), "weight_map"), e) ||
                  str_append(&text, "}\n", 2, e)))
        code = e->code;
    if (!code)
        code = write_text(folder, INDEX, &text, e);
    json_close(doc);
    str_release(&text);
    return code;
}

/* Is this one of the files that make a model work, other than its weights? */
static bool is_text_of_model(const char *name)
{
    static const char *const endings[] = {".json", ".jinja", ".model", ".txt", ".tiktoken", ".py", NULL};
    static const char *const terms[] = {"LICENSE", "NOTICE", "USE_POLICY", NULL};
    bool is = str_starts_with_any(name, terms);
    for (const char *const *end = endings; *end; end++)
        is = is || str_ends_with(name, *end);
    /* The index of other files of weights, an adapter, and the record of the base's training are no part of it. */
    return is && name[0] != '.' && !str_ends_with(name, ".index.json") && strncmp(name, "adapter_", 8) != 0 &&
           strcmp(name, EXPORT_STATE) != 0;
}

/* transformers loads a model in the type that its configuration names. */
static enum err_code name_type(struct str *text, enum option_save_dtype as, struct err *e)
{
    static const char *const keys[] = {"\"dtype\":", "\"torch_dtype\":"};
    static const char *const types[] = {[SAVE_F32] = "float32", [SAVE_F16] = "float16", [SAVE_BF16] = "bfloat16"};
    struct str out = {0};
    enum err_code code = ERR_OK;
    const char *at = text->data;
    for (const char *next; !code && *at; at = next) {
        size_t key = 0;
        for (size_t i = 0; i < 2; i++)
            key = !strncmp(at, keys[i], strlen(keys[i])) ? strlen(keys[i]) : key;
        next = at + (key ? key : 1);
        code = str_append(&out, at, (size_t)(next - at), e);
        const char *value = next + strspn(next, " \t\r\n");
        const char *end = key && *value == '"' ? strchr(value + 1, '"') : NULL;
        if (!code && end) {
            code = str_appendf(&out, e, " \"%s\"", types[as]);
            next = end + 1;
        }
    }
    str_release(text);
    *text = out;
    return code;
}

static enum err_code copy_text(const struct merge *m, const char *folder, const char *name, struct err *e)
{
    const enum option_save_dtype as = m->job->save_dtype;
    const bool names_type = as != SAVE_OWN && !strcmp(name, "config.json");
    char path[PATH_MAX];
    struct str text = {0};
    enum err_code code = file_join(path, sizeof path, m->job->store->path, name, e);
    if (!code)
        code = file_read_all(&text, path, LIMIT_TOKENIZER_JSON, e);
    if (!code && names_type && text.length)
        code = name_type(&text, as, e);
    if (!code)
        code = write_text(folder, name, &text, e);
    str_release(&text);
    return code;
}

/* What is beside the weights. */
static enum err_code copy_texts(const struct merge *m, const char *folder, struct err *e)
{
    char path[PATH_MAX];
    const char *base = m->job->store->path;
    DIR *list = opendir(base);
    if (!list)
        return err_set_errno(e, errno, "cannot list %s", base);
    enum err_code code = ERR_OK;
    for (struct dirent *d; !code && (d = readdir(list));)
        if (is_text_of_model(d->d_name) && !(code = file_join(path, sizeof path, base, d->d_name, e)) &&
            !file_is_folder(path))
            code = copy_text(m, folder, d->d_name, e);
    closedir(list);
    const struct store_file *tools = store_text(m->job->store, STORE_TOOL_TEMPLATE);
    if (code || !tools)
        return code;
    code = file_join(path, sizeof path, folder, STORE_TOOL_TEMPLATE, e);
    if (!code) {
        file_cut_last_part(path);
        code = file_make_folders(path, e);
    }
    return code ? code : copy_text(m, folder, STORE_TOOL_TEMPLATE, e);
}

static enum err_code write_card(const struct merge *m, const char *folder, struct err *e)
{
    struct str text = {0};
    enum err_code code = export_card(&text, m->job, EXPORT_MERGED, e);
    if (!code)
        code = write_text(folder, EXPORT_CARD, &text, e);
    str_release(&text);
    return code;
}

static enum err_code write_files(const struct merge *m, const char *folder, struct err *e)
{
    const struct store *s = m->job->store;
    const struct store_file *index = store_text(s, INDEX);
    uint64_t bytes = 0;
    if (copy_texts(m, folder, e) || write_card(m, folder, e))
        return e->code;
    for (size_t i = 0; i < s->file_count; i++)
        if (write_shard(m, folder, &s->files[i], &bytes, e))
            return e->code;
    return index ? write_index(folder, index, bytes, e) : ERR_OK;
}

enum err_code merge_write_hf(const struct merge *m, struct err *e)
{
    struct part p;
    enum err_code code = part_open(&p, m->job->output, e);
    return part_finish(&p, code ? code : write_files(m, p.inside, e), e);
}
