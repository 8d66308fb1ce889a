#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "h5_format.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "arrays of HDF5 files are read in place");

enum { SUPERBLOCK_VERSION = 3, SUPERBLOCK_SIZE = 48 };
#define OBJECT_BYTES_MIN 64 /* of the file, with the object's name */
#define SIGNATURE        "\x89HDF\r\n\x1a\n"

/* The only form that is written here: in older ones HDF5's metadata has no checksums. */
static enum err_code read_superblock(uint64_t *root, struct h5_reader *r, struct err *e)
{
    static const char start[] = {SIGNATURE "\x03"};
    unsigned char found[sizeof start - 1] = {0};
    struct h5_part p;
    if (r->file.size >= sizeof found && file_in_read(found, &r->file, 0, sizeof found, e))
        return e->code;
    if (memcmp(found, start, sizeof found) != 0)
        return err_set(
            e, ERR_FORMAT,
            "%s: does not begin as an HDF5 file of format 1.10: it is truncated, damaged or not such a "
            "file: use another one",
            r->path);
    if (h5_fetch_block(&p, r, 0, SUPERBLOCK_SIZE, SIGNATURE, SUPERBLOCK_VERSION, &r->scratch, e))
        return e->code;
    uint64_t address_size = h5_number(&p, 1), length_size = h5_number(&p, 1), state = h5_number(&p, 1);
    uint64_t base = h5_number(&p, 8), extension = h5_number(&p, 8), end = h5_number(&p, 8);
    *root = h5_number(&p, 8);
    if (state != 0)
        return err_set(e, ERR_FORMAT, "%s: its writer was killed or is still at work: use another file",
                       r->path);
    if (address_size != 8 || length_size != 8 || base != 0 || extension != H5_NOWHERE)
        return h5_damaged(r, 0, "a form of HDF5 file that is not written here", e);
    if (end > r->file.size)
        return err_set(e, ERR_FORMAT,
                       "%s: has %zu of its %" PRIu64 " bytes: it is truncated: use another file", r->path,
                       r->file.size, end);
    return ERR_OK;
}

static enum err_code read_below(struct h5_reader *r, struct h5_object *o, int depth, struct err *e)
{
    if (r->objects++ > r->file.size / OBJECT_BYTES_MIN)
        return err_set(e, ERR_FORMAT, "%s: has more objects than fit a file of its size: damaged", r->path);
    if (h5_object_read(o, r, depth, e))
        return e->code;
    for (size_t i = 0; i < o->members.count; i++)
        if (read_below(r, (struct h5_object *)o->members.sorted[i], depth + 1, e))
            return e->code;
    return ERR_OK;
}

static enum err_code read_all(struct h5_reader *r, bool verify, struct err *e)
{
    r->root = arena_alloc(&r->arena, 1, sizeof *r->root, "an object", e);
    if (!r->root || read_superblock(&r->root->address, r, e) || read_below(r, r->root, 0, e))
        return e->code;
    if (r->root->is_dataset)
        return h5_damaged(r, r->root->address, "a root that is no group", e);
    return verify ? h5_verify(r, e) : ERR_OK;
}

enum err_code h5_open(struct h5_reader **out, const char *path, bool verify, struct err *e)
{
    *out = NULL;
    if (!file_exists(path))
        return err_set(e, ERR_IO, "%s: there is no such file", path);
    struct h5_reader *r = calloc(1, sizeof *r);
    if (!r)
        return err_set(e, ERR_MEMORY, "not enough memory to open %s", path);
    int length = snprintf(r->path, sizeof r->path, "%s", path);
    enum err_code code = length < 0 || (size_t)length >= sizeof r->path
                             ? err_set(e, ERR_USAGE, "%s: the path is too long", path)
                             : file_in_open(&r->file, r->path, e);
    r->left = r->file.size;
    if (!code)
        code = read_all(r, verify, e);
    arena_release(&r->scratch);
    if (code)
        h5_close(r);
    else
        *out = r;
    return code;
}

