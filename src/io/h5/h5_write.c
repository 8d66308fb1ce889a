#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "h5_library.h"
#include "h5_manifest.h"

enum { LEVELS = 16 }; /* a trace has 5 */

struct h5_writer {
    hid_t file, groups, datasets; /* groups, datasets: properties of new ones */
    /* What was last written to or into, and the groups on the way to it: they stay open until the way is another. */
    struct level {
        hid_t object;
        size_t length; /* of `way`, that leads to it */
    } levels[LEVELS];
    size_t level_count;
    char way[H5_PATH_SIZE];
    char path[H5_PATH_SIZE], temporary[H5_PATH_SIZE];
    struct str manifest;
    bool closed;
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
    H5Pclose(w->groups);
    H5Pclose(w->datasets);
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
    w->groups = h5_properties(H5P_GROUP_CREATE);
    w->datasets = h5_properties(H5P_DATASET_CREATE);
    hid_t access = h5_file_access(), creation = h5_properties(H5P_FILE_CREATE);
    /* Of a process that was killed: never written into, it may be a file with other names. */
    unlink(w->temporary);
    w->file = H5Fcreate(w->temporary, H5F_ACC_EXCL, creation, access);
    if (w->file < 0)
        err_set(e, ERR_IO, "cannot create %s: %s", w->temporary, h5_reason(buffer));
    H5Pclose(access);
    H5Pclose(creation);
    if (w->file < 0) {
        unlink(w->temporary);
        release(w);
        return e->code;
    }
    h5_attribute_int(w, "/", H5_FORMAT_NAME,
                     H5_FORMAT); /* the first: a reader meets it before what it may not know */
    *out = w;
    return ERR_OK;
}

static void close_levels(struct h5_writer *w, size_t from)
{
    while (w->level_count > from)
        if (H5Oclose(w->levels[--w->level_count].object) < 0)
            fail(w, "object", w->way);
}

/* Levels of the open way that lead to this path, too. */
static size_t shared_levels(const struct h5_writer *w, const char *path, size_t length)
{
    size_t same = 0, count = 0;
    while (same < length && path[same] == w->way[same])
        same++;
    while (count < w->level_count && w->levels[count].length <= same &&
           (w->levels[count].length == length || path[w->levels[count].length] == '/'))
        count++;
    return count;
}

/* Opens the member of the last level that the way ends with; makes a group if there is nothing. */
static void open_level(struct h5_writer *w, size_t begin)
{
    hid_t parent = w->level_count ? w->levels[w->level_count - 1].object : w->file;
    const char *name = w->way + begin;
    hid_t object = H5Lexists(parent, name, H5P_DEFAULT) > 0
                       ? H5Oopen(parent, name, H5P_DEFAULT)
                       : H5Gcreate2(parent, name, H5P_DEFAULT, w->groups, H5P_DEFAULT);
    if (object < 0)
        fail(w, "group", w->way);
    else
        w->levels[w->level_count++] = (struct level){object, begin + strlen(name)};
}

/* The object at the first `length` letters of a path; groups that are not there are made. */
static hid_t open_object(struct h5_writer *w, const char *path, size_t length)
{
    close_levels(w, shared_levels(w, path, length));
    size_t at = w->level_count ? w->levels[w->level_count - 1].length : 0;
    for (size_t end; !w->error.code && at + 1 < length; at = end) { /* "/" is the root itself */
        end = at + 1 + strcspn(path + at + 1, "/");
        end = end < length ? end : length;
        if (end >= sizeof w->way || w->level_count == LEVELS) {
            err_set(&w->error, ERR_USAGE, "cannot write %s: the path %.40s... in it is too long", w->path,
                    path);
            break;
        }
        memcpy(w->way + at, path + at, end - at);
        w->way[end] = '\0';
        open_level(w, at + 1);
    }
    return w->level_count ? w->levels[w->level_count - 1].object : w->file;
}

/* The type of a text: fixed length, so that a reader knows its size beforehand. */
static hid_t text_type(size_t size)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, size);
    H5Tset_strpad(type, H5T_STR_NULLPAD);
    H5Tset_cset(type, H5T_CSET_UTF8);
    return type;
}

