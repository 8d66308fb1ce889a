/*
 * Do the ranks still have the same adapter? Each steps its own copy by the same gradient, so that they stay
 * equal to the bit, unless a host's memory, processor or libraries are at fault.
 */
#ifndef MPILORA_TRAIN_CONSENSUS_H
#define MPILORA_TRAIN_CONSENSUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "model/lora.h"
#include "train/dist.h"

/* Collective. Compares a hash of the values over all ranks. ERR_COMM, on all of them, names the rank (host of
 * hosts[world]) that differs from most. */
enum err_code consensus_check(struct dist *d, const struct lora *l, char (*hosts)[DIST_HOST_SIZE],
                              struct err *e);

/* The first of `count` values that differs from what most of them are, or, where no value has a majority,
 * from the first; `count` when all are equal. *certain: there is a majority. */
size_t consensus_find_odd(bool *certain, const uint64_t *values, size_t count);

#endif
