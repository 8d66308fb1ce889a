#include <inttypes.h>
#include <string.h>

#include "base/limits.h"
#include "h5_format.h"

enum { LINK_ID_SIZE = 7, LINK_RECORD_SIZE = 11, ATTRIBUTE_ID_SIZE = 8, ATTRIBUTE_RECORD_SIZE = 17 };

/* Kinds of message in an object's header. */
enum {
    NOTHING = 0x00,
    SPACE = 0x01,
    LINK_INFO = 0x02,
    TYPE = 0x03,
    FILL = 0x05,
    LINK = 0x06,
    EXTERNAL = 0x07,
    LAYOUT = 0x08,
    GROUP_INFO = 0x0a,
    FILTERS = 0x0b,
    ATTRIBUTE = 0x0c,
    CONTINUATION = 0x10,
    TIME = 0x12,
    ATTRIBUTE_INFO = 0x15,
    LINK_COUNT = 0x16
};

/* What an object's header says, before it is understood. */
struct header {
    struct h5_object *object;
    struct h5_reader *r;
    const char *path;                                                       /* of the object, for messages */
    struct h5_part space, type, layout, filters, link_info, attribute_info; /* data NULL: there is none */
    bool orders;                                                            /* messages have numbers */
    struct piece {
        uint64_t address, size;
        struct piece *next;
    } * pieces; /* continuations still to be read */
    struct err *e;
};

bool h5_object_path(char path[H5_PATH_SIZE], const struct h5_object *o)
{
    size_t length = 0, at;
    for (const struct h5_object *p = o; p->parent; p = p->parent)
        length += 1 + strlen(p->item.name);
    if (length >= H5_PATH_SIZE)
        return false;
    strcpy(path, "/");
    path[length ? length : 1] = '\0';
    at = length;
    for (const struct h5_object *p = o; p->parent; p = p->parent) {
        size_t part = strlen(p->item.name);
        at -= part;
        memcpy(path + at, p->item.name, part);
        path[--at] = '/';
    }
    return true;
}

/* ---- what stands in the messages ---- */

static enum err_code add_attribute(struct header *h, struct h5_part part)
{
    struct h5_set *all = &h->object->attributes;
    if (all->count == LIMIT_H5_ATTRIBUTES)
        return err_set(h->e, ERR_FORMAT, "%s: %s has more than %d attributes: damaged", h->r->path, h->path,
                       LIMIT_H5_ATTRIBUTES);
    struct h5_attribute *a = arena_alloc(&h->r->arena, 1, sizeof *a, "an attribute", h->e);
    if (!a || h5_decode_attribute(a, h->r, h->path, &part, h->e))
        return h->e->code;
    h5_set_add(all, &a->item);
    return ERR_OK;
}

static enum err_code add_link(struct header *h, struct h5_part part)
{
    enum { NAME_SIZE = 0x03, ORDER = 0x04, KIND = 0x08, LETTERS = 0x10, ALL = 0x1f };
    struct h5_set *all = &h->object->members;
    unsigned version = (unsigned)h5_number(&part, 1), flags = (unsigned)h5_number(&part, 1);
    uint64_t kind = flags & KIND ? h5_number(&part, 1) : 0;
    h5_number(&part, flags & ORDER ? 8 : 0);
    h5_number(&part, flags & LETTERS ? 1 : 0);
    uint64_t length = h5_number(&part, (size_t)1 << (flags & NAME_SIZE));
    const char *name = (const char *)h5_bytes(&part, length);
    uint64_t address = h5_number(&part, 8);
    if (!name || version != 1 || flags & ~(unsigned)ALL || !length || memchr(name, '/', length) ||
        memchr(name, '\0', length))
        return h5_damaged(h->r, part.address, "a member of a group that has no name", h->e);
    if (kind || all->count == LIMIT_H5_MEMBERS)
        return err_set(h->e, ERR_FORMAT,
                       "%s: group %s: member %.*s is a link, or one of more than %d: not written here",
                       h->r->path, h->path, (int)(length < H5_PATH_SIZE ? length : H5_PATH_SIZE), name,
                       LIMIT_H5_MEMBERS);
    if (part.over)
        return h5_damaged(h->r, part.address, "a member of a group that is nowhere", h->e);
    struct h5_object *o = arena_alloc(&h->r->arena, 1, sizeof *o, "an object", h->e);
    if (!o)
        return h->e->code;
    o->item.name = arena_strndup(&h->r->arena, name, (size_t)length, h->e);
    if (!o->item.name)
        return h->e->code;
    o->parent = h->object;
    o->address = address;
    h5_set_add(all, &o->item);
    return ERR_OK;
}