/* A text has one dimension in the manifest, its bytes; in the file it is a single value. */
static void put_dataset(struct h5_writer *w, const char *path, enum h5_type type, int dims,
                        const uint64_t *shape, const void *data)
{
    uint64_t bytes;
    hsize_t extent[H5_MAX_DIMS];
    char hash[FILE_HASH_SIZE];
    const char *name = strrchr(path, '/') + 1;
    if (w->error.code)
        return;
    if (!h5_array_bytes(&bytes, type, dims, shape)) {
        err_set(&w->error, ERR_MEMORY, "cannot write %s: dataset %s: its size overflows", w->path, path);
        return;
    }
    for (int i = 0; i < dims; i++)
        extent[i] = shape[i];
    hid_t group = open_object(w, path, (size_t)(name - 1 - path));
    if (w->error.code)
        return;
    bool is_text = type == H5_TEXT;
    hid_t in_file = is_text ? text_type((size_t)bytes) : h5_type_in_file(type);
    hid_t in_memory = is_text ? in_file : h5_type_in_memory(type);
    hid_t space = is_text ? H5Screate(H5S_SCALAR) : H5Screate_simple(dims, extent, NULL);
    hid_t dataset = H5Dcreate2(group, name, in_file, space, H5P_DEFAULT, w->datasets, H5P_DEFAULT);
    if (dataset < 0 || (bytes && H5Dwrite(dataset, in_memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0))
        fail(w, "dataset", path);
    if (dataset >= 0 && H5Dclose(dataset) < 0)
        fail(w, "dataset", path);
    H5Sclose(space);
    if (is_text)
        H5Tclose(in_file);
    if (w->error.code)
        return;
    file_hash_bytes(hash, data, (size_t)bytes);
    h5_manifest_add_dataset(&w->manifest, path, h5_type_name(type), dims, shape, hash, &w->error);
}

void h5_write(struct h5_writer *w, const char *path, enum h5_type type, int dims, const uint64_t *shape,
              const void *data)
{
    assert(path[0] == '/' && dims >= 1 && dims <= H5_MAX_DIMS && type != H5_TEXT);
    put_dataset(w, path, type, dims, shape, data);
}

void h5_write_text(struct h5_writer *w, const char *path, const char *text)
{
    put_dataset(w, path, H5_TEXT, 1, (const uint64_t[]){h5_text_bytes(text)}, text);
}

static void put_attribute(struct h5_writer *w, const char *path, const char *name, enum h5_type type,
                          size_t bytes, const void *value)
{
    if (w->error.code)
        return;
    hid_t object = open_object(w, path, strlen(path));
    if (w->error.code)
        return;
    bool is_text = type == H5_TEXT;
    hid_t in_file = is_text ? text_type(bytes) : h5_type_in_file(type);
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t attribute = H5Acreate2(object, name, in_file, space, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute < 0 || H5Awrite(attribute, is_text ? in_file : h5_type_in_memory(type), value) < 0)
        fail(w, "attribute", name);
    if (attribute >= 0 && H5Aclose(attribute) < 0)
        fail(w, "attribute", name);
    H5Sclose(space);
    if (is_text)
        H5Tclose(in_file);
    if (!w->error.code && strcmp(name, H5_HASH_NAME) != 0)
        h5_manifest_add_attribute(&w->manifest, path, name, h5_type_name(type), value, bytes, &w->error);
}

void h5_attribute_text(struct h5_writer *w, const char *path, const char *name, const char *value)
{
    if (!w->error.code && strlen(value) > LIMIT_H5_TEXT)
        err_set(&w->error, ERR_USAGE, "cannot write %s: the text %s of %zu bytes is longer than %d", w->path,
                name, strlen(value), LIMIT_H5_TEXT);
    put_attribute(w, path, name, H5_TEXT, h5_text_bytes(value), value);
}

void h5_attribute_real(struct h5_writer *w, const char *path, const char *name, double value)
{
    put_attribute(w, path, name, H5_F64, sizeof value, &value);
}

void h5_attribute_int(struct h5_writer *w, const char *path, const char *name, int64_t value)
{
    put_attribute(w, path, name, H5_I64, sizeof value, &value);
}

/* Closes the file, in any state. */
static void close_file(struct h5_writer *w)
{
    if (w->closed)
        return;
    w->closed = true;
    close_levels(w, 0);
    if (!w->error.code && H5Fflush(w->file, H5F_SCOPE_GLOBAL) < 0)
        fail(w, "flush of", w->temporary);
    if (H5Fclose(w->file) < 0)
        fail(w, "close of", w->temporary);
}

enum err_code h5_finish(struct h5_writer *w, struct err *e)
{
    char hash[FILE_HASH_SIZE];
    struct h5_reader *r;
    if (!w->error.code && !w->closed && !h5_manifest_hash(hash, &w->manifest, &w->error))
        h5_attribute_text(w, "/", H5_HASH_NAME, hash);
    close_file(w);
    if (!w->error.code && !h5_open(&r, w->temporary, true, &w->error))
        h5_close(r);
    if (w->error.code)
        *e = w->error;
    return w->error.code;
}

enum err_code h5_commit(struct h5_writer *w, struct err *e)
{
    if (w->closed || !h5_finish(w, e))
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
