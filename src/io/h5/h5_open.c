#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/format.h"
#include "h5_format.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "arrays of HDF5 files are read in place");

enum { SUPERBLOCK_SIZE = 48 };
#define SIGNATURE                                                                                            \
    "\x89HDF\r\n\x1a\n\x03" /* with the superblock's version: in older ones metadata has no checksums */

static enum err_code read_superblock(uint64_t *root, struct h5_reader *r, struct err *e)
{
    unsigned char found[FORMAT_BYTES] = {0};
    struct h5_part p;
    size_t length = r->file.size < sizeof found ? r->file.size : sizeof found;
    if (file_in_read(found, &r->file, 0, length, e) || format_expect(FORMAT_HDF5, found, length, r->path, e))
        return e->code;
    if (memcmp(found, SIGNATURE, sizeof SIGNATURE - 1) != 0)
        return err_set(
            e, ERR_FORMAT,
            "%s: does not begin as an HDF5 file of format 1.10: it is truncated, damaged or not such a "
            "file: use another one",
            r->path);
    if (h5_block(&p, r, 0, SUPERBLOCK_SIZE, SIGNATURE, e))
        return e->code;
    uint64_t address_size = h5_number(&p, 1), length_size = h5_number(&p, 1), state = h5_number(&p, 1);
    uint64_t base = h5_number(&p, 8), extension = h5_number(&p, 8), end = h5_number(&p, 8);
    *root = h5_number(&p, 8);
    r->marked = state != 0;
    if (address_size != 8 || length_size != 8 || base != 0 || extension != H5_NOWHERE)
        return h5_damaged(r, 0, "a form of HDF5 file that is not written here", e);
    if (end > r->file.size)
        return err_set(e, ERR_FORMAT,
                       "%s: has %zu of its %" PRIu64 " bytes: it is truncated: use another file", r->path,
                       r->file.size, end);
    return ERR_OK;
}

/* Looked at before anything else, so that a file of another format says so whatever else is new in it. */
static enum err_code check_format(const struct h5_reader *r, enum err_code code, struct err *e)
{
    const struct h5_attribute *a = h5_find_attribute(r->first, H5_FORMAT_NAME);
    int64_t format = H5_FORMAT;
    if (a && a->type == H5_I64)
        memcpy(&format, a->value, sizeof format);
    else if (!code)
        return err_set(e, ERR_FORMAT, "%s: is not a file of mpilora: it has no format version", r->path);
    if (format != H5_FORMAT)
        return err_set(e, ERR_UNSUPPORTED,
                       "%s: is of format %" PRId64 ", this mpilora reads %d: use the one that wrote it",
                       r->path, format, H5_FORMAT);
    return code;
}

static int compare_paths(const void *a, const void *b)
{
    const struct h5_object *const *x = a, *const *y = b;
    return strcmp((*x)->path, (*y)->path);
}

static enum err_code sort_objects(struct h5_reader *r, struct err *e)
{
    size_t count = 0;
    r->objects = arena_alloc(&r->arena, r->object_count, sizeof *r->objects, "names in a file", e);
    if (!r->objects)
        return e->code;
    for (const struct h5_object *o = r->first; o; o = o->next)
        r->objects[count++] = o;
    qsort(r->objects, count, sizeof *r->objects, compare_paths);
    for (size_t i = 1; i < count; i++)
        if (strcmp(r->objects[i - 1]->path, r->objects[i]->path) == 0)
            return err_set(e, ERR_FORMAT, "%s: has two things named %s: damaged", r->path,
                           r->objects[i]->path);
    return ERR_OK;
}

static enum err_code read_all(struct h5_reader *r, bool verify, struct err *e)
{
    uint64_t root = 0;
    if (read_superblock(&root, r, e) || h5_object_add(r, NULL, "", 0, root, e) ||
        check_format(r, h5_object_read(r->first, r, e), e))
        return e->code;
    if (r->first->is_dataset)
        return h5_damaged(r, root, "a root that is no group", e);
    for (struct h5_object *o = r->first->next; o; o = o->next) /* each adds its members at the end */
        if (h5_object_read(o, r, e))
            return e->code;
    if (sort_objects(r, e))
        return e->code;
    return verify ? h5_verify(r, e) : ERR_OK;
}

/* Whoever opens a file to write marks it so, and unmarks it at the end. By itself that says nothing of what is in it,
 * which was held against its hash; where that is not whole, it says why. */
static enum err_code explain_mark(const struct h5_reader *r, struct err *e)
{
    if (!file_in_is_held(&r->file))
        return err_wrap(e, "%s was written to by a program that was killed, or holds it still", r->path);
    e->code = ERR_BUSY;
    return err_wrap(e, "another program writes to %s at this moment: wait until it has closed it", r->path);
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
    if (code == ERR_FORMAT && r->marked)
        code = explain_mark(r, e);
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