/* Members or attributes that are too many for the header: a tree of their names, and a heap where they lie.
 */
static enum err_code read_dense(struct header *h, struct h5_part info, bool links)
{
    enum { ORDERED = 1, ORDER_INDEXED = 2 };
    struct h5_records records;
    struct h5_heap *heap;
    uint64_t version = h5_number(&info, 1), flags = h5_number(&info, 1);
    h5_number(&info, flags & ORDERED ? links ? 8 : 2 : 0);
    uint64_t heap_address = h5_number(&info, 8), tree = h5_number(&info, 8);
    if (version != 0 || flags & ~(uint64_t)(ORDERED | ORDER_INDEXED) || info.over)
        return h5_damaged(h->r, info.address, "a header that is not written so here", h->e);
    if (heap_address == H5_NOWHERE)
        return ERR_OK;
    size_t size = links ? LINK_RECORD_SIZE : ATTRIBUTE_RECORD_SIZE;
    if (h5_heap_read(&heap, h->r, heap_address, links ? LINK_ID_SIZE : ATTRIBUTE_ID_SIZE, h->e))
        return h->e->code;
    if (h5_tree_read(&records, h->r, tree, links ? H5_TREE_LINKS : H5_TREE_ATTRIBUTES, size, h->e))
        return h->e->code;
    for (size_t i = 0; i < records.count; i++) {
        struct h5_part part;
        /* a link's record has the hash of its name in front; an attribute's has its identity there */
        const unsigned char *id = records.data + i * size + (links ? 4 : 0);
        if (h5_heap_get(&part, h->r, heap, id, h->e) || (links ? add_link(h, part) : add_attribute(h, part)))
            return h->e->code;
    }
    return ERR_OK;
}

/* ---- the header ---- */

static enum err_code add_piece(struct header *h, struct h5_part part)
{
    struct piece *p = arena_alloc(&h->r->scratch, 1, sizeof *p, "a header", h->e);
    if (!p)
        return h->e->code;
    p->address = h5_number(&part, 8);
    p->size = h5_number(&part, 8);
    p->next = h->pieces;
    h->pieces = p;
    return part.over ? h5_damaged(h->r, part.address, "a header that goes on nowhere", h->e) : ERR_OK;
}

static enum err_code take_message(struct header *h, unsigned kind, struct h5_part part)
{
    struct h5_part *place = kind == SPACE            ? &h->space
                            : kind == TYPE           ? &h->type
                            : kind == LAYOUT         ? &h->layout
                            : kind == FILTERS        ? &h->filters
                            : kind == LINK_INFO      ? &h->link_info
                            : kind == ATTRIBUTE_INFO ? &h->attribute_info
                                                     : NULL;
    if (place) {
        if (place->data)
            return h5_damaged(h->r, part.address, "a header that says the same thing twice", h->e);
        *place = part;
        return ERR_OK;
    }
    switch (kind) {
    case LINK:
        return add_link(h, part);
    case ATTRIBUTE:
        return add_attribute(h, part);
    case CONTINUATION:
        return add_piece(h, part);
    case EXTERNAL: /* names of other files, which stay unopened: such an array has no chunks */
    case FILL:
    case GROUP_INFO:
    case TIME:
        return ERR_OK;
    case LINK_COUNT:
        return err_set(h->e, ERR_FORMAT, "%s: %s is in more than one group: not written here", h->r->path,
                       h->path);
    default:
        return h5_damaged(h->r, part.address, "a kind of message that is not written here", h->e);
    }
}

