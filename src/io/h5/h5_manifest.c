#include "h5_manifest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "h5_common.h"

enum err_code h5_manifest_add_dataset(struct str *m, const char *path, const char *type, int dims,
                                      const uint64_t *shape, const char payload_hash[FILE_HASH_SIZE],
                                      struct err *e)
{
    char sizes[H5_MAX_DIMS * 21 + 1] = "";
    size_t length = 0;
    for (int i = 0; i < dims; i++)
        length += (size_t)snprintf(sizes + length, sizeof sizes - length, " %" PRIu64, shape[i]);
    return str_appendf(m, e, "dataset %s %s%s %s\n", path, type, sizes, payload_hash);
}

enum err_code h5_manifest_add_attribute(struct str *m, const char *path, const char *name, const char *type,
                                        const void *value, size_t bytes, struct err *e)
{
    char hash[FILE_HASH_SIZE];
    file_hash_bytes(hash, value, bytes);
    return str_appendf(m, e, "attribute %s %s %s %s\n", path, name, type, hash);
}

struct line {
    const char *text;
    size_t length; /* with its newline */
};

static int compare_lines(const void *a, const void *b)
{
    const struct line *x = a, *y = b;
    size_t common = x->length < y->length ? x->length : y->length;
    int order = memcmp(x->text, y->text, common);
    return order ? order : (x->length > y->length) - (x->length < y->length);
}

enum err_code h5_manifest_hash(char hash[FILE_HASH_SIZE], const struct str *m, struct err *e)
{
    size_t count = 0;
    for (size_t i = 0; i < m->length; i++)
        count += m->data[i] == '\n';
    struct line *lines = calloc(count + 1, sizeof *lines);
    struct file_hasher *hasher = lines ? file_hasher_open(e) : NULL;
    if (!hasher) {
        free(lines);
        return lines ? e->code : err_set(e, ERR_MEMORY, "not enough memory to sort %zu names", count);
    }
    const char *at = m->data;
    for (size_t i = 0; i < count; i++) {
        const char *end = (const char *)memchr(at, '\n', m->length - (size_t)(at - m->data)) + 1;
        lines[i] = (struct line){at, (size_t)(end - at)};
        at = end;
    }
    qsort(lines, count, sizeof *lines, compare_lines);
    for (size_t i = 0; i < count; i++)
        file_hasher_add(hasher, lines[i].text, lines[i].length);
    file_hasher_finish(hasher, hash);
    free(lines);
    return ERR_OK;
}
