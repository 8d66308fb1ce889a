#include "io/store/store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/format.h"
#include "base/limits.h"
#include "base/str.h"
#include "io/store/safetensors.h"

#define PATH_SIZE  4096
#define INDEX_NAME "model.safetensors.index.json"

static int compare_names(const void *a, const void *b)
{
    const struct store_tensor *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static int compare_strings(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    return strcmp(*x, *y);
}

static const struct store_file *find_file(const struct store_file *files, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(files[i].name, name) == 0)
            return &files[i];
    return NULL;
}

/* ---- Where files come from: disk or image ---- */

static bool is_folder(const struct store *s)
{
    return s->image ? s->image->is_folder : file_is_folder(s->path);
}

static bool is_there(const struct store *s, const struct store_file *f)
{
    return s->image ? find_file(s->image->files, s->image->count, f->name) != NULL : file_exists(f->path);
}

static enum err_code map_file(struct store_file *f, const struct store *s, struct err *e)
{
    if (!s->image)
        return file_map_open(&f->map, f->path, e);
    const struct store_file *found = find_file(s->image->files, s->image->count, f->name);
    if (!found)
        return err_set(e, ERR_IO, "%s is not in the image of its model", f->path);
    f->map = found->map;
    return ERR_OK;
}

/* The path of a file in the model's folder. */
static enum err_code name_file(struct store_file *f, struct store *s, const char *name, struct err *e)
{
    char path[PATH_SIZE];
    enum err_code code = file_join(path, sizeof path, s->path, name, e);
    if (code)
        return code;
    *f = (struct store_file){.name = name, .path = arena_strndup(&s->arena, path, strlen(path), e)};
    return f->path ? ERR_OK : ERR_MEMORY;
}

/* Maps the weight files s->files[0..count). */
static enum err_code map_files(struct store *s, size_t count, struct err *e)
{
    for (; s->file_count < count; s->file_count++)
        if (map_file(&s->files[s->file_count], s, e))
            return e->code;
    return ERR_OK;
}

/* A link to nothing is not a file that is left out: a snapshot of a hub's, say, that was not fetched as a whole. */
static enum err_code refuse_dangling(const struct store *s, const struct store_file *f, struct err *e)
{
    struct stat st;
    if (s->image || lstat(f->path, &st) || !S_ISLNK(st.st_mode))
        return ERR_OK;
    return err_set(e, ERR_IO, "%s is a link to a file that is not there: fetch the model again", f->path);
}

/* Maps a text of the folder, where it is there. */
static enum err_code open_text(struct store *s, const char *name, struct err *e)
{
    struct store_file *f = &s->texts[s->text_count];
    if (name_file(f, s, name, e))
        return e->code;
    if (!is_there(s, f))
        return refuse_dangling(s, f, e);
    if (map_file(f, s, e))
        return e->code;
    s->text_count++;
    return ERR_OK;
}

/* ---- Tensors ---- */

/* Sorts `all` by name, refuses names that are there twice, and divides it into tensors and unread ones. */
static enum err_code make_table(struct store *s, struct store_tensor *all, size_t count, struct err *e)
{
    qsort(all, count, sizeof *all, compare_names);
    for (size_t i = 1; i < count; i++)
        if (strcmp(all[i - 1].name, all[i].name) == 0)
            return err_set(e, ERR_FORMAT, "%s: tensor %s is there twice (the other one in %s)", all[i].file,
                           all[i].name, all[i - 1].file);
    s->tensors = arena_alloc(&s->arena, count, sizeof *all, "tensor table", e);
    s->unread = s->tensors ? arena_alloc(&s->arena, count, sizeof *all, "tensor table", e) : NULL;
    if (!s->unread)
        return e->code;
    for (size_t i = 0; i < count; i++)
        if (all[i].unreadable)
            s->unread[s->unread_count++] = all[i];
        else
            s->tensors[s->tensor_count++] = all[i];
    return ERR_OK;
}

static const char *make_text(struct store *s, struct err *e, const char *word, const char *value)
{
    size_t length = strlen(word) + strlen(value) + 1;
    char *text = arena_alloc(&s->arena, length, 1, "a tensor's type", e);
    if (text)
        strcat(strcpy(text, word), value);
    return text;
}

/* Old writers did not align the data, and kernels read it in place: a tensor that stands at an odd address
 * moves. */
