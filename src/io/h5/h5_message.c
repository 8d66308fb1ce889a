#include <string.h>

#include "base/limits.h"
#include "h5_format.h"

/* How types are encoded: class and version in one byte, then what tells types of a class apart. A text goes on with
 * its size: of fixed length, filled with zeros, in UTF-8. Versions differ in types of other classes alone. */
enum { CLASS = 0x0f, INTEGER = 0, REAL = 1, TEXT = 3 };
static const struct {
    size_t length;
    unsigned char bytes[20];
} types[] = {[H5_F32] = {20, {REAL, 0x20, 31, 0, 4, 0, 0, 0, 0, 0, 32, 0, 23, 8, 0, 23, 127, 0, 0, 0}},
             [H5_I32] = {12, {INTEGER, 0x08, 0, 0, 4, 0, 0, 0, 0, 0, 32, 0}},
             [H5_I8] = {12, {INTEGER, 0x08, 0, 0, 1, 0, 0, 0, 0, 0, 8, 0}},
             [H5_U64] = {12, {INTEGER, 0x00, 0, 0, 8, 0, 0, 0, 0, 0, 64, 0}},
             [H5_F64] = {20, {REAL, 0x20, 63, 0, 8, 0, 0, 0, 0, 0, 64, 0, 52, 11, 0, 52, 0xff, 0x03, 0, 0}},
             [H5_I64] = {12, {INTEGER, 0x08, 0, 0, 8, 0, 0, 0, 0, 0, 64, 0}},
             [H5_TEXT] = {4, {TEXT, 0x11, 0, 0}}};
enum { TYPES = sizeof types / sizeof *types };

/* The type, and the bytes of one element (of a text: all of it); false: another type. */
static bool read_type(enum h5_type *type, uint64_t *size, struct h5_part part)
{
    for (size_t t = 0; t < TYPES; t++)
        if (part.size >= types[t].length && (part.data[0] & CLASS) == types[t].bytes[0] &&
            memcmp(part.data + 1, types[t].bytes + 1, types[t].length - 1) == 0) {
            *type = (enum h5_type)t;
            part.at = types[t].length;
            *size = t == H5_TEXT ? h5_number(&part, 4) : h5_type_size((enum h5_type)t);
            return !part.over && *size > 0;
        }
    return false;
}

/* Dimensions of a dataspace, 0 for a single value; -1: another kind of it. */
static int read_space(uint64_t shape[H5_MAX_DIMS], struct h5_part space)
{
    enum { SCALAR = 0, SIMPLE = 1 };
    uint64_t version = h5_number(&space, 1), dims = h5_number(&space, 1);
    h5_number(&space, 1); /* is there a largest shape? */
    uint64_t kind = h5_number(&space, 1);
    if (version != 2 || dims > H5_MAX_DIMS || kind != (dims ? SIMPLE : SCALAR))
        return -1;
    for (uint64_t i = 0; i < dims; i++)
        shape[i] = h5_number(&space, 8);
    return space.over ? -1 : (int)dims;
}

enum err_code h5_take_attribute(struct h5_object *o, struct h5_reader *r, struct h5_part p, struct err *e)
{
    uint64_t shape[H5_MAX_DIMS], size = 0, count = 0;
    uint64_t version = h5_number(&p, 1), flags = h5_number(&p, 1), name_size = h5_number(&p, 2);
    uint64_t type_size = h5_number(&p, 2), space_size = h5_number(&p, 2);
    h5_number(&p, 1); /* letters of the name */
    const char *name = (const char *)h5_bytes(&p, name_size);
    struct h5_part type = h5_part_of(&p, type_size), space = h5_part_of(&p, space_size);
    if (p.over || version != 3 || name_size < 2 || strnlen(name, name_size) != name_size - 1)
        return h5_damaged(r, p.address, "an attribute that is not written so here", e);
    struct h5_attribute *a = arena_alloc(&r->arena, 1, sizeof *a, "an attribute", e);
    if (!a)
        return e->code;
    if (flags || !read_type(&a->type, &size, type) ||
        read_space(shape, space) != 0) /* flags: they are elsewhere */
        return err_set(e, ERR_FORMAT, "%s: %s: attribute %s has a type or shape that is not written here",
                       r->path, o->path, name);
    const char *value = (const char *)h5_bytes(&p, size);
    if (!value)
        return h5_damaged(r, p.address, "an attribute that is cut off", e);
    for (const struct h5_attribute *b = o->attributes; b; b = b->next, count++)
        if (strcmp(b->name, name) == 0)
            return err_set(e, ERR_FORMAT, "%s: %s has two attributes named %s: damaged", r->path, o->path,
                           name);
    if (count == LIMIT_H5_ATTRIBUTES)
        return err_set(e, ERR_FORMAT, "%s: %s has more than %d attributes: damaged", r->path, o->path,
                       LIMIT_H5_ATTRIBUTES);
    a->size = (size_t)size;
    a->name = arena_strndup(&r->arena, name, (size_t)name_size - 1, e);
    a->value = a->name ? arena_strndup(&r->arena, value, a->size, e) : NULL;
    a->next = o->attributes;
    o->attributes = a;
    return a->value ? ERR_OK : e->code;
}

enum err_code h5_take_array(struct h5_object *o, const struct h5_reader *r, struct h5_part space,
                            struct h5_part type, struct h5_part layout, struct err *e)
{
    enum { VERSION_OLD = 3, VERSION = 4, CONTIGUOUS = 1 };
    struct h5_array *a = &o->array;
    uint64_t size;
    a->dims = read_space(a->shape, space);
    bool known = read_type(&a->type, &size, type);
    if (known && a->type == H5_TEXT && a->dims == 0)
        a->shape[a->dims++] = size;
    else if (a->type == H5_TEXT)
        known = false;
    if (!known || a->dims < 1)
        return err_set(e, ERR_FORMAT, "%s: dataset %s has a type or shape that is not written here", r->path,
                       o->path);
    uint64_t version = h5_number(&layout, 1), class = h5_number(&layout, 1);
    a->address = h5_number(&layout, 8);
    uint64_t stored = h5_number(&layout, 8);
    if (!h5_array_bytes(&a->bytes, a->type, a->dims, a->shape) || a->bytes > r->file.size || layout.over ||
        (version != VERSION && version != VERSION_OLD) || class != CONTIGUOUS || stored != a->bytes ||
        (stored && (a->address > r->file.size || stored > r->file.size - a->address)))
        return err_set(e, ERR_FORMAT,
                       "%s: dataset %s is not stored in one piece: damaged, or not written here", r->path,
                       o->path);
    return ERR_OK;
}
