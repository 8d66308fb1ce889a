/*
 * What forward and backward of attention share: how a call's work is cut up and where it lies in the scratch.
 *
 *            keys of an example
 *          0       64      128
 *        0 +--------.
 *          |  \     |                  Queries go by blocks of 64, each with the keys up to its own end, in
 *  queries +--------+--------.         tiles of up to KEYS. The query heads of a block that read the same
 *          |        |  \     |         keys are stacked (query by query) into one matrix: longer products.
 *          +--------+--------+
 *
 * Products read dense matrices of a few sizes: q, k, v and dout are laid out anew, one matrix per stack of
 * heads, and the last block of an example is filled up with zeros in a thread's scratch. So the shapes of the
 * products, and with them the bits of the result, follow from the example alone.
 *
 * With kernels for tiles (tiles.h), a block's rows go by TILES_QUERIES through all that is computed of them,
 * each with the keys up to its own end: scores stay in the nearer caches, and less is computed right of the
 * diagonal.
 *
 * With a window, blocks begin with the first keys that their first query sees, rounded down to 64, and the scores of
 * keys that a query does not see any more become -inf before the softmax.
 */
#ifndef MPILORA_MATH_ATTENTION_JOB_H
#define MPILORA_MATH_ATTENTION_JOB_H

#include "math/attention.h"
#include "math/gemm.h"
#include "math/kern.h"
#include "tiles.h"

enum {
    ATTENTION_QUERIES = 64,  /* of a block; keys go by as many, too */
    ATTENTION_KEYS = 512,    /* of a tile, at most */
    ATTENTION_SEGMENT = 512, /* queries and keys of a task of backward, at most */
};

/* A block of queries of an example. */
struct attention_block {
    uint32_t begin, length; /* of the example */
    uint32_t first;         /* query, counted from there */
};

/* Byte offsets of the parts of the scratch; `real` is the type of the shape. */
struct attention_layout {
    size_t blocks;       /* struct attention_block [tokens] */
    size_t levels;       /* size_t [blocks of the longest example], for sorting */
    size_t keys, values; /* real [kv_heads][tokens, head_dim] */
    /* The rest for backward alone. */
    size_t queries, douts;  /* real [stacks][tokens, stack, head_dim] */
    size_t log_sums, delta; /* float [stacks][tokens, stack] */
    size_t sums;            /* float [tokens, columns]: dqkv before it is rounded; absent for f32 */
    size_t threads;         /* [threads] of `per_thread` bytes */
    size_t per_thread, total;
};

struct attention_job {
    const struct attention_shape *s;
    const struct kern *kern;
    const struct kern_typed *typed;
    const struct tiles *tiles; /* NULL: products are left to the matrix library */
    size_t n, ld;
    size_t stack;   /* query heads in a matrix: they share the keys */
    size_t rows;    /* of a block's matrix, stack * ATTENTION_QUERIES */
    size_t stacks;  /* of all query heads */
    size_t columns; /* of qkv */
    size_t window;  /* as the shape's; SIZE_MAX: all keys */
    struct attention_layout at;
    char *scratch;
    const struct attention_block *blocks; /* of all examples, those with most keys first */
    size_t count;
};

void attention_job_init(struct attention_job *job, size_t ld, const struct attention_shape *s, void *scratch);

/* The calling thread's part of the scratch. */
void *attention_job_scratch(const struct attention_job *job);

/* Takes `bytes` from *place, which moves on to the next line of the cache. */
void *attention_take(char **place, size_t bytes);

/* Lays columns of src[n, ld] out as matrices[count][n, width]: the part of the tokens begin .. end - 1. */
void attention_pack(const struct attention_job *job, void *matrices, const void *src, size_t ld,
                    size_t column, size_t count, size_t width, size_t begin, size_t end);

/* `rows` rows of `width` bytes each, the first `valid` of them at `src`: `src` itself when that is all of
 * them, otherwise a copy at `place`, filled up with zeros. */
const void *attention_fill_up(void *place, const void *src, size_t valid, size_t rows, size_t width);

static inline size_t attention_min(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* The first key that a query sees, both counted from the same place, which is no later than that key. */
static inline size_t attention_first_seen(const struct attention_job *job, size_t query)
{
    return query < job->window ? 0 : query + 1 - job->window;
}

/* The part of a block's tile that takes TILES_QUERIES of its rows, from `row` on. It leaves out the tile's first
 * *skipped keys, an even number, which none of these rows sees. */
static inline struct tiles_part attention_part(size_t *skipped, const struct attention_job *job,
                                               const struct attend_tile *tile, size_t row)
{
    size_t end = tile->first + (row + TILES_QUERIES - 1) / tile->heads + 1;
    size_t unseen = attention_first_seen(job, tile->first + row / tile->heads);
    *skipped = attention_min(unseen, tile->first) / 2 * 2;
    return (struct tiles_part){.keys = attention_min(tile->keys, (end + 1) / 2 * 2) - *skipped,
                               .heads = tile->heads,
                               .first = tile->first - *skipped,
                               .row = row,
                               .scale = tile->scale};
}

/* The passes over a tile's raw scores that come before the softmax, where the shape has a cap or a window: of
 * scores[queries, keys], ... */
void attention_limit_rows(const struct attention_job *job, float *scores, const struct attend_tile *tile);

/* ... and of transposed ones, scores[keys, queries]. dprobs (NULL: none) is changed so that probs * (dprobs - delta)
 * is the gradient with respect to the scores before the cap. */
void attention_limit_columns(const struct attention_job *job, float *scores, float *dprobs, const float *delta,
                             const struct attend_tile *tile, size_t row);

static inline void attention_limit_part(const struct attention_job *job, float *scores, float *dprobs,
                                        const float *delta, const struct tiles_part *part)
{
    const struct attend_tile tile = {TILES_QUERIES, part->keys, part->heads, part->first, part->scale};
    attention_limit_columns(job, scores, dprobs, delta, &tile, part->row);
}

/* Length rounded up to whole blocks. */
static inline size_t attention_whole(size_t length)
{
    return (length + ATTENTION_QUERIES - 1) / ATTENTION_QUERIES * ATTENTION_QUERIES;
}

/* Columns of qkv where the parts begin. */
static inline size_t attention_key_column(const struct attention_shape *s)
{
    return s->heads * s->head_dim;
}

static inline size_t attention_value_column(const struct attention_shape *s)
{
    return (s->heads + s->kv_heads) * s->head_dim;
}

#endif