static enum err_code align_data(struct store *s, struct store_tensor *t, struct err *e)
{
    if ((uintptr_t)t->data % dtype_info(t->type)->block_bytes == 0)
        return ERR_OK;
    void *copy = arena_alloc(&s->arena, t->bytes, 1, t->name, e);
    if (!copy)
        return e->code;
    memcpy(copy, t->data, t->bytes);
    t->data = copy;
    return ERR_OK;
}

static enum err_code convert_safetensors(struct store_tensor *t, struct store *s,
                                         const struct safetensors_tensor *from, const unsigned char *data,
                                         struct err *e)
{
    t->name = from->name;
    t->type = dtype_from_safetensors(from->type);
    if (t->type == DTYPE_COUNT) {
        t->unreadable = make_text(s, e, "type ", from->type);
        return t->unreadable ? ERR_OK : e->code;
    }
    if (dtype_bytes(&t->bytes, t->type, from->elements, e))
        return err_wrap(e, "%s: tensor %s", t->file, t->name);
    if (t->bytes != from->end - from->begin)
        return err_set(e, ERR_FORMAT,
                       "%s: tensor %s has %" PRIu64 " bytes; %" PRIu64 " elements of type %s take %zu",
                       t->file, t->name, from->end - from->begin, from->elements, from->type, t->bytes);
    if (from->dims > STORE_MAX_DIMS) {
        t->unreadable = "too many dimensions";
        return ERR_OK;
    }
    t->dims = from->dims;
    memcpy(t->shape, from->shape, sizeof t->shape);
    t->elements = from->elements;
    t->data = data + from->begin;
    return align_data(s, t, e);
}

/* Builds the table from the mapped safetensors files. */
static enum err_code load_safetensors(struct store *s, struct err *e)
{
    struct safetensors *headers = arena_alloc(&s->arena, s->file_count, sizeof *headers, s->path, e);
    s->headers = headers;
    if (!headers)
        return e->code;
    size_t count = 0;
    for (size_t i = 0; i < s->file_count; i++) {
        if (safetensors_parse(&headers[i], &s->files[i].map, s->files[i].path, &s->arena, e))
            return e->code;
        count += headers[i].count;
    }
    struct store_tensor *all = arena_alloc(&s->arena, count, sizeof *all, "tensor table", e);
    if (!all)
        return e->code;
    size_t at = 0;
    for (size_t i = 0; i < s->file_count; i++)
        for (size_t j = 0; j < headers[i].count; j++, at++) {
            all[at].file = s->files[i].path;
            if (convert_safetensors(&all[at], s, &headers[i].tensors[j],
                                    s->files[i].map.data + headers[i].data_offset, e))
                return e->code;
        }
    return make_table(s, all, count, e);
}

/* The shards that an index names, sorted, each once. */
static enum err_code list_shards(struct store *s, size_t *count, const struct json_value *weight_map,
                                 const char *index_path, struct err *e)
{
    *count = 0;
    if (json_count(weight_map) == 0)
        return err_set(e, ERR_FORMAT, "%s: its weight_map names no tensor", index_path);
    const char **names = arena_alloc(&s->arena, json_count(weight_map), sizeof *names, "shards", e);
    s->files = arena_alloc(&s->arena, json_count(weight_map), sizeof *s->files, "shards", e);
    if (!names || !s->files)
        return e->code;
    size_t named = 0;
    for (struct json_member m = json_first(weight_map); m.key; m = json_next(m)) {
        const char *name = json_text(m.value);
        if (!name || !*name || *name == '.' || strchr(name, '/'))
            return err_set(e, ERR_FORMAT, "%s: tensor %s: must be the name of a file in the same folder",
                           index_path, m.key);
        names[named++] = name;
    }
    qsort(names, named, sizeof *names, compare_strings);
    for (size_t i = 0; i < named; i++) {
        if (i > 0 && strcmp(names[i], names[i - 1]) == 0)
            continue;
        const char *name = arena_strndup(&s->arena, names[i], strlen(names[i]), e);
        struct store_file *f = &s->files[(*count)++];
        if (!name || name_file(f, s, name, e))
            return e->code;
        if (!is_there(s, f))
            return err_set(e, ERR_FORMAT, "%s: names the shard %s, which is missing", index_path, f->path);
    }
    if (*count > LIMIT_SHARDS)
        return err_set(e, ERR_FORMAT, "%s: names %zu files; at most %d are read", index_path, *count,
                       LIMIT_SHARDS);
    return ERR_OK;
}

