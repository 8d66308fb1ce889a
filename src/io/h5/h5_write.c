#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "h5_library.h"
#include "h5_manifest.h"

struct h5_writer {
    hid_t file, links; /* links: properties that make the groups on the way */
    char path[H5_PATH_SIZE], temporary[H5_PATH_SIZE];
    struct str manifest;
    struct err error; /* the first one; nothing is done after it */
};

static void fail(struct h5_writer *w, const char *what, const char *path)
{
    char buffer[H5_REASON_SIZE];
    if (!w->error.code)
        err_set(&w->error, ERR_IO, "cannot write %s: %s %s: %s", w->path, what, path, h5_reason(buffer));
}

static void release(struct h5_writer *w)
{
    h5_at_work(NULL);
    str_release(&w->manifest);
    free(w);
}

enum err_code h5_create(struct h5_writer **out, const char *path, struct err *e)
{
    struct h5_writer *w = calloc(1, sizeof *w);
    char buffer[H5_REASON_SIZE];
    *out = NULL;
    if (!w)
        return err_set(e, ERR_MEMORY, "not enough memory to write %s", path);
    const char *slash = strrchr(path, '/');
    int folder = slash ? (int)(slash + 1 - path) : 0;
    int length = snprintf(w->temporary, sizeof w->temporary, "%.*s.%s.tmp-%ld", folder, path, path + folder,
                          (long)getpid());
    if (length < 0 || (size_t)length >= sizeof w->temporary) {
        free(w);
        return err_set(e, ERR_USAGE, "%s: the path is too long", path);
    }
    strcpy(w->path, path); /* shorter than the temporary name */
    h5_start_library();
    h5_at_work(w->path);
    hid_t access = h5_file_access();
    w->file = H5Fcreate(w->temporary, H5F_ACC_TRUNC, H5P_DEFAULT, access);
    if (w->file < 0) {
        err_set(e, ERR_IO, "cannot create %s: %s", w->temporary, h5_reason(buffer));
        H5Pclose(access);
        unlink(w->temporary);
        release(w);
        return e->code;
    }
    H5Pclose(access);
    w->links = H5Pcreate(H5P_LINK_CREATE);
    H5Pset_create_intermediate_group(w->links, 1);
    *out = w;
    return ERR_OK;
}

/* One chunk if it is small; otherwise whole rows, and parts of rows only where one row is too large. */
static void plan_chunk(hsize_t chunk[H5_MAX_DIMS], enum h5_type type, int dims, const uint64_t *shape)
{
    uint64_t inner = h5_type_size(type); /* bytes of one index of dimension d */
    for (int d = 0; d < dims; d++) {
        chunk[d] = shape[d];
        inner *= shape[d];
    }
    for (int d = 0; d < dims && inner > LIMIT_H5_CHUNK; d++) {
        inner /= shape[d];
        chunk[d] = LIMIT_H5_CHUNK / inner;
        if (chunk[d] > 0)
            break;
        chunk[d] = 1;
    }
}

static hid_t dataset_properties(enum h5_type type, int dims, const uint64_t *shape, uint64_t bytes)
{
    hsize_t chunk[H5_MAX_DIMS];
    hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
    if (bytes == 0) /* an empty dataset has no chunks */
        return properties;
    plan_chunk(chunk, type, dims, shape);
    if (H5Pset_chunk(properties, dims, chunk) < 0 || H5Pset_fletcher32(properties) < 0 ||
        H5Pset_fill_time(properties, H5D_FILL_TIME_NEVER) < 0) {
        H5Pclose(properties);
        return H5I_INVALID_HID;
    }
    return properties;
}

