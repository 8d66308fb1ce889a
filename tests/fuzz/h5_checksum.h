/*
 * Finds the blocks of an HDF5 file's metadata that carry a checksum, and puts the checksums right again.
 * Source: HDF5 file format specification 3.0; the hash is Bob Jenkins' lookup3, which HDF5 uses.
 */
#ifndef MPILORA_TESTS_H5_CHECKSUM_H
#define MPILORA_TESTS_H5_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { H5_BLOCKS_MAX = 256, H5_BLOCK_MAX = 4096 };

struct h5_blocks {
    struct h5_block {
        size_t begin, size; /* the checksum's four bytes stand behind */
    } items[H5_BLOCKS_MAX];
    size_t count;
};

static inline uint32_t h5_rotate(uint32_t x, int k)
{
    return x << k | x >> (32 - k);
}

static inline uint32_t h5_word(const uint8_t *p, size_t left)
{
    uint32_t x = 0;
    for (size_t i = 0; i < 4 && i < left; i++)
        x |= (uint32_t)p[i] << (8 * i);
    return x;
}

static inline uint32_t h5_checksum(const uint8_t *p, size_t length)
{
    uint32_t a = 0xdeadbeef + (uint32_t)length, b = a, c = a;
    for (; length > 12; p += 12, length -= 12) {
        a += h5_word(p, 4), b += h5_word(p + 4, 4), c += h5_word(p + 8, 4);
        a -= c, a ^= h5_rotate(c, 4), c += b;
        b -= a, b ^= h5_rotate(a, 6), a += c;
        c -= b, c ^= h5_rotate(b, 8), b += a;
        a -= c, a ^= h5_rotate(c, 16), c += b;
        b -= a, b ^= h5_rotate(a, 19), a += c;
        c -= b, c ^= h5_rotate(b, 4), b += a;
    }
    if (!length)
        return c;
    a += h5_word(p, length);
    b += length > 4 ? h5_word(p + 4, length - 4) : 0;
    c += length > 8 ? h5_word(p + 8, length - 8) : 0;
    c ^= b, c -= h5_rotate(b, 14);
    a ^= c, a -= h5_rotate(c, 11);
    b ^= a, b -= h5_rotate(a, 25);
    c ^= b, c -= h5_rotate(b, 16);
    a ^= c, a -= h5_rotate(c, 4);
    b ^= a, b -= h5_rotate(a, 14);
    c ^= b, c -= h5_rotate(b, 24);
    return c;
}

/* A block ends where the checksum of what stands before is met; none is longer than the next block allows. */
static inline void h5_find_blocks(struct h5_blocks *blocks, const uint8_t *bytes, size_t size)
{
    static const char *const signatures[] = {"\211HDF", "OHDR", "OCHK", "FRHP", "FHDB", "FHIB", "BTHD",
                                             "BTIN",    "BTLF", "FAHD", "FADB", "EAHD", "EAIB", "EADB"};
    blocks->count = 0;
    for (size_t at = 0; at + 8 < size && blocks->count < H5_BLOCKS_MAX; at++) {
        size_t s = 0;
        while (s < sizeof signatures / sizeof *signatures && memcmp(bytes + at, signatures[s], 4) != 0)
            s++;
        if (s == sizeof signatures / sizeof *signatures)
            continue;
        for (size_t length = 8; length < H5_BLOCK_MAX && at + length + 4 <= size; length++)
            if (h5_word(bytes + at + length, 4) == h5_checksum(bytes + at, length)) {
                blocks->items[blocks->count++] = (struct h5_block){at, length};
                break;
            }
    }
}

static inline void h5_mend_blocks(const struct h5_blocks *blocks, uint8_t *bytes)
{
    for (size_t i = 0; i < blocks->count; i++) {
        const struct h5_block *b = &blocks->items[i];
        uint32_t sum = h5_checksum(bytes + b->begin, b->size);
        for (size_t k = 0; k < 4; k++)
            bytes[b->begin + b->size + k] = (uint8_t)(sum >> (8 * k));
    }
}

#endif
