#include "io/store/safetensors.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/format.h"
#include "io/json.h"

#define LENGTH_BYTES 8

/* A whole number that is not negative. */
static bool read_count(uint64_t *out, const struct json_value *v)
{
    int64_t value = json_int(v, -1);
    *out = (uint64_t)value;
    return value >= 0;
}

static enum err_code read_shape(struct safetensors_tensor *t, const struct json_value *shape,
                                const char *path, struct err *e)
{
    if (json_count(shape) > LIMIT_SAFETENSORS_DIMS)
        return err_set(e, ERR_FORMAT, "%s: tensor %s: its shape is not a list of at most %d numbers", path,
                       t->name, LIMIT_SAFETENSORS_DIMS);
    t->dims = (int)json_count(shape);
    t->elements = 1;
    for (int i = 0; i < t->dims; i++)
        if (!read_count(&t->shape[i], json_at(shape, (size_t)i)) ||
            __builtin_mul_overflow(t->elements, t->shape[i], &t->elements))
            return err_set(e, ERR_FORMAT, "%s: tensor %s: dimension %d of its shape is not a size", path,
                           t->name, i);
    return ERR_OK;
}

static enum err_code read_tensor(struct safetensors_tensor *t, struct json_member m, uint64_t data_bytes,
                                 const char *path, struct arena *a, struct err *e)
{
    char part[256];
    snprintf(part, sizeof part, "tensor %.200s", m.key);
    const struct json_fields f = {.object = m.value, .file = path, .part = part};
    const struct json_value *shape, *offsets;
    const char *type;
    if (strlen(m.key) > LIMIT_NAME)
        return err_set(e, ERR_FORMAT, "%s: a tensor's name of more than %d bytes: %.40s...", path, LIMIT_NAME,
                       m.key);
    if (json_need_text(&type, &f, "dtype", e) || json_need_value(&shape, &f, "shape", JSON_KIND_ARRAY, e) ||
        json_need_value(&offsets, &f, "data_offsets", JSON_KIND_ARRAY, e))
        return e->code;
    if (json_count(m.value) != 3)
        return err_set(e, ERR_FORMAT,
                       "%s: tensor %s: must have dtype, shape and data_offsets and nothing else", path,
                       m.key);
    t->name = arena_strndup(a, m.key, strlen(m.key), e);
    t->type = arena_strndup(a, type, strlen(type), e);
    if (!t->name || !t->type || read_shape(t, shape, path, e))
        return e->code;
    if (json_count(offsets) != 2 || !read_count(&t->begin, json_at(offsets, 0)) ||
        !read_count(&t->end, json_at(offsets, 1)) || t->begin > t->end)
        return err_set(e, ERR_FORMAT, "%s: tensor %s: data_offsets are not [begin, end]", path, t->name);
    if (t->end > data_bytes)
        return err_set(e, ERR_FORMAT,
                       "%s: tensor %s ends at byte %" PRIu64 " of the data, of which the file has %" PRIu64
                       ": truncated or damaged",
                       path, t->name, t->end, data_bytes);
    return ERR_OK;
}

static enum err_code read_metadata(struct safetensors *f, const struct json_value *metadata, const char *path,
                                   struct arena *a, struct err *e)
{
    bool good = json_kind(metadata) == JSON_KIND_OBJECT;
    for (struct json_member m = json_first(metadata); good && m.key; m = json_next(m))
        good = json_kind(m.value) == JSON_KIND_STRING;
    if (!good)
        return err_set(e, ERR_FORMAT, "%s: __metadata__ is not an object of strings", path);
    f->notes = arena_alloc(a, json_count(metadata), sizeof *f->notes, path, e);
    if (!f->notes)
        return e->code;
    for (struct json_member m = json_first(metadata); m.key; m = json_next(m)) {
        struct safetensors_note *n = &f->notes[f->note_count++];
        n->key = arena_strndup(a, m.key, strlen(m.key), e);
        n->text = n->key ? arena_strndup(a, json_text(m.value), json_text_length(m.value), e) : NULL;
        if (!n->text)
            return e->code;
    }
    return ERR_OK;
}

static int compare_places(const void *a, const void *b)
{
    const struct safetensors_tensor *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

/* The tensors, in the order of their bytes, must tile the data. */
static enum err_code check_places(const struct safetensors *f, uint64_t data_bytes, const char *path,
                                  struct err *e)
{
    uint64_t at = 0;
    for (size_t i = 0; i < f->count; i++) {
        const struct safetensors_tensor *t = &f->tensors[i];
        if (t->begin < at)
            return err_set(e, ERR_FORMAT, "%s: tensor %s overlaps tensor %s at byte %" PRIu64 " of the data",
                           path, t->name, t[-1].name, t->begin);
        if (t->begin > at)
            return err_set(e, ERR_FORMAT,
                           "%s: bytes %" PRIu64 " to %" PRIu64
                           " of the data, before tensor %s, belong to no tensor",
                           path, at, t->begin, t->name);
        at = t->end;
    }
    if (at != data_bytes)
        return err_set(e, ERR_FORMAT, "%s: %" PRIu64 " bytes after the last tensor: damaged", path,
                       data_bytes - at);
    return ERR_OK;
}

static enum err_code read_tensors(struct safetensors *f, const struct json_value *root, uint64_t data_bytes,
                                  const char *path, struct arena *a, struct err *e)
{
    if (json_kind(root) != JSON_KIND_OBJECT)
        return err_set(e, ERR_FORMAT, "%s: the header is not a JSON object", path);
    if (json_count(root) > LIMIT_TENSORS)
        return err_set(e, ERR_FORMAT, "%s: %zu tensors; at most %d are read: save it in several files", path,
                       json_count(root), LIMIT_TENSORS);
    f->tensors = arena_alloc(a, json_count(root), sizeof *f->tensors, path, e);
    if (!f->tensors)
        return e->code;
    for (struct json_member m = json_first(root); m.key; m = json_next(m)) {
        if (strcmp(m.key, "__metadata__") == 0) {
            if (read_metadata(f, m.value, path, a, e))
                return e->code;
        } else if (read_tensor(&f->tensors[f->count++], m, data_bytes, path, a, e)) {
            return e->code;
        }
    }
    qsort(f->tensors, f->count, sizeof *f->tensors, compare_places);
    return check_places(f, data_bytes, path, e);
}

enum err_code safetensors_parse(struct safetensors *out, const struct file_map *map, const char *path,
                                struct arena *a, struct err *e)
{
    uint64_t length;
    *out = (struct safetensors){0};
    if (format_expect(FORMAT_SAFETENSORS, map->data, map->size, path, e))
        return e->code;
    if (map->size < LENGTH_BYTES)
        return err_set(e, ERR_FORMAT, "%s: %zu bytes are too few for a safetensors file", path, map->size);
    memcpy(&length, map->data, sizeof length);
    if (length > LIMIT_SAFETENSORS_HEADER || length > map->size - LENGTH_BYTES)
        return err_set(e, ERR_FORMAT,
                       "%s: claims a header of %" PRIu64
                       " bytes, the file has %zu, and %d is the most: not a "
                       "safetensors file, truncated or damaged",
                       path, length, map->size - LENGTH_BYTES, LIMIT_SAFETENSORS_HEADER);
    struct json *header;
    if (json_open_bytes(&header, (const char *)map->data + LENGTH_BYTES, (size_t)length, path, e))
        return e->code;
    out->data_offset = LENGTH_BYTES + length;
    enum err_code code = read_tensors(out, json_root(header), map->size - out->data_offset, path, a, e);
    json_close(header);
    return code;
}
