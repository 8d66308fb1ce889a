#include "h5_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/limits.h"
#include "h5_manifest.h"

#define OBJECT_BYTES_MIN 16 /* in the file: bounds the number of objects */

struct walk {
    struct h5_reader *r;
    struct str manifest;
    struct arena arena;
    uint64_t bytes_left, objects_left; /* a damaged file may hold cycles and claim anything */
    struct err *e;
};

struct attribute_names {
    struct str text; /* each with its zero */
    size_t count;
};

static herr_t add_attribute_name(hid_t object, const char *name, const H5A_info_t *info, void *context)
{
    struct attribute_names *names = context;
    struct err e;
    (void)object;
    (void)info;
    if (names->count++ == LIMIT_H5_ATTRIBUTES)
        return -1;
    return str_append(&names->text, name, strlen(name) + 1, &e) ? -1 : 0;
}

static enum err_code walk_attributes(struct walk *w, hid_t object, const char *path)
{
    struct attribute_names names = {0};
    enum err_code code = ERR_OK;
    if (H5Aiterate2(object, H5_INDEX_NAME, H5_ITER_NATIVE, NULL, add_attribute_name, &names) < 0)
        code = names.count > LIMIT_H5_ATTRIBUTES
                   ? err_set(w->e, ERR_FORMAT, "%s: %s has more than %d attributes: damaged", w->r->path,
                             path, LIMIT_H5_ATTRIBUTES)
                   : h5_refuse(w->r, path, "has attributes that cannot be listed", w->e);
    for (size_t at = 0; !code && at < names.text.length; at += strlen(names.text.data + at) + 1) {
        const char *name = names.text.data + at;
        struct h5_attribute value;
        if (strcmp(path, "/") == 0 && strcmp(name, H5_HASH_NAME) == 0)
            continue;
        code = h5_load_attribute(&value, w->r, path, name, &w->arena, w->e);
        if (code)
            break;
        const void *bytes = value.kind == H5_KIND_TEXT   ? (const void *)value.text
                            : value.kind == H5_KIND_REAL ? (const void *)&value.real
                                                         : (const void *)&value.integer;
        size_t size = value.kind == H5_KIND_TEXT ? strlen(value.text) : 8;
        code =
            h5_manifest_add_attribute(&w->manifest, path, name, h5_kind_names[value.kind], bytes, size, w->e);
    }
    str_release(&names.text);
    return code;
}

/* Hash of a dataset's numbers, some rows at a time. */
static enum err_code hash_rows(char hash[FILE_HASH_SIZE], struct walk *w, hid_t dataset, enum h5_type type,
                               int dims, const uint64_t *shape, uint64_t bytes, const char *path)
{
    uint64_t row_bytes = bytes / shape[0], rows = LIMIT_H5_CHUNK / row_bytes;
    hsize_t start[H5_MAX_DIMS] = {0}, count[H5_MAX_DIMS];
    rows = rows < 1 ? 1 : rows > shape[0] ? shape[0] : rows;
    unsigned char *buffer = malloc((size_t)(rows * row_bytes));
    struct file_hasher *hasher = buffer ? file_hasher_open(w->e) : NULL;
    if (!hasher) {
        free(buffer);
        return err_set(w->e, ERR_MEMORY, "%s: not enough memory to verify %s", w->r->path, path);
    }
    for (int i = 1; i < dims; i++)
        count[i] = shape[i];
    hid_t space = H5Dget_space(dataset);
    enum err_code code = ERR_OK;
    for (; !code && start[0] < shape[0]; start[0] += rows) {
        count[0] = rows < shape[0] - start[0] ? rows : shape[0] - start[0];
        hid_t part = H5Screate_simple(dims, count, NULL);
        if (H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL) < 0 ||
            H5Dread(dataset, h5_type_in_memory(type), part, space, H5P_DEFAULT, buffer) < 0)
            code = h5_refuse(w->r, path, "cannot be read", w->e);
        else
            file_hasher_add(hasher, buffer, (size_t)(count[0] * row_bytes));
        H5Sclose(part);
    }
    H5Sclose(space);
    file_hasher_finish(hasher, hash);
    free(buffer);
    return code;
}

static enum err_code walk_dataset(struct walk *w, const char *path)
{
    hid_t dataset;
    enum h5_type type;
    int dims;
    uint64_t shape[H5_MAX_DIMS], bytes = 0;
    char hash[FILE_HASH_SIZE];
    if (h5_open_dataset(&dataset, &type, &dims, shape, w->r, path, w->e))
        return w->e->code;
    enum err_code code = ERR_OK;
    if (!h5_array_bytes(&bytes, type, dims, shape) || bytes > w->bytes_left)
        code =
            err_set(w->e, ERR_FORMAT, "%s: dataset %s and those before it are larger than the file: damaged",
                    w->r->path, path);
    w->bytes_left -= code ? 0 : bytes;
    if (!code && bytes == 0)
        file_hash_bytes(hash, "", 0);
    else if (!code)
        code = hash_rows(hash, w, dataset, type, dims, shape, bytes, path);
    H5Dclose(dataset);
    if (!code)
        code = h5_manifest_add_dataset(&w->manifest, path, h5_type_name(type), dims, shape, hash, w->e);
    return code;
}

static enum err_code walk_object(struct walk *w, const char *path, int depth);

static enum err_code walk_group(struct walk *w, const char *path, int depth)
{
    const char **names;
    size_t count;
    char child[H5_PATH_SIZE];
    if (depth > LIMIT_H5_DEPTH)
        return err_set(w->e, ERR_FORMAT, "%s: groups are nested more than %d deep: damaged", w->r->path,
                       LIMIT_H5_DEPTH);
    if (h5_list(&names, &count, w->r, path, &w->arena, w->e))
        return w->e->code;
    if (count > w->objects_left)
        return err_set(w->e, ERR_FORMAT, "%s: has more objects than fit a file of its size: damaged",
                       w->r->path);
    w->objects_left -= count; /* before the next list is made: groups may hold one another */
    for (size_t i = 0; i < count; i++)
        if (file_join(child, sizeof child, path, names[i], w->e) || walk_object(w, child, depth + 1))
            return w->e->code;
    return ERR_OK;
}

static enum err_code walk_object(struct walk *w, const char *path, int depth)
{
    hid_t object = H5Oopen(w->r->file, path, H5P_DEFAULT);
    if (object < 0)
        return h5_refuse(w->r, path, "cannot be opened", w->e);
    H5I_type_t kind = H5Iget_type(object);
    enum err_code code = walk_attributes(w, object, path);
    H5Oclose(object);
    if (code)
        return code;
    if (kind == H5I_GROUP)
        return walk_group(w, path, depth);
    return walk_dataset(w, path);
}

enum err_code h5_verify(struct h5_reader *r, struct err *e)
{
    struct walk w = {.r = r, .bytes_left = r->size, .objects_left = r->size / OBJECT_BYTES_MIN, .e = e};
    char hash[FILE_HASH_SIZE];
    const char *wanted;
    enum err_code code = h5_get_text(&wanted, r, "/", H5_HASH_NAME, &w.arena, e);
    if (!code)
        code = walk_object(&w, "/", 0);
    if (!code)
        code = h5_manifest_hash(hash, &w.manifest, e);
    if (!code && strcmp(hash, wanted) != 0)
        code = err_set(e, ERR_FORMAT,
                       "%s: its content has the hash %s, not %s as it should: damaged; use another file",
                       r->path, hash, wanted);
    str_release(&w.manifest);
    arena_release(&w.arena);
    return code;
}
