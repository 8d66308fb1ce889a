#include "base/rng.h"

#include <assert.h>
#include <math.h>

/* Last word of the counter: keeps the uses of one key apart. */
enum { DOMAIN_WORD, DOMAIN_NORMAL, DOMAIN_PERMUTE };

static inline uint32_t low32(uint64_t x)
{
    return (uint32_t)x;
}

static inline uint32_t high32(uint64_t x)
{
    return (uint32_t)(x >> 32);
}

static inline void philox(uint32_t out[4], struct rng_key key, const uint32_t counter[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key.word[0], k1 = key.word[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53 * c0, p1 = (uint64_t)0xCD9E8D57 * c2;
        c0 = high32(p1) ^ c1 ^ k0;
        c2 = high32(p0) ^ c3 ^ k1;
        c1 = low32(p1);
        c3 = low32(p0);
        k0 += 0x9E3779B9; /* golden ratio */
        k1 += 0xBB67AE85; /* sqrt(3) - 1 */
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

void rng_block(uint32_t out[4], struct rng_key key, const uint32_t counter[4])
{
    philox(out, key, counter);
}

static inline void block_of(uint32_t out[4], struct rng_key key, uint64_t number, uint32_t domain)
{
    philox(out, key, (const uint32_t[4]){low32(number), high32(number), 0, domain});
}

struct rng_key rng_key_make(uint64_t seed, enum rng_stream stream, uint64_t item)
{
    uint32_t out[4];
    struct rng_key base = {{low32(seed), high32(seed)}};
    philox(out, base, (const uint32_t[4]){low32(item), high32(item), (uint32_t)stream, 0});
    return (struct rng_key){{out[0], out[1]}};
}

uint64_t rng_hash(const char *name)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (const unsigned char *p = (const unsigned char *)name; *p; p++)
        hash = (hash ^ *p) * UINT64_C(0x100000001b3);
    return hash;
}

uint32_t rng_word(struct rng_key key, uint64_t index)
{
    uint32_t out[4];
    block_of(out, key, index / 4, DOMAIN_WORD);
    return out[index % 4];
}

float rng_uniform(struct rng_key key, uint64_t index)
{
    return (float)(rng_word(key, index) >> 8) * 0x1p-24F;
}

/* Normal numbers 4 * number .. 4 * number + 3, two of each pair of words. The radius' uniform lies in the
 * middle of its 2^-32 cell, so it is never 0: |x| < 6.8. */
static inline void normals_of(float out[4], struct rng_key key, uint64_t number)
{
    uint32_t word[4];
    block_of(word, key, number, DOMAIN_NORMAL);
    for (int i = 0; i < 4; i += 2) {
        double radius = sqrt(-2.0 * log(((double)word[i] + 0.5) * 0x1p-32));
        double sine, cosine;
        sincos((double)word[i + 1] * (2.0 * M_PI * 0x1p-32), &sine, &cosine);
        out[i] = (float)(radius * cosine);
        out[i + 1] = (float)(radius * sine);
    }
}

void rng_fill_normal(float *out, struct rng_key key, uint64_t first, size_t count)
{
    for (size_t done = 0; done < count;) {
        uint64_t index = first + done;
        float four[4];
        normals_of(four, key, index / 4);
        for (unsigned i = index % 4; i < 4 && done < count; i++)
            out[done++] = four[i];
    }
}

/* A balanced Feistel network over 2 * half_bits bits; the walk repeats it until the value falls below count.
 * The domain is less than 4 times count, so a walk takes fewer than 4 turns on average. */
#define FEISTEL_ROUNDS 8

uint64_t rng_permute(struct rng_key key, uint64_t index, uint64_t count)
{
    assert(index < count);
    if (count <= 1)
        return 0;
    int bits = 64 - __builtin_clzll(count - 1);
    int half_bits = (bits + 1) / 2;
    uint32_t mask = (uint32_t)((UINT64_C(1) << half_bits) - 1);
    uint64_t value = index;
    do {
        uint32_t left = (uint32_t)(value >> half_bits) & mask, right = (uint32_t)value & mask;
        for (uint32_t round = 0; round < FEISTEL_ROUNDS; round++) {
            uint32_t out[4];
            philox(out, key, (const uint32_t[4]){right, round, (uint32_t)half_bits, DOMAIN_PERMUTE});
            uint32_t next = left ^ (out[0] & mask);
            left = right;
            right = next;
        }
        value = (uint64_t)left << half_bits | right;
    } while (value >= count);
    return value;
}
