#include <stdbool.h>
#include <string.h>

#include "base/limits.h"
#include "h5_checksum.h"
#include "h5_format.h"

#define TREE_DEPTH_MAX 16

static unsigned bits_of(uint64_t x)
{
    return 63 - (unsigned)__builtin_clzll(x | 1);
}

/* Bytes that hold numbers up to `limit`. */
static size_t bytes_for(uint64_t limit)
{
    return bits_of(limit) / 8 + 1;
}

/* ---- version 2 B-trees ---- */

struct tree {
    struct h5_reader *r;
    enum h5_tree type;
    size_t record_size, count, total;
    size_t pointer_size[TREE_DEPTH_MAX + 1], count_size, total_size[TREE_DEPTH_MAX + 1];
    unsigned char *records;
};

/* How many records a node can have at each height, which says how its pointers are encoded. */
static bool plan_nodes(struct tree *t, uint64_t node_size, unsigned depth)
{
    const uint64_t frame = 10; /* letters, version, type, checksum */
    if (node_size < frame + t->record_size)
        return false;
    uint64_t most = (node_size - frame) / t->record_size, all = most;
    t->count_size = bytes_for(most);
    t->total_size[0] = 0;
    for (unsigned d = 1; d <= depth; d++) {
        t->pointer_size[d] = 8 + t->count_size + t->total_size[d - 1];
        if (node_size < frame + t->pointer_size[d])
            return false;
        most = (node_size - frame - t->pointer_size[d]) / (t->record_size + t->pointer_size[d]);
        if (most == 0 || __builtin_mul_overflow(most + 1, all, &all) ||
            __builtin_add_overflow(all, most, &all))
            return false;
        t->total_size[d] = bytes_for(all);
    }
    return true;
}

/* The records of a node and of those below, in any order. */
static enum err_code read_node(struct tree *t, uint64_t address, uint64_t count, unsigned depth,
                               struct err *e)
{
    struct h5_part node;
    uint64_t size = 10 + count * t->record_size + (depth ? (count + 1) * t->pointer_size[depth] : 0);
    if (count == 0 || count > t->total - t->count)
        return h5_damaged(t->r, address, "a node with a wrong number of records", e);
    if (h5_fetch_block(&node, t->r, address, size, depth ? "BTIN" : "BTLF", 0, &t->r->scratch, e))
        return e->code;
    if (h5_number(&node, 1) != t->type)
        return h5_damaged(t->r, address, "a node of another tree", e);
    const unsigned char *records = h5_bytes(&node, count * t->record_size);
    if (!records)
        return h5_damaged(t->r, address, "a node with a wrong number of records", e);
    memcpy(t->records + t->count * t->record_size, records, (size_t)count * t->record_size);
    t->count += (size_t)count;
    for (uint64_t i = 0; depth && i <= count; i++) {
        uint64_t child = h5_number(&node, 8), below = h5_number(&node, t->count_size);
        h5_number(&node, t->total_size[depth - 1]);
        if (read_node(t, child, below, depth - 1, e))
            return e->code;
    }
    return ERR_OK;
}

enum err_code h5_tree_read(struct h5_records *out, struct h5_reader *r, uint64_t address, enum h5_tree type,
                           size_t record_size, struct err *e)
{
    struct h5_part p;
    struct tree t = {.r = r, .type = type, .record_size = record_size};
    if (h5_fetch_block(&p, r, address, 38, "BTHD", 0, &r->scratch, e))
        return e->code;
    uint64_t found = h5_number(&p, 1), node_size = h5_number(&p, 4), size = h5_number(&p, 2);
    unsigned depth = (unsigned)h5_number(&p, 2);
    h5_number(&p, 2); /* when nodes are split and merged */
    uint64_t root = h5_number(&p, 8), root_count = h5_number(&p, 2), total = h5_number(&p, 8);
    if (found != type || size != record_size || depth > TREE_DEPTH_MAX || !plan_nodes(&t, node_size, depth) ||
        total > r->file.size / record_size)
        return h5_damaged(r, address, "a B-tree that is not written so here", e);
    t.total = (size_t)total;
    t.records = arena_alloc(&r->scratch, t.total, record_size, "records of a B-tree", e);
    if (!t.records)
        return e->code;
    if (total > 0 && read_node(&t, root, root_count, depth, e))
        return e->code;
    if (t.count != t.total)
        return h5_damaged(r, address, "a B-tree with a wrong number of records", e);
    *out = (struct h5_records){t.records, t.count};
    return ERR_OK;
}