void h5_write(struct h5_writer *w, const char *path, enum h5_type type, int dims, const uint64_t *shape,
              const void *data)
{
    uint64_t bytes;
    hsize_t extent[H5_MAX_DIMS];
    char hash[FILE_HASH_SIZE];
    assert(path[0] == '/' && dims >= 1 && dims <= H5_MAX_DIMS);
    if (w->error.code)
        return;
    if (!h5_array_bytes(&bytes, type, dims, shape)) {
        err_set(&w->error, ERR_MEMORY, "cannot write %s: dataset %s: its size overflows", w->path, path);
        return;
    }
    for (int i = 0; i < dims; i++)
        extent[i] = shape[i];
    hid_t space = H5Screate_simple(dims, extent, NULL);
    hid_t properties = dataset_properties(type, dims, shape, bytes);
    hid_t dataset =
        H5Dcreate2(w->file, path, h5_type_in_file(type), space, w->links, properties, H5P_DEFAULT);
    if (dataset < 0 ||
        (bytes && H5Dwrite(dataset, h5_type_in_memory(type), H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0))
        fail(w, "dataset", path);
    if (dataset >= 0 && H5Dclose(dataset) < 0)
        fail(w, "dataset", path);
    H5Pclose(properties);
    H5Sclose(space);
    if (w->error.code)
        return;
    file_hash_bytes(hash, data, (size_t)bytes);
    h5_manifest_add_dataset(&w->manifest, path, h5_type_name(type), dims, shape, hash, &w->error);
}

static void write_attribute(struct h5_writer *w, const char *path, const char *name, hid_t in_file,
                            hid_t in_memory, const void *value)
{
    hid_t object = h5_path_exists(w->file, path)
                       ? H5Oopen(w->file, path, H5P_DEFAULT)
                       : H5Gcreate2(w->file, path, w->links, H5P_DEFAULT, H5P_DEFAULT);
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t attribute = H5Acreate2(object, name, in_file, space, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute < 0 || H5Awrite(attribute, in_memory, value) < 0)
        fail(w, "attribute", name);
    if (attribute >= 0 && H5Aclose(attribute) < 0)
        fail(w, "attribute", name);
    H5Sclose(space);
    if (object >= 0 && H5Oclose(object) < 0)
        fail(w, "attribute", name);
}

/* The type of a text attribute: fixed length, so that a reader knows its size beforehand. */
static hid_t text_type(size_t size)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, size);
    H5Tset_strpad(type, H5T_STR_NULLPAD);
    H5Tset_cset(type, H5T_CSET_UTF8);
    return type;
}

static void put_text(struct h5_writer *w, const char *path, const char *name, const char *value)
{
    if (strlen(value) > LIMIT_H5_TEXT) {
        err_set(&w->error, ERR_USAGE, "cannot write %s: the text %s of %zu bytes is longer than %d", w->path,
                name, strlen(value), LIMIT_H5_TEXT);
        return;
    }
    hid_t type = text_type(*value ? strlen(value) : 1);
    write_attribute(w, path, name, type, type, value);
    H5Tclose(type);
}

void h5_attribute_text(struct h5_writer *w, const char *path, const char *name, const char *value)
{
    if (w->error.code)
        return;
    put_text(w, path, name, value);
    if (!w->error.code)
        h5_manifest_add_attribute(&w->manifest, path, name, h5_kind_names[H5_KIND_TEXT], value, strlen(value),
                                  &w->error);
}

void h5_attribute_real(struct h5_writer *w, const char *path, const char *name, double value)
{
    if (w->error.code)
        return;
    write_attribute(w, path, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, &value);
    if (!w->error.code)
        h5_manifest_add_attribute(&w->manifest, path, name, h5_kind_names[H5_KIND_REAL], &value, sizeof value,
                                  &w->error);
}

void h5_attribute_int(struct h5_writer *w, const char *path, const char *name, int64_t value)
{
    if (w->error.code)
        return;
    write_attribute(w, path, name, H5T_STD_I64LE, H5T_NATIVE_INT64, &value);
    if (!w->error.code)
        h5_manifest_add_attribute(&w->manifest, path, name, h5_kind_names[H5_KIND_INT], &value, sizeof value,
                                  &w->error);
}

/* Closes the file, in any state. */
static void close_file(struct h5_writer *w)
{
    if (!w->error.code && H5Fflush(w->file, H5F_SCOPE_GLOBAL) < 0)
        fail(w, "flush of", w->temporary);
    if (H5Fclose(w->file) < 0)
        fail(w, "close of", w->temporary);
    H5Pclose(w->links);
}

enum err_code h5_commit(struct h5_writer *w, struct err *e)
{
    char hash[FILE_HASH_SIZE];
    struct h5_reader *r;
    if (!w->error.code && !h5_manifest_hash(hash, &w->manifest, &w->error))
        put_text(w, "/", H5_HASH_NAME, hash);
    close_file(w);
    if (!w->error.code && !h5_open(&r, w->temporary, true, &w->error))
        h5_close(r);
    if (!w->error.code)
        file_commit(w->temporary, w->path, &w->error);
    if (w->error.code) {
        unlink(w->temporary);
        *e = w->error;
    }
    enum err_code code = w->error.code;
    release(w);
    return code;
}

void h5_discard(struct h5_writer *w)
{
    if (!w)
        return;
    close_file(w);
    unlink(w->temporary);
    release(w);
}
