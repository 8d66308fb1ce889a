/*
 * Which examples each batch of a run has, and which of them each pack: one order, the same for the loader, which
 * hands out this rank's packs, and for the thread that reads them ahead of it. Reads a pack when it is asked to.
 *
 * `cursor` counts examples over the whole run: sample s is example order(s / n, s % n) of the data set, where
 * order is the identity or, with shuffle, a seeded permutation of its epoch. A batch is the next batch_size
 * samples, cut at the end of an epoch. No MPI is known here: rank and world are plain numbers.
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
    bool read_ahead; /* in a thread: this rank's packs of the current batch and the next */
    uint64_t end;    /* sample before which reading ahead ends; 0: none */
};

struct batcher {
    const struct dataset *data;
    struct loader_options options;
    struct arena arena;
    uint32_t longest; /* tokens of the longest example of the data set */
    uint64_t cursor;  /* samples consumed by the batches planned so far */
    /* The current batch: */
    uint64_t first;              /* sample number of its first example */
    size_t examples;             /* of it, over all ranks */
    uint64_t tokens, supervised; /* likewise */
    uint64_t *index;             /* [examples] data set index of each */
    uint32_t *lengths;           /* [examples] */
    struct pack_plan plan;       /* its packs */
    size_t pack_begin, pack_end; /* those that this rank owns */
    struct example example;
    struct example_scratch scratch;
};

/* ERR_USAGE when an example is longer than a pack. The data set must outlive the batcher and have an example.
 * After an error there is nothing to close. */
enum err_code batcher_open(struct batcher *b, const struct dataset *d, const struct loader_options *options,
                           struct err *e);
void batcher_close(struct batcher *b); /* a zeroed one is fine */

/* Memory for any pack of the run. */
enum err_code batcher_make_pack(struct pack *p, const struct batcher *b, struct arena *a, struct err *e);

/* Plans the next batch (lengths come from the index, no text is read) and moves the cursor past it. */
enum err_code batcher_next(struct batcher *b, struct err *e);

/* Reads pack `number` of the current batch, any rank's, in any order. */
enum err_code batcher_read(struct pack *p, struct batcher *b, size_t number, struct err *e);

uint64_t batcher_batches_per_epoch(const struct batcher *b);

#endif
