/*
 * What the packs of one batch add up to over all ranks, and whether all ranks may go on: one small sum.
 *
 * Losses are kept a slot a pack, each filled by the rank that owns the pack, and added in the order of the
 * packs: the total is the same bits on any number of ranks. Each rank's seconds of work come along in a slot
 * of its own.
 */
#ifndef MPILORA_TRAIN_TALLY_H
#define MPILORA_TRAIN_TALLY_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "model/model.h"
#include "train/deadline.h"
#include "ranks/dist.h"

struct tally {
    double *slots; /* counts first, then the seconds of each rank, then a loss for each pack */
    size_t packs, capacity, world;
    double seconds;      /* the caller's: that this rank has worked since the ranks last met */
    double data_seconds; /* likewise: that it waited for text in this batch */
    /* Over all ranks, after tally_finish(): */
    struct model_result total;
    enum stop_reason stop; /* some rank wants to; a signal comes first */
    size_t slowest;
    double slowest_seconds, mean_seconds, mean_data_seconds;
};

/* Memory for batches of up to `packs` packs on `world` ranks. */
enum err_code tally_init(struct tally *t, size_t packs, size_t world, struct arena *a, struct err *e);
void tally_begin(struct tally *t, size_t packs);
void tally_add(struct tally *t, size_t pack, const struct model_result *result);

/* Collective. `code` and `e` are this rank's trouble with its packs, if any: then all ranks return it (see
 * dist_agree). `stop` is why this rank wants all ranks to stop, if it does. */
enum err_code tally_finish(struct tally *t, struct dist *d, enum err_code code, enum stop_reason stop,
                           struct err *e);

#endif
