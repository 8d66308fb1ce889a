/*
 * The loader gives a run its batches (data/examples/batcher.h) and this rank's packs of each batch. A thread may
 * read the packs in advance (data/examples/ahead.h).
 */
#ifndef MPILORA_DATA_EXAMPLES_LOADER_H
#define MPILORA_DATA_EXAMPLES_LOADER_H

#include "data/examples/batcher.h"

struct loader {
    struct batcher batch; /* the current one */
    struct arena arena;
    struct pack pack;    /* filled by loader_pack(); its token_capacity is enough for any pack of the run */
    double wait_seconds; /* time spent in loader_pack() in the current batch */
    struct ahead *ahead; /* NULL: packs are read by loader_pack() */
};

/* As batcher_open(). To resume from a checkpoint, or to start again, set `batch.cursor` afterwards. */
enum err_code loader_open(struct loader *l, const struct dataset *d, const struct loader_options *options,
                          struct err *e);
void loader_close(struct loader *l); /* a zeroed one is fine */

/* Plans the next batch; the thread starts to read it. */
enum err_code loader_next(struct loader *l, struct err *e);

/* Reads pack `number` of the current batch into l->pack. It may belong to any rank, in any order; but with
 * read_ahead only this rank's own packs, in their order, are ready without waiting. Errors in a line are returned
 * here, even if the line was read earlier. */
enum err_code loader_pack(struct loader *l, size_t number, struct err *e);

#endif
