/*
 * The loader turns a data set into the batches of a run (data/examples/batcher.h), and each batch into this
 * rank's packs, which a thread may have read ahead (data/examples/ahead.h).
 */
#ifndef MPILORA_DATA_EXAMPLES_LOADER_H
#define MPILORA_DATA_EXAMPLES_LOADER_H

#include "data/examples/batcher.h"

struct loader {
    struct batcher batch; /* the current one */
    struct arena arena;
    struct pack pack;    /* filled by loader_pack(); no pack of the run has more than its token_capacity */
    double wait_seconds; /* that loader_pack() took, in the current batch */
    struct ahead *ahead; /* NULL: packs are read when they are asked for */
};

/* As batcher_open(). To go on from a checkpoint, or to begin again, set `batch.cursor` afterwards. */
enum err_code loader_open(struct loader *l, const struct dataset *d, const struct loader_options *options,
                          struct err *e);
void loader_close(struct loader *l); /* a zeroed one is fine */

/* Plans the next batch; the thread begins to read it. */
enum err_code loader_next(struct loader *l, struct err *e);

/* Puts pack `number` of the current batch into l->pack. Any rank's, in any order: but with read_ahead, only
 * this rank's own in their order come without waiting for text. What is wrong with a line is said here,
 * whenever it was read. */
enum err_code loader_pack(struct loader *l, size_t number, struct err *e);

#endif
