/*
 * Shared by forward and backward of attention: how a call is divided into blocks, and the layout of the scratch.
 *
 *            keys of an example
 *          0       64      128
 *        0 +--------.
 *          |  \     |                  Queries are processed in blocks of 64, each with the keys up to its own
 *  queries +--------+--------.         end, in tiles of up to ATTENTION_KEYS keys. The query heads of a block
 *          |        |  \     |         that use the same keys are stacked (query by query) into one matrix,
 *          +--------+--------+         so that the products are larger.
 *
 * Products read dense matrices of a few sizes: q, k, v and dout are repacked, one matrix per stack of heads, and
 * the last block of an example is padded with zeros in a thread's scratch. So the shapes of the products, and
 * therefore the bits of the result, depend only on the example.
 *
 * With kernels for tiles (tiles.h), TILES_QUERIES rows of a block at a time go through the whole computation, with
 * the keys up to the end of these rows. The scores stay in the nearer caches, and less is computed right of the
 * diagonal.
 *
 * The repacked matrices hold an example with a prefix like any other: first a copy of the prefix's rows, then its own.
 * Rows of these matrices are called places, to tell them from the tokens of the pack:
 *
 *     tokens   prompt | answer | another answer          places   prompt | answer | prompt | another answer
 *
 * Queries that are copies are computed only where they share a block with others, and then left out.
 *
 * With a window, the keys of a block begin at the first key that its first query attends to, rounded down to 64.
 * Scores of keys that are before a query's window are set to -inf before the softmax.
 */
#ifndef MPILORA_MATH_ATTENTION_JOB_H
#define MPILORA_MATH_ATTENTION_JOB_H

#include "math/attention.h"
#include "math/gemm.h"
#include "math/kern.h"
#include "tiles.h"

enum {
    ATTENTION_QUERIES = 64,  /* queries of a block; keys are counted in the same unit */
    ATTENTION_KEYS = 512,    /* keys of a tile, at most */
    ATTENTION_SEGMENT = 512, /* queries and keys of one task of backward, at most */
};

/* A block of queries of an example. */
struct attention_block {
    uint32_t begin, length; /* places of the example */
    uint32_t first;         /* first query, counted from `begin` */
    uint32_t prefix;        /* how many of the places are copies of tokens from `source` on */
    uint32_t source, own;   /* first token of the prefix and of what follows it */
};

/* Byte offsets of the parts of the scratch; `real` is the type of the shape. */
struct attention_layout {
    size_t blocks;       /* struct attention_block [places] */
    size_t levels;       /* size_t [blocks of the longest example], for sorting */
    size_t keys, values; /* real [kv_heads][places, head_dim] */
    /* The rest is for backward only. */
    size_t queries, douts;  /* real [stacks][places, stack, head_dim] */
    size_t log_sums, delta; /* float [stacks][places, stack] */
    size_t sums;            /* float [places, columns]: dqkv before it is added up over copies and rounded; absent for
                             * f32 without prefixes */
    size_t threads;         /* `per_thread` bytes for each thread */
    size_t per_thread, total;
};

struct attention_job {
    const struct attention_shape *s;
    const struct kern *kern;
    const struct kern_typed *typed;
    const struct tiles *tiles; /* NULL: the matrix library computes the products */
    size_t n, ld;   /* tokens */
    size_t places;  /* rows of the repacked matrices */
    size_t stack;   /* number of query heads in a matrix, which share the keys */
    size_t rows;    /* of the matrix of a block: stack * ATTENTION_QUERIES */
    size_t stacks;  /* number of stacks of all query heads */
    size_t columns; /* of qkv */
    size_t window;  /* of the shape; SIZE_MAX: all keys */
    struct attention_layout at;
    char *scratch;
    const struct attention_block *blocks; /* of all examples, those with the most keys first */
    size_t count;
};

void attention_job_init(struct attention_job *job, size_t ld, const struct attention_shape *s, void *scratch);

/* The calling thread's part of the scratch. */
void *attention_job_scratch(const struct attention_job *job);

/* Returns *place and moves it forward by `bytes`, rounded up to a whole cache line. */
void *attention_take(char **place, size_t bytes);

/* Packs columns of src[n, ld], from `column` on, as matrices[count][places, width], for the places of a block. */
void attention_pack(const struct attention_job *job, void *matrices, const void *src, size_t ld, size_t column,
                    size_t count, size_t width, const struct attention_block *block);

/* `rows` rows of `width` bytes each, the first `valid` of them at `src`: returns `src` itself if all are valid,
 * otherwise a copy at `place`, padded with zeros. */
const void *attention_fill_up(void *place, const void *src, size_t valid, size_t rows, size_t width);

static inline size_t attention_min(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Where the queries of a block end, counted like `first`. */
static inline size_t attention_block_end(const struct attention_block *block)
{
    return attention_min(block->length, block->first + ATTENTION_QUERIES);
}

/* The block's first query that is not a copy; its end if all are. */
static inline size_t attention_first_own(const struct attention_block *block)
{
    size_t end = attention_block_end(block);
    return block->prefix < block->first ? block->first : attention_min(block->prefix, end);
}

/* The token at a place of an example, which is counted from its beginning. */
static inline size_t attention_token(const struct attention_block *block, size_t place)
{
    return place < block->prefix ? block->source + place : block->own + place - block->prefix;
}

static inline uint32_t attention_prefix(const struct attention_shape *s, size_t example)
{
    return s->prefixes ? s->prefixes[example] : 0;
}

/* The first key that a query attends to. Both are counted from the same place, which is not after that key. */
static inline size_t attention_first_seen(const struct attention_job *job, size_t query)
{
    return query < job->window ? 0 : query + 1 - job->window;
}

/* The part of a block's tile for TILES_QUERIES of its rows, from `row` on. It leaves out the tile's first *skipped
 * keys, an even number, to which none of these rows attends; there may be no others. */
static inline struct tiles_part attention_part(size_t *skipped, const struct attention_job *job,
                                               const struct attend_tile *tile, size_t row)
{
    size_t end = tile->first + (row + TILES_QUERIES - 1) / tile->heads + 1;
    size_t unseen = attention_first_seen(job, tile->first + row / tile->heads);
    *skipped = attention_min(attention_min(unseen, tile->first), tile->keys) / 2 * 2;
    return (struct tiles_part){.keys = attention_min(tile->keys, (end + 1) / 2 * 2) - *skipped,
                               .heads = tile->heads,
                               .first = tile->first - *skipped,
                               .row = row,
                               .scale = tile->scale};
}

/* Applies the cap and the window of the shape, if it has them, to the raw scores of a tile, before the softmax: to
 * scores[queries, keys]. */
void attention_limit_rows(const struct attention_job *job, float *scores, const struct attend_tile *tile);

/* The same for transposed scores[keys, queries]. dprobs (may be NULL) is changed so that probs * (dprobs - delta)
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