static const struct store_tensor *find_in(const struct store_tensor *table, size_t count, const char *name)
{
    struct store_tensor key = {.name = name};
    return count ? bsearch(&key, table, count, sizeof *table, compare_names) : NULL;
}

static enum err_code check_index(const struct store *s, const struct json_value *weight_map,
                                 const char *index_path, struct err *e)
{
    for (struct json_member m = json_first(weight_map); m.key; m = json_next(m)) {
        const struct store_tensor *t = find_in(s->tensors, s->tensor_count, m.key);
        if (!t)
            t = find_in(s->unread, s->unread_count, m.key);
        if (!t || strcmp(strrchr(t->file, '/') + 1, json_text(m.value)) != 0)
            return err_set(e, ERR_FORMAT, "%s: names tensor %s in %s, which does not hold it", index_path,
                           m.key, json_text(m.value));
    }
    return ERR_OK;
}

static enum err_code open_shards(struct store *s, const struct store_file *index, struct err *e)
{
    struct json *doc;
    size_t count;
    if (json_open_map(&doc, &index->map, index->path, LIMIT_MODEL_JSON, e))
        return e->code;
    const struct json_fields f = {.object = json_root(doc), .file = index->path};
    const struct json_value *weight_map;
    enum err_code code = json_need_value(&weight_map, &f, "weight_map", JSON_KIND_OBJECT, e);
    if (!code)
        code = list_shards(s, &count, weight_map, index->path, e);
    if (!code)
        code = map_files(s, count, e);
    if (!code)
        code = load_safetensors(s, e);
    if (!code)
        code = check_index(s, weight_map, index->path, e);
    json_close(doc);
    return code;
}

static enum err_code open_one_file(struct store *s, const struct store_file *f, struct err *e)
{
    s->files = arena_alloc(&s->arena, 1, sizeof *s->files, f->path, e);
    if (!s->files)
        return e->code;
    s->files[0] = *f;
    return map_files(s, 1, e);
}

/* A JSON object of the model folder, where it is there. */
static enum err_code open_config(struct json **out, struct store *s, const char *name, struct err *e)
{
    const struct store_file *f = store_text(s, name);
    if (!f)
        return ERR_OK;
    if (json_open_map(out, &f->map, f->path, LIMIT_MODEL_JSON, e))
        return e->code;
    if (json_kind(json_root(*out)) != JSON_KIND_OBJECT)
        return err_set(e, ERR_FORMAT, "%s: must be a JSON object, not %s", f->path,
                       json_kind_name(json_root(*out)));
    return ERR_OK;
}

static enum err_code refuse_folder(struct store *s, struct err *e)
{
    static const char *const pickles[] = {"pytorch_model.bin", "pytorch_model.bin.index.json"};
    for (size_t i = 0; i < sizeof pickles / sizeof *pickles; i++) {
        struct store_file pickle;
        if (name_file(&pickle, s, pickles[i], e))
            return e->code;
        if (is_there(s, &pickle))
            return err_set(
                e, ERR_UNSUPPORTED,
                "%s: pickled weights are not read here (they can run code); save the model as safetensors",
                pickle.path);
    }
    return err_set(e, ERR_FORMAT, "%s has neither model.safetensors nor %s", s->path, INDEX_NAME);
}

static enum err_code open_folder(struct store *s, struct err *e)
{
    static const char *const texts[] = {"config.json", "generation_config.json", "tokenizer_config.json",
                                        "tokenizer.json", "chat_template.jinja", STORE_TOOL_TEMPLATE,
                                        "special_tokens_map.json", "added_tokens.json"};
    struct store_file single;
    s->kind = STORE_HF;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (open_text(s, texts[i], e))
            return e->code;
    if (!store_text(s, "config.json"))
        return err_set(
            e, ERR_FORMAT,
            "%s has no config.json: not a Hugging Face model folder (for a GGUF model give the file itself)",
            s->path);
    if (open_config(&s->config, s, "config.json", e) ||
        open_config(&s->generation_config, s, "generation_config.json", e) ||
        open_config(&s->tokenizer_config, s, "tokenizer_config.json", e) ||
        name_file(&single, s, "model.safetensors", e))
        return e->code;
    if (is_there(s, &single))
        return open_one_file(s, &single, e) ? e->code : load_safetensors(s, e);
    if (open_text(s, INDEX_NAME, e))
        return e->code;
    const struct store_file *index = store_text(s, INDEX_NAME);
    return index ? open_shards(s, index, e) : refuse_folder(s, e);
}

