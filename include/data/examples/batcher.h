/*
 * Chooses the examples of each batch and of each pack of a run, and reads packs. The order is the same for the
 * loader, which hands out this rank's packs, and for the thread that reads in advance.
 *
 * `cursor` counts examples over the whole run: sample s is example order(s / n, s % n) of the data set, where
 * order is the identity or, with shuffle, a seeded permutation of its epoch. A batch is the next batch_size
 * samples, cut at the end of an epoch. This module does not use MPI: rank and world are only numbers.
 */
#ifndef MPILORA_DATA_EXAMPLES_BATCHER_H
#define MPILORA_DATA_EXAMPLES_BATCHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "data/examples/dataset.h"
#include "data/examples/pack.h"

struct loader_options {
    size_t batch_size;
    uint64_t pack_tokens;
    bool shuffle;
    uint64_t seed;
    size_t rank, world;
    bool read_ahead; /* a thread reads this rank's packs of the current and the next batch in advance */
    uint64_t end;    /* reading in advance stops before this sample; 0: no end */
};

struct batcher {
    const struct dataset *data;
    struct loader_options options;
    struct arena arena;
    uint32_t longest; /* tokens of the longest example of the data set, of a pair those of both sides, what they share
                       * once */
    size_t sequence;  /* tokens of a sequence, a side of a pair or an example, at most */
    uint64_t cursor;  /* samples consumed by the batches planned so far */
    /* The current batch: */
    uint64_t first;              /* sample number of its first example */
    size_t examples;             /* number of its examples, over all ranks */
    uint64_t tokens, supervised; /* numbers of its tokens, over all ranks */
    uint64_t chosen;             /* supervised tokens of its pairs' chosen sides, over all ranks */
    uint64_t *index;             /* [examples] data set index of each */
    uint32_t *lengths;           /* [examples] */
    struct pack_plan plan;       /* its packs */
    size_t pack_begin, pack_end; /* those that this rank owns */
    struct example example;
    struct example_scratch scratch;
};

/* ERR_USAGE if an example is longer than a pack. The data set must outlive the batcher and have at least one
 * example. After an error there is nothing to close. */
enum err_code batcher_open(struct batcher *b, const struct dataset *d, const struct loader_options *options,
                           struct err *e);
void batcher_close(struct batcher *b); /* a zeroed one is fine */

/* Allocates a pack that is large enough for any pack of the run; memory from `a`. */
enum err_code batcher_make_pack(struct pack *p, const struct batcher *b, struct arena *a, struct err *e);

/* Plans the next batch (from the lengths in the index, without reading text) and moves the cursor to its end. */
enum err_code batcher_next(struct batcher *b, struct err *e);

/* Reads pack `number` of the current batch, any rank's, in any order. */
enum err_code batcher_read(struct pack *p, struct batcher *b, size_t number, struct err *e);

/* Batches of one epoch; the last one has what is left. */
static inline uint64_t batcher_batches(uint64_t examples, uint64_t batch_size)
{
    return examples / batch_size + (examples % batch_size != 0);
}

#endif
