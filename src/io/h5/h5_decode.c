#include <string.h>

#include "base/limits.h"
#include "h5_format.h"

/* An encoded type: its class and version in one byte, then what tells types of a class apart. */
struct encoded_type {
    size_t length;
    unsigned char bytes[20];
};
enum { CLASS = 0x0f, INTEGER = 0, REAL = 1, TEXT = 3 };

static const struct encoded_type array_types[] = {
    [H5_F32] = {20, {REAL, 0x20, 31, 0, 4, 0, 0, 0, 0, 0, 32, 0, 23, 8, 0, 23, 127, 0, 0, 0}},
    [H5_I32] = {12, {INTEGER, 0x08, 0, 0, 4, 0, 0, 0, 0, 0, 32, 0}},
    [H5_I8] = {12, {INTEGER, 0x08, 0, 0, 1, 0, 0, 0, 0, 0, 8, 0}},
    [H5_U64] = {12, {INTEGER, 0x00, 0, 0, 8, 0, 0, 0, 0, 0, 64, 0}}};
static const struct encoded_type type_f64 = {
    20, {REAL, 0x20, 63, 0, 8, 0, 0, 0, 0, 0, 64, 0, 52, 11, 0, 52, 0xff, 0x03, 0, 0}};
static const struct encoded_type type_i64 = {12, {INTEGER, 0x08, 0, 0, 8, 0, 0, 0, 0, 0, 64, 0}};

/* Versions differ in types of other classes alone. */
static bool is_type(const struct h5_part *found, const struct encoded_type *type)
{
    return found->size >= type->length && (found->data[0] & CLASS) == type->bytes[0] &&
           memcmp(found->data + 1, type->bytes + 1, type->length - 1) == 0;
}

/* Bytes of a text of fixed length, ended or filled with zeros, in ASCII or UTF-8; 0: another type. */
static uint64_t text_size(struct h5_part type)
{
    enum { FILLED = 0x0f, LETTERS = 0xf0 };
    uint64_t class = h5_number(&type, 1), flags = h5_number(&type, 3), size = h5_number(&type, 4);
    if ((class & CLASS) != TEXT || (flags & FILLED) > 1 || (flags & LETTERS) > 0x10 || flags >> 8 ||
        type.over)
        return 0;
    return size;
}

/* Dimensions of a dataspace; -1: another kind of it. */
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

static struct h5_part part_of(struct h5_part *p, uint64_t size)
{
    struct h5_part part = {.address = p->address + p->at};
    part.data = h5_bytes(p, size);
    part.size = part.data ? (size_t)size : 0;
    part.over = !part.data;
    return part;
}

static enum err_code read_value(struct h5_attribute *out, struct h5_reader *r, struct h5_part type,
                                struct h5_part *value, struct err *e)
{
    uint64_t text = text_size(type), bits;
    if (text > LIMIT_H5_TEXT)
        return err_set(e, ERR_FORMAT, "%s: attribute %s is larger than %d bytes: damaged", r->path,
                       out->item.name, LIMIT_H5_TEXT);
    if (text > 0) {
        const char *bytes = (const char *)h5_bytes(value, text);
        out->kind = H5_KIND_TEXT;
        out->text = bytes ? arena_strndup(&r->arena, bytes, (size_t)text, e) : "";
        return out->text ? ERR_OK : e->code;
    }
    if (is_type(&type, &type_f64)) {
        out->kind = H5_KIND_REAL;
        bits = h5_number(value, 8);
        memcpy(&out->real, &bits, 8);
    } else if (is_type(&type, &type_i64)) {
        out->kind = H5_KIND_INT;
        bits = h5_number(value, 8);
        memcpy(&out->integer, &bits, 8);
    } else {
        return err_set(e, ERR_FORMAT, "%s: attribute %s has a type that is not written here", r->path,
                       out->item.name);
    }
    return ERR_OK;
}

enum err_code h5_decode_attribute(struct h5_attribute *out, struct h5_reader *r, const char *object,
                                  struct h5_part *message, struct err *e)
{
    uint64_t shape[H5_MAX_DIMS];
    uint64_t version = h5_number(message, 1), flags = h5_number(message, 1),
             name_size = h5_number(message, 2);
    uint64_t type_size = h5_number(message, 2), space_size = h5_number(message, 2);
    h5_number(message, 1); /* letters of the name */
    const char *name = (const char *)h5_bytes(message, name_size);
    struct h5_part type = part_of(message, type_size), space = part_of(message, space_size);
    if (message->over || version != 3 || !name || name_size < 2 || strnlen(name, name_size) != name_size - 1)
        return h5_damaged(r, message->address, "an attribute that is not written so here", e);
    out->item.name = arena_strndup(&r->arena, name, (size_t)name_size - 1, e);
    if (!out->item.name)
        return e->code;
    if (flags) /* its type or shape is elsewhere */
        return err_set(e, ERR_FORMAT, "%s: attribute %s has a type that is not written here", r->path, name);
    if (read_space(shape, space) != 0)
        return err_set(e, ERR_FORMAT, "%s: attribute %s is not one value", r->path, name);
    if (read_value(out, r, type, message, e))
        return err_wrap(e, "%s", object);
    return message->over ? h5_damaged(r, message->address, "an attribute that is cut off", e) : ERR_OK;
}