/* Tensors lie one after the other, each where the one before it ends, rounded up to the file's alignment: so says
 * ggml's own reader, and a tensor whose type or shape is not the one that was written moves all that follow. `at` is
 * where this one should be, and becomes where the next should. */
static enum err_code place_gguf(uint64_t *at, struct store_tensor *t, const struct store *s, uint64_t offset,
                                struct err *e)
{
    const struct gguf *g = s->gguf;
    uint64_t begin, end;
    if (offset != *at)
        return err_set(e, ERR_FORMAT,
                       "%s: tensor %s is at byte %" PRIu64 " of the data, but should be at %" PRIu64
                       ", where the tensors before it end: a type, a shape or a place is damaged",
                       t->file, t->name, offset, *at);
    if (__builtin_add_overflow(g->data_offset, offset, &begin) ||
        __builtin_add_overflow(begin, t->bytes, &end) || end > s->files[0].map.size)
        return err_set(e, ERR_FORMAT,
                       "%s: tensor %s of %zu bytes at offset %" PRIu64
                       " runs past the end of the file: truncated or damaged",
                       t->file, t->name, t->bytes, offset);
    t->data = s->files[0].map.data + begin;
    *at = (offset + t->bytes + g->alignment - 1) & ~(g->alignment - 1);
    return ERR_OK;
}

static enum err_code convert_gguf(struct store_tensor *t, const struct store *s,
                                  const struct gguf_tensor *from, struct err *e)
{
    t->name = from->name;
    t->file = s->files[0].path;
    t->type = dtype_from_ggml(from->type);
    if (t->type == DTYPE_COUNT)
        return err_set(e, ERR_UNSUPPORTED,
                       "%s: tensor %s has type %s (number %" PRIu32 "), which is not read here", t->file,
                       t->name, dtype_ggml_name(from->type), from->type);
    if (from->ne[0] % dtype_info(t->type)->block_elements != 0)
        return err_set(e, ERR_FORMAT, "%s: tensor %s: rows of %" PRIu64 " numbers are not whole blocks of %s",
                       t->file, t->name, from->ne[0], dtype_info(t->type)->name);
    t->dims = (int)from->dims;
    t->elements = 1;
    for (int i = 0; i < t->dims; i++) {
        t->shape[i] = from->ne[t->dims - 1 - i];
        t->elements *= t->shape[i];
    }
    if (dtype_bytes(&t->bytes, t->type, t->elements, e))
        return err_wrap(e, "%s: tensor %s", t->file, t->name);
    return ERR_OK;
}

static enum err_code open_gguf(struct store *s, struct err *e)
{
    uint64_t splits;
    s->kind = STORE_GGUF;
    if (gguf_parse(&s->gguf, &s->files[0].map, s->path, &s->arena, e) ||
        gguf_get_u64(&splits, s->gguf, "split.count", 1, e))
        return e->code;
    if (splits > 1)
        return err_set(e, ERR_UNSUPPORTED,
                       "%s is one of %" PRIu64
                       " parts of a model; merge them first (llama-gguf-split --merge)",
                       s->path, splits);
    size_t count = s->gguf->tensor_count;
    struct store_tensor *all = arena_alloc(&s->arena, count, sizeof *all, "tensor table", e);
    if (!all)
        return e->code;
    uint64_t at = 0;
    for (size_t i = 0; i < count; i++)
        if (convert_gguf(&all[i], s, &s->gguf->tensors[i], e) ||
            place_gguf(&at, &all[i], s, s->gguf->tensors[i].offset, e))
            return e->code;
    if (count && s->files[0].map.size - s->gguf->data_offset > at)
        return err_set(e, ERR_FORMAT,
                       "%s: the file goes on after its last tensor, %s, which should end at byte %" PRIu64
                       " of the data: its type or shape is damaged, or something was appended",
                       s->path, all[count - 1].name, at);
    return make_table(s, all, count, e);
}

/* A model that is one file, or tensors without one. */
static enum err_code open_itself(struct store *s, struct err *e)
{
    const char *slash = strrchr(s->path, '/'), *name = slash ? slash + 1 : s->path;
    if (s->image && s->image->count)
        name = s->image->files[0].name;
    return open_one_file(s, &(struct store_file){.name = name, .path = s->path}, e);
}

