#include "h5_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/limits.h"

#define SUPERBLOCK_VERSION 3

/* The only form that is written here: in older ones HDF5's metadata has no checksums. */
static enum err_code check_format(const char *path, struct err *e)
{
    static const unsigned char start[] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n', SUPERBLOCK_VERSION};
    unsigned char found[sizeof start] = {0};
    struct file_in file;
    if (file_in_open(&file, path, e))
        return e->code;
    enum err_code code = file.size < sizeof found ? ERR_OK : file_in_read(found, &file, 0, sizeof found, e);
    file_in_close(&file);
    if (!code && memcmp(found, start, sizeof start) != 0)
        code = err_set(
            e, ERR_FORMAT,
            "%s: does not begin as an HDF5 file of format 1.10: it is truncated, damaged or not such a "
            "file: use another one",
            path);
    return code;
}

enum err_code h5_open(struct h5_reader **out, const char *path, bool verify, struct err *e)
{
    char buffer[H5_REASON_SIZE];
    *out = NULL;
    if (!file_exists(path))
        return err_set(e, ERR_IO, "%s: there is no such file", path);
    if (check_format(path, e))
        return e->code;
    struct h5_reader *r = calloc(1, sizeof *r);
    if (!r)
        return err_set(e, ERR_MEMORY, "not enough memory to open %s", path);
    snprintf(r->path, sizeof r->path, "%s", path);
    h5_start_library();
    hid_t access = h5_file_access();
    r->file = H5Fopen(path, H5F_ACC_RDONLY, access);
    if (r->file < 0) {
        const char *why = h5_reason(buffer);
        bool unfinished = strstr(why, "already open") != NULL;
        err_set(e, ERR_FORMAT, "%s: cannot be opened as HDF5: %s; %s", path, why,
                unfinished ? "its writer was killed or is still at work: use another file"
                           : "it is truncated, damaged or not an HDF5 file: use another one");
    }
    H5Pclose(access);
    hsize_t size = 0;
    enum err_code code = r->file < 0 ? e->code : ERR_OK;
    if (!code && H5Fget_filesize(r->file, &size) < 0)
        code = h5_refuse(r, "/", "has no size", e);
    r->size = size;
    if (!code && verify)
        code = h5_verify(r, e);
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
    if (r->file >= 0)
        H5Fclose(r->file);
    free(r);
}

uint64_t h5_size(const struct h5_reader *r)
{
    return r->size;
}

enum err_code h5_refuse(const struct h5_reader *r, const char *path, const char *why, struct err *e)
{
    char buffer[H5_REASON_SIZE];
    return err_set(e, ERR_FORMAT, "%s: %s %s: %s", r->path, path, why, h5_reason(buffer));
}

/* Chunks as they are written here: with a checksum and no other filter, and none that is large, since HDF5
 * takes a whole one into memory. */
static bool chunks_are_ours(hid_t properties, enum h5_type type, int dims)
{
    hsize_t extent[H5_MAX_DIMS];
    uint64_t chunk[H5_MAX_DIMS], bytes;
    size_t values = 0;
    unsigned flags, config;
    if (H5Pget_layout(properties) != H5D_CHUNKED || H5Pget_chunk(properties, dims, extent) != dims ||
        H5Pget_nfilters(properties) != 1 ||
        H5Pget_filter2(properties, 0, &flags, &values, NULL, 0, NULL, &config) != H5Z_FILTER_FLETCHER32)
        return false;
    for (int i = 0; i < dims; i++)
        chunk[i] = extent[i];
    return h5_array_bytes(&bytes, type, dims, chunk) && bytes <= LIMIT_H5_CHUNK;
}

enum err_code h5_open_dataset(hid_t *dataset, enum h5_type *type, int *dims, uint64_t shape[H5_MAX_DIMS],
                              struct h5_reader *r, const char *path, struct err *e)
{
    static const enum h5_type types[] = {H5_F32, H5_I32, H5_I8, H5_U64};
    hsize_t extent[H5_MAX_DIMS] = {0};
    uint64_t bytes;
    if (!h5_path_exists(r->file, path))
        return err_set(e, ERR_FORMAT, "%s: has no dataset %s", r->path, path);
    hid_t set = H5Dopen2(r->file, path, H5P_DEFAULT);
    if (set < 0)
        return h5_refuse(r, path, "cannot be opened as a dataset", e);
    hid_t in_file = H5Dget_type(set), space = H5Dget_space(set), properties = H5Dget_create_plist(set);
    size_t t = 0;
    while (t < sizeof types / sizeof *types && H5Tequal(in_file, h5_type_in_file(types[t])) <= 0)
        t++;
    *dims = H5Sget_simple_extent_ndims(space);
    bool known = t < sizeof types / sizeof *types && *dims >= 1 && *dims <= H5_MAX_DIMS &&
                 H5Sget_simple_extent_dims(space, extent, NULL) == *dims;
    for (int i = 0; i < H5_MAX_DIMS; i++)
        shape[i] = extent[i];
    /* Every array that is not empty is stored in chunks, in full: neither in other files nor as fill values.
     */
    bool stored = known && h5_array_bytes(&bytes, types[t], *dims, shape) &&
                  (bytes == 0 || (bytes <= r->size && chunks_are_ours(properties, types[t], *dims) &&
                                  H5Dget_storage_size(set) >= bytes && H5Dget_storage_size(set) <= r->size));
    H5Pclose(properties);
    H5Sclose(space);
    H5Tclose(in_file);
    if (!stored) {
        H5Dclose(set);
        return err_set(e, ERR_FORMAT, "%s: dataset %s %s", r->path, path,
                       known ? "is not stored in full: damaged"
                             : "has a type or shape that is not written here");
    }
    *type = types[t];
    *dataset = set;
    return ERR_OK;
}