/* Fletcher32, and no other filter. */
static bool has_our_filter(struct h5_part filters)
{
    enum { FLETCHER32 = 3 };
    uint64_t version = h5_number(&filters, 1), count = h5_number(&filters, 1), id = h5_number(&filters, 2);
    h5_number(&filters, 2); /* may it fail? */
    uint64_t values = h5_number(&filters, 2);
    return version == 2 && count == 1 && id == FLETCHER32 && values == 0 && !filters.over;
}

/* Chunks as they are written here: whole in all dimensions behind the one that is split, 1 in those before,
 * so that each is a run of consecutive elements; none is large. */
static bool plan_runs(struct h5_array *a, const uint64_t *chunk)
{
    uint64_t size = h5_type_size(a->type), run = size, row = size, rows = 1, runs = 1;
    int split = 0;
    while (split < a->dims - 1 && chunk[split] == 1)
        split++;
    for (int i = 0; i < a->dims; i++) {
        if (chunk[i] < 1 || chunk[i] > a->shape[i] || (i > split && chunk[i] != a->shape[i]))
            return false;
        run *= chunk[i]; /* no more than the array's bytes, which did not overflow */
        if (i == split)
            runs = a->shape[i] / chunk[i] + (a->shape[i] % chunk[i] != 0);
        if (i < split)
            rows *= a->shape[i];
        else
            row *= a->shape[i];
    }
    a->chunks = rows * runs;
    a->chunks_a_row = runs;
    a->row_bytes = row;
    a->chunk_bytes = run;
    return run <= LIMIT_H5_CHUNK;
}

static bool read_layout(struct h5_array *a, struct h5_part layout)
{
    enum { CHUNKED = 2, ONE_CHUNK = 1, FIXED_ARRAY = 3, FILTERED_CHUNK = 2 };
    uint64_t chunk[H5_MAX_DIMS + 1] = {0};
    uint64_t version = h5_number(&layout, 1), class = h5_number(&layout, 1), flags = h5_number(&layout, 1);
    uint64_t dims = h5_number(&layout, 1), size = h5_number(&layout, 1);
    if (version != 4 || class != CHUNKED || dims != (uint64_t)a->dims + 1 || size < 1 || size > 8)
        return false;
    for (uint64_t i = 0; i < dims; i++)
        chunk[i] = h5_number(&layout, (size_t)size);
    uint64_t index = h5_number(&layout, 1);
    if (!plan_runs(a, chunk) || chunk[dims - 1] != h5_type_size(a->type))
        return false;
    if (index == ONE_CHUNK && flags == FILTERED_CHUNK && a->chunks == 1) {
        a->stored = h5_number(&layout, 8);
        if (h5_number(&layout, 4) != 0) /* filters that were left out */
            return false;
    } else if (index == FIXED_ARRAY && flags == 0) {
        a->indexed = true;
        h5_number(&layout, 1); /* the array has it again */
    } else {
        return false;
    }
    a->address = h5_number(&layout, 8);
    return !layout.over;
}

enum err_code h5_decode_array(struct h5_array *out, const struct h5_reader *r, const char *path,
                              struct h5_part space, struct h5_part type, struct h5_part layout,
                              struct h5_part filters, struct err *e)
{
    size_t t = 0;
    while (t < sizeof array_types / sizeof *array_types && !is_type(&type, &array_types[t]))
        t++;
    out->dims = read_space(out->shape, space);
    if (t == sizeof array_types / sizeof *array_types || out->dims < 1)
        return err_set(e, ERR_FORMAT, "%s: dataset %s has a type or shape that is not written here", r->path,
                       path);
    out->type = (enum h5_type)t;
    if (!h5_array_bytes(&out->bytes, out->type, out->dims, out->shape) || out->bytes > r->file.size ||
        (out->bytes && (!has_our_filter(filters) || !read_layout(out, layout))))
        return err_set(e, ERR_FORMAT, "%s: dataset %s is not stored in full: damaged", r->path, path);
    return ERR_OK;
}