/* ---- fractal heaps ---- */

/* The space of a heap is cut into rows of `width` blocks: two rows of blocks of `start` bytes, then each of
 * twice the size of the one before. Blocks up to `direct_max` hold objects, larger ones are again cut into
 * rows. */
struct h5_heap {
    uint64_t address, width, start, direct_max;
    size_t id_size, offset_size, length_size;
    unsigned bits; /* of the space */
    struct heap_block {
        struct h5_part part;
        uint64_t offset; /* in the heap's space */
        struct heap_block *before;
    } * last, **blocks; /* blocks: all, by their offsets */
    size_t count;
    struct h5_records huge; /* address, length and number of objects that stand by themselves */
};

enum { HUGE_RECORD_SIZE = 24 };

static uint64_t row_size(const struct h5_heap *h, unsigned row)
{
    return row ? h->start << (row - 1) : h->start;
}

/* What blocks of objects and blocks of blocks have in front: their heap and their place in it. */
static enum err_code check_front(struct h5_part *block, struct h5_reader *r, const struct h5_heap *h,
                                 uint64_t offset, struct err *e)
{
    if (h5_number(block, 8) != h->address || h5_number(block, h->offset_size) != offset)
        return h5_damaged(r, block->address, "a block of another heap", e);
    return ERR_OK;
}

/* Its checksum stands in front, over the whole block with the checksum as zeros. */
static enum err_code read_direct(struct h5_heap *h, struct h5_reader *r, uint64_t address, uint64_t offset,
                                 uint64_t size, struct err *e)
{
    static const unsigned char front[] = {'F', 'H', 'D', 'B', 0};
    struct heap_block *b = arena_alloc(&r->scratch, 1, sizeof *b, "a block of a heap", e);
    if (!b || h5_fetch(&b->part, r, address, size, &r->scratch, e))
        return e->code;
    const unsigned char *found = h5_bytes(&b->part, sizeof front);
    if (!found || memcmp(found, front, sizeof front) != 0)
        return h5_damaged(r, address, "no block of a heap", e);
    if (check_front(&b->part, r, h, offset, e))
        return e->code;
    unsigned char *sum = (unsigned char *)(uintptr_t)h5_bytes(&b->part, 4); /* our own copy */
    if (!sum)
        return h5_damaged(r, address, "no block of a heap", e);
    b->part.at -= 4;
    uint64_t wanted = h5_number(&b->part, 4);
    memset(sum, 0, 4);
    if (wanted != h5_lookup3(b->part.data, b->part.size))
        return h5_damaged(r, address, "a block with a wrong checksum", e);
    b->offset = offset;
    b->before = h->last;
    h->last = b;
    h->count++;
    return ERR_OK;
}

static enum err_code read_indirect(struct h5_heap *h, struct h5_reader *r, uint64_t address, uint64_t offset,
                                   unsigned rows, struct err *e)
{
    struct h5_part block;
    unsigned first_bits = bits_of(h->start * h->width); /* of the space of a row of the smallest blocks */
    unsigned direct_rows = bits_of(h->direct_max) - bits_of(h->start) + 2;
    if (rows < 1 || rows > h->bits - first_bits + 1)
        return h5_damaged(r, address, "a block with a wrong number of rows", e);
    if (h5_fetch_block(&block, r, address, 5 + 8 + h->offset_size + rows * h->width * 8 + 4, "FHIB", 0,
                       &r->scratch, e) ||
        check_front(&block, r, h, offset, e))
        return e->code;
    for (unsigned row = 0; row < rows; row++)
        for (uint64_t column = 0; column < h->width; column++, offset += row_size(h, row)) {
            uint64_t child = h5_number(&block, 8), size = row_size(h, row);
            if (child == H5_NOWHERE)
                continue;
            /* bits_of(size) > first_bits wherever there are rows of rows, if the heap is sound */
            if (row < direct_rows
                    ? read_direct(h, r, child, offset, size, e)
                    : read_indirect(h, r, child, offset,
                                    bits_of(size) < first_bits ? 0 : bits_of(size) - first_bits + 1, e))
                return e->code;
        }
    return ERR_OK;
}

static bool is_power_of_two(uint64_t x)
{
    return x && !(x & (x - 1));
}

