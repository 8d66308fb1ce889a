/*
 * Packs: whole examples laid end to end, up to a limit of tokens; the unit of work of a rank.
 *
 * The packs of a batch depend on the lengths of its examples and on the limit alone, never on the number of
 * ranks. Longest example first into the least loaded of ceil(total / limit) packs; one more pack whenever an
 * example fits nowhere. Inside a pack, examples are in batch order; packs are ordered by their first example.
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
    uint32_t *first;   /* [pack_count + 1] where each pack begins in `order` */
    uint64_t *tokens;  /* [pack_count] */
    size_t pack_count;
    size_t capacity; /* examples that the arrays have room for */
};

/* Memory for batches of up to `examples` examples. */
enum err_code pack_plan_init(struct pack_plan *p, size_t examples, struct arena *a, struct err *e);

/* Plans one batch. An example longer than `limit` is ERR_USAGE (the caller keeps max_length <= limit). */
enum err_code pack_plan_batch(struct pack_plan *p, const uint32_t *lengths, size_t count, uint64_t limit,
                              struct err *e);

/* Rank `rank` of `world` owns packs [*begin, *end): contiguous, sizes differ by at most one. */
void pack_share(size_t *begin, size_t *end, size_t pack_count, size_t rank, size_t world);

/* One pack, as the model takes it. Arrays have room for `token_capacity` tokens and `example_capacity`
 * examples. */
struct pack {
    int32_t *tokens;     /* [token_count] */
    int32_t *positions;  /* [token_count]; restart at 0 with each example */
    uint8_t *supervised; /* [token_count] */
    uint32_t *offsets;   /* [example_count + 1] first token of each example */
    uint64_t *
        samples; /* [example_count] number of the example over the whole run, epochs included: keys dropout */
    size_t token_count, example_count, supervised_count;
    size_t token_capacity, example_capacity;
};

enum err_code pack_init(struct pack *p, size_t token_capacity, size_t example_capacity, struct arena *a,
                        struct err *e);
void pack_clear(struct pack *p);
/* Lays an example behind the others; the capacity must suffice. */
void pack_add(struct pack *p, const int32_t *tokens, const uint8_t *supervised, size_t count,
              uint64_t sample);

#endif
