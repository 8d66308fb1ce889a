/*
 * Packs: whole examples laid end to end, up to a limit of tokens. A pack is the unit of work of a rank.
 *
 * The packs of a batch depend only on the lengths of its examples and on the limit, never on the number of ranks.
 * Examples are assigned in the order of decreasing length, each to the pack with the fewest tokens, starting with
 * ceil(total / limit) packs; if an example does not fit into any pack, one more pack is opened. Inside a pack,
 * examples are in batch order; packs are ordered by their first example.
 */
#ifndef MPILORA_DATA_EXAMPLES_PACK_H
#define MPILORA_DATA_EXAMPLES_PACK_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

struct pack_plan {
    uint32_t *pack_of; /* [examples] pack number of each example of the batch */
    uint32_t *order;   /* [examples] example numbers grouped by pack */
    uint32_t *first;   /* [pack_count + 1] index in `order` at which each pack starts */
    uint64_t *tokens;  /* [pack_count] */
    size_t pack_count;
    size_t capacity; /* number of examples for which there is memory */
};

/* Allocates memory for batches of up to `examples` examples. */
enum err_code pack_plan_init(struct pack_plan *p, size_t examples, struct arena *a, struct err *e);

/* Plans one batch. An example longer than `limit` is ERR_USAGE (the caller keeps max_length <= limit). */
enum err_code pack_plan_batch(struct pack_plan *p, const uint32_t *lengths, size_t count, uint64_t limit,
                              struct err *e);

/* Rank `rank` of `world` owns packs [*begin, *end): contiguous, sizes differ by at most one. */
void pack_share(size_t *begin, size_t *end, size_t pack_count, size_t rank, size_t world);

/* One pack, as the model reads it. A pair is two of its examples, first the chosen side, then the rejected one, with
 * the same sample number; a rejected side may begin with tokens of the chosen one, which are not laid down a second
 * time. The arrays have memory for `token_capacity` tokens and `example_capacity` examples. */
struct pack {
    int32_t *tokens;     /* [token_count] */
    int32_t *positions;  /* [token_count] in the example: from 0, or from its prefix on */
    uint8_t *supervised; /* [token_count] marks */
    uint32_t *offsets;   /* [example_count + 1] first own token of each example */
    uint32_t *prefixes;  /* [example_count] that many first tokens of the last example before it without a prefix come
                          * before an example's own */
    uint64_t *
        samples; /* [example_count] sample number over the whole run, counting all epochs: the key of dropout */
    size_t token_count, example_count, supervised_count;
    size_t repeated; /* sum of the prefixes */
    size_t token_capacity, example_capacity;
};

enum err_code pack_init(struct pack *p, size_t token_capacity, size_t example_capacity, struct arena *a,
                        struct err *e);
void pack_clear(struct pack *p);
/* Appends an example; the capacity must be sufficient. */
void pack_add(struct pack *p, const int32_t *tokens, const uint8_t *supervised, size_t count,
              uint64_t sample);
/* Appends the own tokens of an example that begins with the first `prefix` tokens of the last one without a prefix. */
void pack_add_after(struct pack *p, size_t prefix, const int32_t *tokens, const uint8_t *supervised, size_t count,
                    uint64_t sample);

#endif