enum err_code h5_heap_read(struct h5_heap **out, struct h5_reader *r, uint64_t address, size_t id_size,
                           struct err *e)
{
    enum { CHECKED_BLOCKS = 2 };
    struct h5_part p;
    struct h5_heap *h = arena_alloc(&r->scratch, 1, sizeof *h, "a heap", e);
    if (!h || h5_fetch_block(&p, r, address, 146, "FRHP", 0, &r->scratch, e))
        return e->code;
    h->address = address;
    h->id_size = (size_t)h5_number(&p, 2);
    uint64_t filters = h5_number(&p, 2), flags = h5_number(&p, 1), object_max = h5_number(&p, 4);
    h5_number(&p, 8); /* number of the next huge object */
    uint64_t huge = h5_number(&p, 8);
    h5_bytes(&p, 80); /* how much there is of what, and where it is free */
    h->width = h5_number(&p, 2);
    h->start = h5_number(&p, 8);
    h->direct_max = h5_number(&p, 8);
    h->bits = (unsigned)h5_number(&p, 2);
    h5_number(&p, 2); /* rows that a new root begins with */
    uint64_t root = h5_number(&p, 8);
    unsigned rows = (unsigned)h5_number(&p, 2);
    if (h->id_size != id_size || filters || flags != CHECKED_BLOCKS || !is_power_of_two(h->width) ||
        !is_power_of_two(h->start) || !is_power_of_two(h->direct_max) || h->start > h->direct_max ||
        h->direct_max > UINT32_MAX || h->bits > 48 || bits_of(h->direct_max) + bits_of(h->width) > h->bits)
        return h5_damaged(r, address, "a heap that is not written so here", e);
    h->offset_size = (h->bits + 7) / 8;
    size_t most = bytes_for(h->direct_max), length = bytes_for(object_max);
    h->length_size = length < most ? length : most;
    if (huge != H5_NOWHERE && h5_tree_read(&h->huge, r, huge, H5_TREE_HUGE, HUGE_RECORD_SIZE, e))
        return e->code;
    if (h->huge.count > LIMIT_H5_ATTRIBUTES)
        return h5_damaged(r, huge, "more large objects than are written here", e);
    if (root != H5_NOWHERE &&
        (rows ? read_indirect(h, r, root, 0, rows, e) : read_direct(h, r, root, 0, h->start, e)))
        return e->code;
    h->blocks = arena_alloc(&r->scratch, h->count, sizeof *h->blocks, "blocks of a heap", e);
    if (!h->blocks)
        return e->code;
    size_t i = h->count;
    for (struct heap_block *b = h->last; b; b = b->before) /* they were read in ascending order */
        h->blocks[--i] = b;
    *out = h;
    return ERR_OK;
}

static enum err_code get_huge(struct h5_part *out, struct h5_reader *r, const struct h5_heap *h,
                              uint64_t number, struct err *e)
{
    struct h5_part records = {.data = h->huge.data, .size = h->huge.count * HUGE_RECORD_SIZE};
    while (records.at < records.size) {
        uint64_t address = h5_number(&records, 8), length = h5_number(&records, 8);
        if (h5_number(&records, 8) == number)
            return h5_fetch(out, r, address, length, &r->scratch, e);
    }
    return h5_damaged(r, h->address, "a heap without an object that should be in it", e);
}

enum err_code h5_heap_get(struct h5_part *out, struct h5_reader *r, const struct h5_heap *h,
                          const unsigned char *id, struct err *e)
{
    enum { MANAGED = 0x00, HUGE_ONE = 0x10 };
    struct h5_part p = {.data = id, .size = h->id_size};
    uint64_t kind = h5_number(&p, 1);
    if (kind == HUGE_ONE)
        return get_huge(out, r, h, h5_number(&p, h->id_size - 1 < 8 ? h->id_size - 1 : 8), e);
    uint64_t offset = h5_number(&p, h->offset_size), length = h5_number(&p, h->length_size);
    size_t low = 0, high = h->count; /* the last block that begins at this offset or before */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (h->blocks[middle]->offset <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    const struct heap_block *b = low ? h->blocks[low - 1] : NULL;
    uint64_t at = b ? offset - b->offset : 0;
    if (kind == MANAGED && !p.over && b && at >= b->part.at && at < b->part.size &&
        length <= b->part.size - at) {
        *out = (struct h5_part){
            .data = b->part.data + at, .address = b->part.address + at, .size = (size_t)length};
        return ERR_OK;
    }
    return h5_damaged(r, h->address, "a heap without an object that should be in it", e);
}