void h5_close(struct h5_reader *r)
{
    if (!r)
        return;
    file_in_close(&r->file);
    arena_release(&r->scratch);
    arena_release(&r->arena);
    free(r);
}

uint64_t h5_size(const struct h5_reader *r)
{
    return r->file.size;
}

const struct h5_object *h5_find(const struct h5_reader *r, const char *path)
{
    const struct h5_object *o = r->root;
    if (path[0] != '/')
        return NULL;
    for (const char *at = path; o && at[0] == '/' && (at > path || at[1]);) {
        size_t length = strcspn(++at, "/");
        o = (const struct h5_object *)h5_set_find(&o->members, at, length);
        at += length;
    }
    return o;
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
    const struct h5_object *o = find_dataset(r, path, type, dims, e);
    if (!o)
        return e->code;
    for (int i = 0; i < dims; i++)
        if (shape[i] != o->array.shape[i])
            return err_set(e, ERR_FORMAT, "%s: dataset %s: dimension %d is %" PRIu64 "; it must be %" PRIu64,
                           r->path, path, i, o->array.shape[i], shape[i]);
    r->left = r->file.size;
    return h5_array_read(data, NULL, r, &o->array, path, e);
}

enum err_code h5_list(const char ***names, size_t *count, struct h5_reader *r, const char *path,
                      struct arena *a, struct err *e)
{
    const struct h5_object *o = h5_find(r, path);
    if (!o)
        return err_set(e, ERR_FORMAT, "%s: has no group %s", r->path, path);
    if (o->is_dataset)
        return err_set(e, ERR_FORMAT, "%s: %s cannot be opened as a group: it is a dataset", r->path, path);
    *names = arena_alloc(a, o->members.count, sizeof **names, path, e);
    if (!*names)
        return e->code;
    *count = o->members.count;
    for (size_t i = 0; i < *count; i++) {
        const char *name = o->members.sorted[i]->name;
        (*names)[i] = arena_strndup(a, name, strlen(name), e);
        if (!(*names)[i])
            return e->code;
    }
    return ERR_OK;
}

static enum err_code get_attribute(const struct h5_attribute **out, enum h5_kind kind, struct h5_reader *r,
                                   const char *path, const char *name, struct err *e)
{
    const struct h5_object *o = h5_find(r, path);
    *out = o ? (const struct h5_attribute *)h5_set_find(&o->attributes, name, strlen(name)) : NULL;
    if (!*out)
        return err_set(e, ERR_FORMAT, "%s: %s has no attribute %s", r->path, path, name);
    if ((*out)->kind != kind)
        return err_set(e, ERR_FORMAT, "%s: attribute %s of %s is %s; it must be %s", r->path, name, path,
                       h5_kind_names[(*out)->kind], h5_kind_names[kind]);
    return ERR_OK;
}

enum err_code h5_get_text(const char **value, struct h5_reader *r, const char *path, const char *name,
                          struct arena *a, struct err *e)
{
    const struct h5_attribute *attribute;
    *value = NULL;
    if (get_attribute(&attribute, H5_KIND_TEXT, r, path, name, e))
        return e->code;
    *value = arena_strndup(a, attribute->text, strlen(attribute->text), e);
    return *value ? ERR_OK : e->code;
}

enum err_code h5_get_real(double *value, struct h5_reader *r, const char *path, const char *name,
                          struct err *e)
{
    const struct h5_attribute *attribute;
    *value = 0;
    if (get_attribute(&attribute, H5_KIND_REAL, r, path, name, e))
        return e->code;
    *value = attribute->real;
    return ERR_OK;
}

enum err_code h5_get_int(int64_t *value, struct h5_reader *r, const char *path, const char *name,
                         struct err *e)
{
    const struct h5_attribute *attribute;
    *value = 0;
    if (get_attribute(&attribute, H5_KIND_INT, r, path, name, e))
        return e->code;
    *value = attribute->integer;
    return ERR_OK;
}
