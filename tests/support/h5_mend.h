/*
 * Finds the blocks of an HDF5 file's metadata that carry a checksum, and puts the checksums right again after
 * a change. Source: HDF5 File Format Specification 3.0.
 */
#ifndef MPILORA_TESTS_H5_MEND_H
#define MPILORA_TESTS_H5_MEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../../src/io/h5/h5_checksum.h"

enum { H5_BLOCKS_MAX = 1024 };

struct h5_blocks {
    struct h5_block {
        size_t begin, size; /* without the checksum, which stands after it */
    } items[H5_BLOCKS_MAX];
    size_t count;
};

static inline uint32_t h5_get_sum(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline void h5_put_sum(uint8_t *p, uint32_t sum)
{
    for (size_t k = 0; k < 4; k++)
        p[k] = (uint8_t)(sum >> (8 * k));
}

/* Puts the checksum of a block right; was it right before? */
static inline bool h5_mend_block(const struct h5_block *b, uint8_t *bytes)
{
    uint8_t *sum = bytes + b->begin + b->size;
    uint32_t was = h5_get_sum(sum);
    h5_put_sum(sum, h5_lookup3(bytes + b->begin, b->size));
    return h5_get_sum(sum) == was;
}

static inline bool h5_try_block(struct h5_block *out, size_t begin, size_t length, uint8_t *bytes,
                                size_t size)
{
    struct h5_block b = {begin, length};
    if (begin + length + 4 > size)
        return false;
    uint32_t was = h5_get_sum(bytes + begin + length);
    if (h5_mend_block(&b, bytes)) {
        *out = b;
        return true;
    }
    h5_put_sum(bytes + begin + length, was);
    return false;
}

/* The length of a block is told by its kind, or it ends where the checksum of what stands before is met. */
static inline bool h5_find_block(struct h5_block *out, size_t at, uint8_t *bytes, size_t size)
{
    static const struct {
        const char *letters;
        size_t first, last; /* lengths to try */
    } kinds[] = {{"\211HDF", 44, 44}, {"OCHK", 8, 8192}};
    if (memcmp(bytes + at, "OHDR", 4) == 0) { /* its flags say how long it is */
        size_t flags = bytes[at + 5], width = (size_t)1 << (flags & 3), length = 0;
        size_t front = 6u + (flags & 0x20 ? 16u : 0) + (flags & 0x10 ? 4u : 0);
        for (size_t i = 0; i < width && i < 3 && at + front + i < size; i++)
            length |= (size_t)bytes[at + front + i] << (8 * i);
        length += front + width;
        return h5_try_block(out, at, length, bytes, size);
    }
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (size_t n = kinds[k].first; memcmp(bytes + at, kinds[k].letters, 4) == 0 && n <= kinds[k].last;
             n++)
            if (h5_try_block(out, at, n, bytes, size))
                return true;
    return false;
}

static inline void h5_find_blocks(struct h5_blocks *blocks, uint8_t *bytes, size_t size)
{
    blocks->count = 0;
    for (size_t at = 0; at + 8 < size && blocks->count < H5_BLOCKS_MAX; at++)
        blocks->count += h5_find_block(&blocks->items[blocks->count], at, bytes, size);
}

static inline void h5_mend_blocks(const struct h5_blocks *blocks, uint8_t *bytes)
{
    for (size_t i = 0; i < blocks->count; i++)
        h5_mend_block(&blocks->items[i], bytes);
}

#endif