static enum err_code take_messages(struct header *h, struct h5_part *block)
{
    enum { SHARED = 0x02 };
    size_t front = h->orders ? 6 : 4;
    while (block->size - block->at >= front) { /* a shorter rest is a gap */
        unsigned kind = (unsigned)h5_number(block, 1);
        uint64_t size = h5_number(block, 2), flags = h5_number(block, 1);
        h5_number(block, front - 4);
        struct h5_part part = {.address = block->address + block->at, .size = (size_t)size};
        part.data = h5_bytes(block, size);
        if (!part.data)
            return h5_damaged(h->r, part.address, "a message that is longer than its header", h->e);
        if (kind == NOTHING)
            continue;
        if (flags & SHARED)
            return err_set(h->e, ERR_FORMAT,
                           "%s: %s has a type or shape that is not written here: one that objects share",
                           h->r->path, h->path);
        if (take_message(h, kind, part))
            return h->e->code;
    }
    return ERR_OK;
}

static enum err_code read_header(struct header *h)
{
    enum { SIZE = 0x03, ORDERS = 0x04, BOUNDS = 0x10, TIMES = 0x20, KNOWN = 0x3f };
    unsigned char start[34]; /* the longest that comes before the messages */
    struct h5_reader *r = h->r;
    uint64_t address = h->object->address;
    uint64_t room = address < r->file.size ? r->file.size - address : 0;
    struct h5_part p = {.data = start, .size = room < sizeof start ? (size_t)room : sizeof start}, block;
    if (file_in_read(start, &r->file, address, p.size, h->e))
        return h->e->code;
    h5_bytes(&p, 5);
    unsigned flags = (unsigned)h5_number(&p, 1);
    h5_bytes(&p, (flags & TIMES ? 16 : 0) + (flags & BOUNDS ? 4 : 0));
    uint64_t size = h5_number(&p, (size_t)1 << (flags & SIZE));
    if (p.over || flags & ~(unsigned)KNOWN || size > r->file.size)
        return h5_damaged(r, address, "an object without a header", h->e);
    if (h5_fetch_block(&block, r, address, p.at + size + 4, "OHDR", 2, &r->scratch, h->e))
        return h->e->code;
    h->orders = flags & ORDERS;
    block.at = p.at;
    if (take_messages(h, &block))
        return h->e->code;
    while (h->pieces) {
        const struct piece *piece = h->pieces;
        h->pieces = piece->next;
        if (h5_fetch_block(&block, r, piece->address, piece->size, "OCHK", H5_NO_VERSION, &r->scratch,
                           h->e) ||
            take_messages(h, &block))
            return h->e->code;
    }
    return ERR_OK;
}

static enum err_code sort_names(struct h5_set *set, const struct header *h)
{
    const char *twice;
    if (h5_set_sort(set, &twice, &h->r->arena, h->e))
        return h->e->code;
    if (twice)
        return err_set(h->e, ERR_FORMAT, "%s: %s has two things named %s: damaged", h->r->path, h->path,
                       twice);
    return ERR_OK;
}

enum err_code h5_object_read(struct h5_object *o, struct h5_reader *r, int depth, struct err *e)
{
    char path[H5_PATH_SIZE];
    struct header h = {.object = o, .r = r, .path = path, .e = e};
    if (depth > LIMIT_H5_DEPTH)
        return err_set(e, ERR_FORMAT, "%s: groups are nested more than %d deep: damaged", r->path,
                       LIMIT_H5_DEPTH);
    if (!h5_object_path(path, o))
        return err_set(e, ERR_FORMAT, "%s: the path of an object is longer than %d bytes: damaged", r->path,
                       H5_PATH_SIZE);
    if (read_header(&h) || (h.attribute_info.data && read_dense(&h, h.attribute_info, false)) ||
        (h.link_info.data && read_dense(&h, h.link_info, true)) || sort_names(&o->attributes, &h) ||
        sort_names(&o->members, &h))
        return e->code;
    o->is_dataset = !h.link_info.data;
    if (o->is_dataset && (!h.layout.data || !h.space.data || !h.type.data || o->members.count))
        return err_set(e, ERR_FORMAT, "%s: %s cannot be opened as a dataset, and is no group: damaged",
                       r->path, path);
    if (o->is_dataset)
        return h5_decode_array(&o->array, r, path, h.space, h.type, h.layout, h.filters, e);
    return ERR_OK;
}
