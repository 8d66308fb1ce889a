/*
 * What all ranks must have in common: at the start the program, its options, the base, the tokenizer and the
 * data; from then on the adapter. Each rank steps its own copy by the same gradient, so that they stay equal
 * to the bit, unless a host's memory, processor or libraries are at fault.
 */
#ifndef MPILORA_RANKS_CONSENSUS_H
#define MPILORA_RANKS_CONSENSUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "model/lora.h"
#include "ranks/dist.h"

/* Collective. ERR_MISMATCH, on all ranks, when `text` is not the same on them: names one that differs, its
 * host, `what` it is, and, with `quote`, the first line that is another. */
enum err_code consensus_text(struct dist *d, const char *what, const char *text, bool quote, struct err *e);

/* Collective. The same for the file of the program that each rank runs. */
enum err_code consensus_program(struct dist *d, struct err *e);

/* Collective. Warns when a rank computes with other means (`text`: threads, libraries, instructions) than
 * most: a run is as good, but its bits then depend on which ranks are where. */
enum err_code consensus_warn(struct dist *d, const char *text, struct err *e);

/* Collective. Compares a hash of the values over all ranks. ERR_MISMATCH, on all of them, names the rank (host
 * of hosts[world]) that differs from most. */
enum err_code consensus_check(struct dist *d, const struct lora *l, char (*hosts)[DIST_HOST_SIZE],
                              struct err *e);

/* The first of `count` values that differs from what most of them are, or, where no value has a majority,
 * from the first; `count` when all are equal. *certain: there is a majority. */
size_t consensus_find_odd(bool *certain, const uint64_t *values, size_t count);

#endif
