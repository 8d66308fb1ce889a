#include <stdlib.h>
#include <string.h>

#include "h5_checksum.h"
#include "h5_format.h"

enum { CHECKSUM_SIZE = 4 };

static enum err_code not_in_full(const struct h5_reader *r, const char *path, struct err *e)
{
    return err_set(e, ERR_FORMAT, "%s: dataset %s is not stored in full: damaged", r->path, path);
}

/* Where the chunks of an array are: a fixed array of addresses and sizes, which may be cut into pages, each
 * with a checksum. */
struct index {
    struct h5_part data;                 /* the whole data block */
    uint64_t front, pages, page_entries; /* front: bytes before the first entry */
    size_t entry_size;
};

static enum err_code check_pages(struct index *x, struct h5_reader *r, uint64_t entries, struct err *e)
{
    for (uint64_t i = 0; i < x->pages; i++) {
        uint64_t left = entries - i * x->page_entries;
        size_t size = (size_t)(left < x->page_entries ? left : x->page_entries) * x->entry_size;
        size_t at = (size_t)(x->front + i * (x->page_entries * x->entry_size + CHECKSUM_SIZE));
        struct h5_part sum = {.data = x->data.data, .size = x->data.size, .at = at + size};
        if (h5_number(&sum, CHECKSUM_SIZE) != h5_lookup3(x->data.data + at, size))
            return h5_damaged(r, x->data.address + at, "a page with a wrong checksum", e);
    }
    return ERR_OK;
}

static enum err_code read_index(struct index *x, struct h5_reader *r, const struct h5_array *a,
                                const char *path, struct arena *memory, struct err *e)
{
    enum { WITH_SIZES = 1, ENTRY_MIN = 13, ENTRY_MAX = 20, PAGE_BITS_MAX = 30 };
    struct h5_part head;
    if (h5_fetch_block(&head, r, a->address, 28, "FAHD", 0, memory, e))
        return e->code;
    uint64_t kind = h5_number(&head, 1);
    x->entry_size = (size_t)h5_number(&head, 1);
    uint64_t page_bits = h5_number(&head, 1), entries = h5_number(&head, 8), address = h5_number(&head, 8);
    if (kind != WITH_SIZES || x->entry_size < ENTRY_MIN || x->entry_size > ENTRY_MAX ||
        page_bits > PAGE_BITS_MAX || entries != a->chunks)
        return h5_damaged(r, a->address, "an index of chunks that is not written so here", e);
    if (address == H5_NOWHERE)
        return not_in_full(r, path, e);
    x->page_entries = (uint64_t)1 << page_bits;
    x->pages = entries > x->page_entries ? (entries - 1) / x->page_entries + 1 : 0;
    uint64_t marks = (x->pages + 7) / 8; /* a bit for each page, set if it was ever written */
    x->front = 4 + 2 + 8 + marks + (x->pages ? CHECKSUM_SIZE : 0);
    uint64_t size = x->front + entries * x->entry_size + (x->pages ? x->pages : 1) * CHECKSUM_SIZE;
    struct h5_part front;
    if (h5_fetch(&x->data, r, address, size, memory, e))
        return e->code;
    front = x->data;
    uint64_t checked = x->pages ? x->front - CHECKSUM_SIZE : size - CHECKSUM_SIZE;
    struct h5_part sum = {.data = x->data.data, .size = x->data.size, .at = (size_t)checked};
    if (memcmp(h5_bytes(&front, 4), "FADB", 4) != 0 || h5_number(&front, 1) != 0 ||
        h5_number(&front, 1) != kind || h5_number(&front, 8) != a->address)
        return h5_damaged(r, address, "no index of these chunks", e);
    if (h5_number(&sum, CHECKSUM_SIZE) != h5_lookup3(x->data.data, (size_t)checked))
        return h5_damaged(r, address, "a block with a wrong checksum", e);
    return check_pages(x, r, entries, e);
}

/* Where chunk i is, and how many bytes it has there; false: it was never written, or without its checksum. */
static bool find_chunk(uint64_t *address, uint64_t *stored, const struct index *x, const struct h5_array *a,
                       uint64_t i)
{
    if (!a->indexed) {
        *address = a->address;
        *stored = a->stored;
        return *address != H5_NOWHERE;
    }
    struct h5_part p = x->data;
    uint64_t page = x->pages ? i / x->page_entries : 0;
    p.at = (size_t)(x->front + i * x->entry_size + page * CHECKSUM_SIZE);
    *address = h5_number(&p, 8);
    *stored = h5_number(&p, x->entry_size - 12);
    return *address != H5_NOWHERE && h5_number(&p, 4) == 0 && !p.over;
}

static enum err_code read_chunks(unsigned char *data, struct file_hasher *hasher, unsigned char *chunk,
                                 const struct index *x, struct h5_reader *r, const struct h5_array *a,
                                 const char *path, struct err *e)
{
    for (uint64_t i = 0; i < a->chunks; i++) {
        uint64_t address, stored, row = i / a->chunks_a_row, before = i % a->chunks_a_row * a->chunk_bytes;
        uint64_t length = a->row_bytes - before < a->chunk_bytes ? a->row_bytes - before : a->chunk_bytes;
        if (!find_chunk(&address, &stored, x, a, i) || stored != a->chunk_bytes + CHECKSUM_SIZE)
            return not_in_full(r, path, e);
        if (h5_claim(r, address, stored, e) || file_in_read(chunk, &r->file, address, (size_t)stored, e))
            return e->code;
        struct h5_part sum = {.data = chunk, .size = (size_t)stored, .at = (size_t)a->chunk_bytes};
        if (h5_number(&sum, CHECKSUM_SIZE) != h5_fletcher32(chunk, (size_t)a->chunk_bytes))
            return h5_damaged(r, address, "a chunk with a wrong checksum", e);
        if (data)
            memcpy(data + row * a->row_bytes + before, chunk, (size_t)length);
        else
            file_hasher_add(hasher, chunk, (size_t)length);
    }
    return ERR_OK;
}

enum err_code h5_array_read(void *data, struct file_hasher *hasher, struct h5_reader *r,
                            const struct h5_array *a, const char *path, struct err *e)
{
    struct index x = {0};
    struct arena memory = {0};
    if (a->bytes == 0)
        return ERR_OK;
    enum err_code code = a->indexed ? read_index(&x, r, a, path, &memory, e) : ERR_OK;
    unsigned char *chunk = malloc((size_t)a->chunk_bytes + CHECKSUM_SIZE);
    if (!code && !chunk)
        code = err_set(e, ERR_MEMORY, "not enough memory for a chunk of %s", r->path);
    if (!code)
        code = read_chunks(data, hasher, chunk, &x, r, a, path, e);
    free(chunk);
    arena_release(&memory);
    return code;
}
