#include <inttypes.h>
#include <string.h>

#include "h5_format.h"

#define OBJECT_BYTES_MIN 64 /* of the file, with the object's name */
#define PATH_SHARE       4 /* bytes of all paths for a byte of the file: a group's name is in those below it, too */

/* Kinds of message in an object's header. */
enum {
    NOTHING = 0x00,
    SPACE = 0x01,
    LINK_INFO = 0x02,
    TYPE = 0x03,
    FILL = 0x05,
    LINK = 0x06,
    LAYOUT = 0x08,
    GROUP_INFO = 0x0a,
    ATTRIBUTE = 0x0c,
    CONTINUATION = 0x10,
    ATTRIBUTE_INFO = 0x15
};

/* An object's header while it is read. data NULL: there is no such message, or no continuation left to be read. */
struct header {
    struct h5_object *object;
    struct h5_reader *r;
    struct h5_part space, type, layout, link_info, attribute_info;
    struct piece {
        uint64_t address, size;
        struct piece *next;
    } *pieces; /* continuations still to be read */
    struct err *e;
};

enum err_code h5_object_add(struct h5_reader *r, const struct h5_object *parent, const char *name,
                            size_t length, uint64_t address, struct err *e)
{
    size_t before = parent && parent->path[1] ? strlen(parent->path) : 0;
    struct h5_object *o = arena_alloc(&r->arena, 1, sizeof *o, "an object", e);
    char path[H5_PATH_SIZE] = "/";
    if (!o)
        return e->code;
    if (before + 1 + length >= sizeof path)
        return err_set(e, ERR_FORMAT, "%s: the path of an object is longer than %d bytes: damaged", r->path,
                       H5_PATH_SIZE);
    r->path_bytes += before + 1 + length;
    if (r->object_count++ > r->file.size / OBJECT_BYTES_MIN || r->path_bytes / PATH_SHARE > r->file.size)
        return err_set(e, ERR_FORMAT, "%s: has more objects than fit a file of its size: damaged", r->path);
    if (before)
        memcpy(path, parent->path, before);
    path[before] = '/';
    memcpy(path + before + 1, name, length);
    o->path = arena_strndup(&r->arena, path, before + 1 + length, e);
    o->address = address;
    *(r->last ? &r->last->next : &r->first) = o;
    r->last = o;
    return o->path ? ERR_OK : e->code;
}

static enum err_code add_member(struct header *h, struct h5_part p)
{
    enum { NAME_SIZE = 0x03, LETTERS = 0x10 };
    unsigned version = (unsigned)h5_number(&p, 1), flags = (unsigned)h5_number(&p, 1);
    if (flags & ~(unsigned)(NAME_SIZE | LETTERS))
        return err_set(h->e, ERR_FORMAT, "%s: group %s: a member is a link that is not written here",
                       h->r->path, h->object->path);
    h5_number(&p, flags & LETTERS ? 1 : 0);
    uint64_t length = h5_number(&p, (size_t)1 << (flags & NAME_SIZE));
    const char *name = (const char *)h5_bytes(&p, length);
    uint64_t address = h5_number(&p, 8);
    if (p.over || version != 1 || !length || memchr(name, '/', length) || memchr(name, '\0', length))
        return h5_damaged(h->r, p.address, "a member of a group without a name or place", h->e);
    return h5_object_add(h->r, h->object, name, length, address, h->e);
}

static enum err_code add_piece(struct header *h, struct h5_part part)
{
    struct piece *p = arena_alloc(&h->r->scratch, 1, sizeof *p, "a header", h->e);
    if (!p)
        return h->e->code;
    *p = (struct piece){h5_number(&part, 8), h5_number(&part, 8), h->pieces};
    h->pieces = p;
    return part.over ? h5_damaged(h->r, part.address, "a header that goes on nowhere", h->e) : ERR_OK;
}

