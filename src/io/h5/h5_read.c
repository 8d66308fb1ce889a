#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "h5_format.h"

uint64_t h5_size(const struct h5_reader *r)
{
    return r->file.size;
}

/* The first object whose path does not come before this text. */
static size_t first_from(const struct h5_reader *r, const char *text)
{
    size_t low = 0, high = r->object_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(r->objects[middle]->path, text) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct h5_object *h5_find(const struct h5_reader *r, const char *path)
{
    size_t i = first_from(r, path);
    return i < r->object_count && strcmp(r->objects[i]->path, path) == 0 ? r->objects[i] : NULL;
}

const struct h5_attribute *h5_find_attribute(const struct h5_object *o, const char *name)
{
    const struct h5_attribute *a = o->attributes;
    while (a && strcmp(a->name, name) != 0)
        a = a->next;
    return a;
}

bool h5_exists(struct h5_reader *r, const char *path)
{
    return h5_find(r, path) != NULL;
}

static const struct h5_object *find_dataset(struct h5_reader *r, const char *path, enum h5_type type,
                                            int dims, struct err *e)
{
    const struct h5_object *o = h5_find(r, path);
    if (!o)
        err_set(e, ERR_FORMAT, "%s: has no dataset %s", r->path, path);
    else if (!o->is_dataset)
        err_set(e, ERR_FORMAT, "%s: %s cannot be opened as a dataset: it is a group", r->path, path);
    else if (o->array.type != type || o->array.dims != dims)
        err_set(e, ERR_FORMAT, "%s: dataset %s is %s with %d dimensions; it must be %s with %d", r->path,
                path, h5_type_name(o->array.type), o->array.dims, h5_type_name(type), dims);
    else
        return o;
    return NULL;
}

enum err_code h5_shape(struct h5_reader *r, const char *path, enum h5_type type, int dims, uint64_t *shape,
                       struct err *e)
{
    const struct h5_object *o = find_dataset(r, path, type, dims, e);
    if (!o)
        return e->code;
    memcpy(shape, o->array.shape, (size_t)dims * sizeof *shape);
    return ERR_OK;
}

enum err_code h5_read(struct h5_reader *r, const char *path, enum h5_type type, int dims,
                      const uint64_t *shape, void *data, struct err *e)
{
    char hash[FILE_HASH_SIZE];
    const struct h5_object *o = find_dataset(r, path, type, dims, e);
    if (!o)
        return e->code;
    const struct h5_array *a = &o->array;
    for (int i = 0; i < dims; i++)
        if (shape[i] != a->shape[i])
            return err_set(e, ERR_FORMAT, "%s: dataset %s: dimension %d is %" PRIu64 "; it must be %" PRIu64,
                           r->path, path, i, a->shape[i], shape[i]);
    if (a->bytes && file_in_read(data, &r->file, a->address, (size_t)a->bytes, e))
        return e->code;
    if (!a->hash[0])
        return ERR_OK;
    file_hash_bytes(hash, data, (size_t)a->bytes);
    return strcmp(hash, a->hash) == 0
               ? ERR_OK
               : err_set(e, ERR_FORMAT,
                         "%s: dataset %s was changed while it was read: damaged; use another file", r->path,
                         path);
}

enum err_code h5_read_text(const char **text, struct h5_reader *r, const char *path, struct arena *a,
                           struct err *e)
{
    uint64_t length = 0;
    *text = NULL;
    if (h5_shape(r, path, H5_TEXT, 1, &length, e))
        return e->code;
    char *read = arena_alloc(a, (size_t)length + 1, 1, path, e);
    if (!read || h5_read(r, path, H5_TEXT, 1, &length, read, e))
        return e->code;
    *text = read;
    return ERR_OK;
}

enum err_code h5_list_groups(const char ***groups, size_t *count, struct h5_reader *r, const char *path,
                             const char *name, struct arena *a, struct err *e)
{
    char end[H5_PATH_SIZE + 1];
    size_t before = strlen(path), after = (size_t)snprintf(end, sizeof end, "/%s", name);
    *count = 0;
    *groups = arena_alloc(a, r->object_count, sizeof **groups, path, e);
    if (!*groups)
        return e->code;
    for (size_t i = first_from(r, path); i < r->object_count; i++) {
        const char *found = r->objects[i]->path;
        if (strncmp(found, path, before) != 0)
            break;
        size_t length = strlen(found);
        if (found[before] != '/' || length <= before + after || !str_ends_with(found, end))
            continue;
        (*groups)[*count] = arena_strndup(a, found, length - after, e);
        if (!(*groups)[(*count)++])
            return e->code;
    }
    return ERR_OK;
}

static const struct h5_attribute *get_attribute(enum h5_type type, struct h5_reader *r, const char *path,
                                                const char *name, struct err *e)
{
    const struct h5_object *o = h5_find(r, path);
    const struct h5_attribute *a = o ? h5_find_attribute(o, name) : NULL;
    if (a && a->type == type)
        return a;
    if (a)
        err_set(e, ERR_FORMAT, "%s: attribute %s of %s is %s; it must be %s", r->path, name, path,
                h5_type_name(a->type), h5_type_name(type));
    else
        err_set(e, ERR_FORMAT, "%s: %s has no attribute %s", r->path, path, name);
    return NULL;
}

enum err_code h5_get_text(const char **value, struct h5_reader *r, const char *path, const char *name,
                          struct arena *a, struct err *e)
{
    const struct h5_attribute *attribute = get_attribute(H5_TEXT, r, path, name, e);
    *value = attribute ? arena_strndup(a, attribute->value, attribute->size, e) : NULL;
    return *value ? ERR_OK : e->code;
}

enum err_code h5_get_real(double *value, struct h5_reader *r, const char *path, const char *name,
                          struct err *e)
{
    const struct h5_attribute *a = get_attribute(H5_F64, r, path, name, e);
    *value = 0;
    if (!a)
        return e->code;
    memcpy(value, a->value, sizeof *value);
    return ERR_OK;
}

enum err_code h5_get_int(int64_t *value, struct h5_reader *r, const char *path, const char *name,
                         struct err *e)
{
    const struct h5_attribute *a = get_attribute(H5_I64, r, path, name, e);
    *value = 0;
    if (!a)
        return e->code;
    memcpy(value, a->value, sizeof *value);
    return ERR_OK;
}
