/*
 * Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy
 * as 1, 2, 3", SC 2011). A value is a pure function of (key, counter). There is no state to save, and the values do
 * not depend on which rank or thread computes them, or in what order.
 */
#ifndef MPILORA_BASE_RNG_H
#define MPILORA_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

/* The purpose of a number. It is part of the key, so that two purposes never share numbers. */
enum rng_stream {
    RNG_LORA_A = 1,
    RNG_LORA_B = 2,
    RNG_DROPOUT = 3,
    RNG_SHUFFLE = 4,
    RNG_SAMPLE = 5,
    RNG_LORA_BASIS = 6,
    RNG_EVAL_SPLIT = 7
};

struct rng_key {
    uint32_t word[2];
};

/* Key of (seed, stream, item): `item` is e.g. rng_hash() of a module path. */
struct rng_key rng_key_make(uint64_t seed, enum rng_stream stream, uint64_t item);

/* 64-bit FNV-1a of a string, for `item`. */
uint64_t rng_hash(const char *name);

/* Four independent uniform 32-bit words for one 128-bit counter. */
void rng_block(uint32_t out[4], struct rng_key key, const uint32_t counter[4]);

/* Number `index` of the key's stream: as a word of 32 bits, and as a float uniform in [0, 1) with 24 random
 * bits. */
uint32_t rng_word(struct rng_key key, uint64_t index);
float rng_uniform(struct rng_key key, uint64_t index);

/* out[i] = normal number `first + i` of the key's stream, with mean 0 and variance 1, by Box-Muller in double. The
 * values are the same if they are computed in several calls. */
void rng_fill_normal(float *out, struct rng_key key, uint64_t first, size_t count);

/* The place of `index` in a permutation of 0..count-1 that depends on the key alone (cycle-walking Feistel
 * network). */
uint64_t rng_permute(struct rng_key key, uint64_t index, uint64_t count);

#endif