static enum err_code check_type(const struct h5_reader *r, const char *path, enum h5_type type, int dims,
                                enum h5_type found, int found_dims, struct err *e)
{
    if (type == found && dims == found_dims)
        return ERR_OK;
    return err_set(e, ERR_FORMAT, "%s: dataset %s is %s with %d dimensions; it must be %s with %d", r->path,
                   path, h5_type_name(found), found_dims, h5_type_name(type), dims);
}

enum err_code h5_shape(struct h5_reader *r, const char *path, enum h5_type type, int dims, uint64_t *shape,
                       struct err *e)
{
    hid_t dataset;
    enum h5_type found;
    int found_dims;
    uint64_t found_shape[H5_MAX_DIMS];
    if (h5_open_dataset(&dataset, &found, &found_dims, found_shape, r, path, e))
        return e->code;
    H5Dclose(dataset);
    if (check_type(r, path, type, dims, found, found_dims, e))
        return e->code;
    memcpy(shape, found_shape, (size_t)dims * sizeof *shape);
    return ERR_OK;
}

enum err_code h5_read(struct h5_reader *r, const char *path, enum h5_type type, int dims,
                      const uint64_t *shape, void *data, struct err *e)
{
    hid_t dataset;
    enum h5_type found;
    int found_dims;
    uint64_t found_shape[H5_MAX_DIMS], bytes = 0;
    if (h5_open_dataset(&dataset, &found, &found_dims, found_shape, r, path, e))
        return e->code;
    enum err_code code = check_type(r, path, type, dims, found, found_dims, e);
    for (int i = 0; !code && i < dims; i++)
        if (shape[i] != found_shape[i])
            code = err_set(e, ERR_FORMAT, "%s: dataset %s: dimension %d is %" PRIu64 "; it must be %" PRIu64,
                           r->path, path, i, found_shape[i], shape[i]);
    if (!code && h5_array_bytes(&bytes, type, dims, shape) && bytes > 0 &&
        H5Dread(dataset, h5_type_in_memory(type), H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0)
        code = h5_refuse(r, path, "cannot be read", e);
    H5Dclose(dataset);
    return code;
}

bool h5_exists(struct h5_reader *r, const char *path)
{
    return h5_path_exists(r->file, path);
}

struct name_list {
    struct arena *arena;
    const char **names; /* NULL while counting */
    size_t count;
    struct err *e;
};

static herr_t add_name(hid_t group, const char *name, const H5L_info_t *info, void *context)
{
    struct name_list *list = context;
    (void)group;
    if (info->type != H5L_TYPE_HARD || list->count >= LIMIT_H5_MEMBERS) {
        err_set(list->e, ERR_FORMAT, "member %s is a link, or one of more than %d: not written here", name,
                LIMIT_H5_MEMBERS);
        return -1;
    }
    if (list->names) {
        list->names[list->count] = arena_strndup(list->arena, name, strlen(name), list->e);
        if (!list->names[list->count])
            return -1;
    }
    list->count++;
    return 0;
}

static int compare_names(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    return strcmp(*x, *y);
}

static enum err_code list_group(struct name_list *list, hid_t group, struct h5_reader *r, const char *path)
{
    list->e->code = ERR_OK;
    if (H5Literate(group, H5_INDEX_NAME, H5_ITER_NATIVE, NULL, add_name, list) < 0)
        return list->e->code ? err_wrap(list->e, "%s: group %s", r->path, path)
                             : h5_refuse(r, path, "cannot be listed", list->e);
    return ERR_OK;
}

enum err_code h5_list(const char ***names, size_t *count, struct h5_reader *r, const char *path,
                      struct arena *a, struct err *e)
{
    struct name_list list = {.arena = a, .e = e};
    if (!h5_path_exists(r->file, path))
        return err_set(e, ERR_FORMAT, "%s: has no group %s", r->path, path);
    hid_t group = H5Gopen2(r->file, path, H5P_DEFAULT);
    if (group < 0)
        return h5_refuse(r, path, "cannot be opened as a group", e);
    enum err_code code = list_group(&list, group, r, path);
    if (!code) {
        list.names = arena_alloc(a, list.count, sizeof *list.names, path, e);
        list.count = 0;
        code = list.names ? list_group(&list, group, r, path) : ERR_MEMORY;
    }
    H5Gclose(group);
    if (code)
        return code;
    qsort(list.names, list.count, sizeof *list.names, compare_names);
    *names = list.names;
    *count = list.count;
    return ERR_OK;
}

/* The size of a text in the file, if `type` is one that we write; else 0. */
static size_t text_size(hid_t type)
{
    if (H5Tget_class(type) != H5T_STRING || H5Tis_variable_str(type) != 0)
        return 0;
    return H5Tget_size(type);
}

/* Value of an open attribute; HDF5 pads a text with zeros. */
static enum err_code load_value(struct h5_attribute *out, hid_t attribute, hid_t type, struct h5_reader *r,
                                const char *name, struct arena *a, struct err *e)
{
    hid_t in_memory = type;
    void *value = NULL;
    size_t size = text_size(type);
    if (size > 0) {
        out->kind = H5_KIND_TEXT;
        if (size > r->size || size > LIMIT_H5_TEXT)
            return err_set(e, ERR_FORMAT,
                           "%s: attribute %s is larger than the file, or than %d bytes: damaged", r->path,
                           name, LIMIT_H5_TEXT);
        value = arena_alloc(a, size + 1, 1, name, e);
        if (!value)
            return e->code;
        out->text = value;
    } else if (H5Tequal(type, H5T_IEEE_F64LE) > 0) {
        out->kind = H5_KIND_REAL;
        in_memory = H5T_NATIVE_DOUBLE;
        value = &out->real;
    } else if (H5Tequal(type, H5T_STD_I64LE) > 0) {
        out->kind = H5_KIND_INT;
        in_memory = H5T_NATIVE_INT64;
        value = &out->integer;
    } else {
        return err_set(e, ERR_FORMAT, "%s: attribute %s has a type that is not written here", r->path, name);
    }
    if (H5Aread(attribute, in_memory, value) < 0)
        return h5_refuse(r, name, "cannot be read", e);
    return ERR_OK;
}

enum err_code h5_load_attribute(struct h5_attribute *out, struct h5_reader *r, const char *path,
                                const char *name, struct arena *a, struct err *e)
{
    *out = (struct h5_attribute){0};
    if (!h5_path_exists(r->file, path) || H5Aexists_by_name(r->file, path, name, H5P_DEFAULT) <= 0)
        return err_set(e, ERR_FORMAT, "%s: %s has no attribute %s", r->path, path, name);
    hid_t attribute = H5Aopen_by_name(r->file, path, name, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute < 0)
        return h5_refuse(r, name, "cannot be opened as an attribute", e);
    hid_t type = H5Aget_type(attribute), space = H5Aget_space(attribute);
    enum err_code code = H5Sget_simple_extent_type(space) == H5S_SCALAR
                             ? load_value(out, attribute, type, r, name, a, e)
                             : err_set(e, ERR_FORMAT, "%s: attribute %s is not one value", r->path, name);
    H5Sclose(space);
    H5Tclose(type);
    H5Aclose(attribute);
    return code;
}

static enum err_code get_attribute(struct h5_attribute *out, enum h5_kind kind, struct h5_reader *r,
                                   const char *path, const char *name, struct arena *a, struct err *e)
{
    if (h5_load_attribute(out, r, path, name, a, e))
        return e->code;
    if (out->kind != kind)
        return err_set(e, ERR_FORMAT, "%s: attribute %s of %s is %s; it must be %s", r->path, name, path,
                       h5_kind_names[out->kind], h5_kind_names[kind]);
    return ERR_OK;
}

enum err_code h5_get_text(const char **value, struct h5_reader *r, const char *path, const char *name,
                          struct arena *a, struct err *e)
{
    struct h5_attribute attribute;
    enum err_code code = get_attribute(&attribute, H5_KIND_TEXT, r, path, name, a, e);
    *value = attribute.text;
    return code;
}

enum err_code h5_get_real(double *value, struct h5_reader *r, const char *path, const char *name,
                          struct err *e)
{
    struct arena scratch = {0};
    struct h5_attribute attribute;
    enum err_code code = get_attribute(&attribute, H5_KIND_REAL, r, path, name, &scratch, e);
    arena_release(&scratch);
    *value = attribute.real;
    return code;
}

enum err_code h5_get_int(int64_t *value, struct h5_reader *r, const char *path, const char *name,
                         struct err *e)
{
    struct arena scratch = {0};
    struct h5_attribute attribute;
    enum err_code code = get_attribute(&attribute, H5_KIND_INT, r, path, name, &scratch, e);
    arena_release(&scratch);
    *value = attribute.integer;
    return code;
}
