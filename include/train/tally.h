/*
 * Batch totals: sums the results of a batch's packs over all ranks, and lets all ranks know about errors and
 * requests to stop, with one small all-reduce.
 *
 * There is one slot for the loss of each pack, filled by the rank that owns the pack, and slots for further sums that
 * the caller may have of each. They are added in the order of the packs, so the totals have the same bits on any number
 * of ranks. There is also a slot for each rank's working time.
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
    double *slots; /* counts first, then the seconds of each rank, then for each pack its loss and its further sums */
    size_t packs, capacity, world, sums;
    double seconds;      /* set by the caller: working time of this rank since the ranks last met */
    double data_seconds; /* set by the caller: how long this rank waited for data in this batch */
    /* Over all ranks, after tally_finish(): */
    struct model_result total;
    double *totals; /* [sums] */
    enum stop_reason stop; /* a rank wants to stop; a signal takes precedence */
    size_t slowest;
    double slowest_seconds, mean_seconds, mean_data_seconds;
};

/* Allocates memory for batches of up to `packs` packs on `world` ranks, with `sums` further sums of each pack. */
enum err_code tally_init(struct tally *t, size_t packs, size_t world, size_t sums, struct arena *a, struct err *e);
void tally_begin(struct tally *t, size_t packs);
void tally_add(struct tally *t, size_t pack, const struct model_result *result);
void tally_add_sums(struct tally *t, size_t pack, const double *sums);

/* Collective. `code` and `e` are this rank's error with its packs, if any; all ranks then return it (see
 * dist_agree). `stop` says whether and why this rank wants all ranks to stop. */
enum err_code tally_finish(struct tally *t, struct dist *d, enum err_code code, enum stop_reason stop,
                           struct err *e);

#endif
