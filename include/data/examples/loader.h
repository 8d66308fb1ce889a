/*
 * The loader turns a data set into the batches of a run, and each batch into this rank's packs.
 *
 * `cursor` counts examples over the whole run: sample s is example order(s / n, s % n) of the data set, where
 * order is the identity or, with shuffle, a seeded permutation of its epoch. A batch is the next batch_size
 * samples, cut at the end of an epoch. The loader knows no MPI: rank and world are plain numbers.
 */
#ifndef MPILORA_DATA_EXAMPLES_LOADER_H
#define MPILORA_DATA_EXAMPLES_LOADER_H

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

struct loader {
    const struct dataset *data;
    struct loader_options options;
    struct arena arena;
    uint32_t longest;                        /* tokens of the longest example of the data set */
    uint64_t cursor;                         /* samples consumed by the batches given out so far */
    struct pack_plan plan;                   /* of the current batch */
    size_t batch_examples;                   /* of the current batch, over all ranks */
    uint64_t batch_tokens, batch_supervised; /* likewise */
    size_t pack_begin, pack_end;             /* packs of the current batch that this rank owns */
    uint32_t *lengths;                       /* [batch_size] */
    uint64_t *batch_index;                   /* [batch_size] data set index of each example of the batch */
    uint64_t batch_first;                    /* sample number of the batch's first example */
    struct pack pack;    /* filled by loader_pack(); no pack of the run has more than its token_capacity */
    double wait_seconds; /* that loader_pack() took, in the current batch */
    struct ahead *ahead; /* NULL: packs are read when they are asked for */
    struct example example;
    struct example_scratch scratch;
};

/* ERR_USAGE when an example is longer than a pack. The data set must outlive the loader and have an example.
 * To go on from a checkpoint, or to begin again, set `cursor` afterwards. */
enum err_code loader_open(struct loader *l, const struct dataset *d, const struct loader_options *options,
                          struct err *e);
void loader_close(struct loader *l);

/* Plans the next batch (lengths come from the index, no text is read) and moves the cursor past it. */
enum err_code loader_next(struct loader *l, struct err *e);

/* Puts pack `number` of the current batch into l->pack. Any rank's, in any order: but with read_ahead, only
 * this rank's own in their order come without waiting for text. What is wrong with a line is said here,
 * whenever it was read. */
enum err_code loader_pack(struct loader *l, size_t number, struct err *e);

uint64_t loader_batches_per_epoch(const struct loader *l);

#endif
