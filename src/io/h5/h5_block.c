#include <inttypes.h>
#include <string.h>

#include "h5_checksum.h"
#include "h5_format.h"

#define CHECKSUM_SIZE 4

const unsigned char *h5_bytes(struct h5_part *p, uint64_t count)
{
    if (p->over || count > p->size - p->at) {
        p->over = true;
        return NULL;
    }
    const unsigned char *bytes = p->data + p->at;
    p->at += (size_t)count;
    return bytes;
}

uint64_t h5_number(struct h5_part *p, size_t bytes)
{
    uint64_t x = 0;
    const unsigned char *b = h5_bytes(p, bytes);
    for (size_t i = 0; b && i < bytes; i++)
        x |= (uint64_t)b[i] << (8 * i);
    return x;
}

struct h5_part h5_part_of(struct h5_part *p, uint64_t size)
{
    struct h5_part part = {.address = p->address + p->at};
    part.data = h5_bytes(p, size);
    part.size = part.data ? (size_t)size : 0;
    part.over = !part.data;
    return part;
}

enum err_code h5_damaged(const struct h5_reader *r, uint64_t address, const char *what, struct err *e)
{
    return err_set(e, ERR_FORMAT, "%s: %s at byte %" PRIu64 ": the file is damaged: use another one", r->path,
                   what, address);
}

enum err_code h5_claim(struct h5_reader *r, uint64_t address, uint64_t size, struct err *e)
{
    if (address > r->file.size || size > r->file.size - address)
        return h5_damaged(r, address, "a part that lies outside of the file", e);
    if (size > r->left)
        return err_set(e, ERR_FORMAT,
                       "%s: has more in it than fits a file of its size: it is damaged: use another one",
                       r->path);
    r->left -= size;
    return ERR_OK;
}

enum err_code h5_block(struct h5_part *out, struct h5_reader *r, uint64_t address, uint64_t size,
                       const char *letters, struct err *e)
{
    size_t front = strlen(letters);
    if (h5_claim(r, address, size, e))
        return e->code;
    unsigned char *data = arena_alloc(&r->scratch, (size_t)size, 1, r->path, e);
    if (!data || file_in_read(data, &r->file, address, (size_t)size, e))
        return e->code;
    if (size < front + CHECKSUM_SIZE || memcmp(data, letters, front) != 0)
        return h5_damaged(r, address, "no block of the kind that should be there", e);
    *out = (struct h5_part){
        .data = data, .address = address, .size = (size_t)size, .at = (size_t)size - CHECKSUM_SIZE};
    if (h5_number(out, CHECKSUM_SIZE) != h5_lookup3(data, (size_t)size - CHECKSUM_SIZE))
        return h5_damaged(r, address, "a block with a wrong checksum", e);
    out->size -= CHECKSUM_SIZE;
    out->at = front;
    return ERR_OK;
}