static enum err_code take_message(struct header *h, unsigned kind, struct h5_part part)
{
    struct h5_part *place = kind == SPACE            ? &h->space
                            : kind == TYPE           ? &h->type
                            : kind == LAYOUT         ? &h->layout
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
        return add_member(h, part);
    case ATTRIBUTE:
        return h5_take_attribute(h->object, h->r, part, h->e);
    case CONTINUATION:
        return add_piece(h, part);
    case NOTHING:
    case FILL:
    case GROUP_INFO:
        return ERR_OK;
    default:
        return h5_damaged(h->r, part.address, "a kind of message that is not written here", h->e);
    }
}

static enum err_code take_messages(struct header *h, struct h5_part *block)
{
    enum { FRONT = 4, SHARED = 0x02 };
    while (block->size - block->at >= FRONT) { /* a shorter rest is a gap */
        unsigned kind = (unsigned)h5_number(block, 1);
        uint64_t size = h5_number(block, 2), flags = h5_number(block, 1);
        struct h5_part part = h5_part_of(block, size);
        if (part.over || flags & SHARED)
            return h5_damaged(h->r, part.address, "a message that is not in its header", h->e);
        if (take_message(h, kind, part))
            return h->e->code;
    }
    return ERR_OK;
}

/* What no file of this format has, and those of older formats do. */
static enum err_code other_format(const struct header *h)
{
    return err_set(
        h->e, ERR_UNSUPPORTED,
        "%s: %s is not of format %d, the one that this mpilora reads: if an older one wrote the file, continue "
        "with that one, or start the run again",
        h->r->path, h->object->path, H5_FORMAT);
}

static enum err_code read_header(struct header *h)
{
    enum {
        SIZE = 0x03,
        BOUNDS = 0x10,
        TIMES = 0x20,
        START = 34
    }; /* START: the longest before the messages */
    unsigned char start[START];
    struct h5_reader *r = h->r;
    uint64_t address = h->object->address;
    uint64_t room = address < r->file.size ? r->file.size - address : 0;
    struct h5_part p = {.data = start, .size = room < START ? (size_t)room : START}, block;
    if (file_in_read(start, &r->file, address, p.size, h->e))
        return h->e->code;
    h5_bytes(&p, 5);
    unsigned flags = (unsigned)h5_number(&p, 1);
    h5_bytes(&p, (flags & TIMES ? 16 : 0) + (flags & BOUNDS ? 4 : 0));
    uint64_t size = h5_number(&p, (size_t)1 << (flags & SIZE));
    if (p.over || size > r->file.size)
        return h5_damaged(r, address, "an object without a header", h->e);
    if (h5_block(&block, r, address, p.at + size + 4, "OHDR\x02", h->e))
        return h->e->code;
    block.at = p.at;
    if (flags & ~(unsigned)(SIZE | BOUNDS))
        return other_format(h);
    if (take_messages(h, &block))
        return h->e->code;
    while (h->pieces) {
        const struct piece *piece = h->pieces;
        h->pieces = piece->next;
        if (h5_block(&block, r, piece->address, piece->size, "OCHK", h->e) || take_messages(h, &block))
            return h->e->code;
    }
    return ERR_OK;
}

/* Members or attributes that are too many for a header of HDF5's usual size lie in a heap. */
static bool is_in_heap(struct h5_part info)
{
    h5_number(&info, 1); /* version */
    uint64_t flags = h5_number(&info, 1);
    return info.data && (flags || h5_number(&info, 8) != H5_NOWHERE);
}

enum err_code h5_object_read(struct h5_object *o, struct h5_reader *r, struct err *e)
{
    struct header h = {.object = o, .r = r, .e = e};
    if (read_header(&h))
        return e->code;
    if (is_in_heap(h.link_info) || is_in_heap(h.attribute_info))
        return other_format(&h);
    o->is_dataset = !h.link_info.data;
    if (!o->is_dataset)
        return ERR_OK;
    if (!h.layout.data || !h.space.data || !h.type.data)
        return err_set(e, ERR_FORMAT, "%s: %s cannot be opened as a dataset, and is no group: damaged",
                       r->path, o->path);
    return h5_take_array(o, r, h.space, h.type, h.layout, e);
}