static enum err_code open_file(struct store *s, struct err *e)
{
    if (open_itself(s, e))
        return e->code;
    const struct file_map *map = &s->files[0].map;
    if (format_is(FORMAT_GGUF, map->data, map->size))
        return open_gguf(s, e);
    if (format_is(FORMAT_SAFETENSORS, map->data, map->size))
        return err_set(e, ERR_USAGE, "%s: give the model's folder, which has its config.json too", s->path);
    if (format_expect(FORMAT_GGUF, map->data, map->size, s->path, e))
        return err_wrap(e, "neither a GGUF file nor a model folder");
    return err_set(e, ERR_FORMAT, "%s is neither a GGUF file nor a model folder", s->path);
}

static enum err_code start(struct store *s, const char *path, const struct store_image *image, struct err *e)
{
    size_t length = strlen(path);
    *s = (struct store){.image = image};
    while (length > 1 && path[length - 1] == '/')
        length--;
    s->path = arena_strndup(&s->arena, path, length, e);
    return s->path ? ERR_OK : e->code;
}

enum err_code store_open_image(struct store *s, const char *path, const struct store_image *image,
                               struct err *e)
{
    enum err_code code = start(s, path, image, e);
    if (!code && !image && access(s->path, F_OK) && errno == ENOENT)
        code = err_set(e, ERR_IO,
                       "%s: no such file or folder; a model is a Hugging Face folder or a .gguf file, and "
                       "scripts/fetch_model.sh OWNER/NAME fetches one from the hub and prints its path",
                       s->path);
    if (!code)
        code = is_folder(s) ? open_folder(s, e) : open_file(s, e);
    if (code)
        store_close(s);
    return code;
}

enum err_code store_open(struct store *s, const char *path, struct err *e)
{
    return store_open_image(s, path, NULL, e);
}

enum err_code store_open_safetensors(struct store *s, const char *file, struct err *e)
{
    enum err_code code = start(s, file, NULL, e);
    if (!code)
        code = open_itself(s, e);
    if (!code)
        code = load_safetensors(s, e);
    if (code)
        store_close(s);
    return code;
}

void store_close(struct store *s)
{
    json_close(s->config);
    json_close(s->generation_config);
    json_close(s->tokenizer_config);
    for (size_t i = 0; i < s->text_count && !s->image; i++)
        file_map_close(&s->texts[i].map);
    for (size_t i = 0; i < s->file_count && !s->image; i++)
        file_map_close(&s->files[i].map);
    arena_release(&s->arena);
    *s = (struct store){0};
}

const struct store_file *store_text(const struct store *s, const char *name)
{
    return find_file(s->texts, s->text_count, name);
}

const struct store_tensor *store_find(const struct store *s, const char *name)
{
    return find_in(s->tensors, s->tensor_count, name);
}

enum err_code store_require(const struct store_tensor **t, const struct store *s, const char *name,
                            struct err *e)
{
    *t = store_find(s, name);
    if (*t)
        return ERR_OK;
    const struct store_tensor *unread = find_in(s->unread, s->unread_count, name);
    if (unread)
        return err_set(e, ERR_UNSUPPORTED, "%s: tensor %s cannot be read here: %s", unread->file, name,
                       unread->unreadable);
    return err_set(e, ERR_FORMAT, "%s: tensor %s is missing", s->path, name);
}

enum err_code store_note(const char **text, const struct store *s, const char *key, struct arena *a, struct err *e)
{
    struct gguf_string value = {0};
    *text = NULL;
    if (s->gguf && gguf_get_string(&value, s->gguf, key, e))
        return e->code;
    const struct safetensors *only = s->headers && s->file_count == 1 ? s->headers : NULL;
    for (size_t i = 0; only && i < only->note_count; i++)
        if (strcmp(only->notes[i].key, key) == 0)
            value = (struct gguf_string){only->notes[i].text, strlen(only->notes[i].text)};
    if (value.data && !(*text = arena_strndup(a, value.data, value.length, e)))
        return e->code;
    return ERR_OK;
}

void store_forget(const struct store *s, const struct store_tensor *t)
{
    const unsigned char *begin = t->data;
    for (size_t i = 0; i < s->file_count; i++) {
        const struct file_map *map = &s->files[i].map;
        if (begin < map->data || begin + t->bytes > map->data + map->size)
            continue; /* or in no file: it was moved */
        if (!s->image)
            file_map_drop(map, t->data, t->bytes);
        else if (s->image->owned)
            file_memory_free(t->data, t->bytes);
    }
}
