/*
 * Examples that occur more than once: equal to the token after cutting, as far as their fingerprints
 * (dataset_keep_prints()) say. An accident is one in 2^64 for each pair. Time and memory are those of a hash table of
 * all examples; no file is read again.
 */
#ifndef MPILORA_DATA_EXAMPLES_REPEATS_H
#define MPILORA_DATA_EXAMPLES_REPEATS_H

#include "data/examples/dataset.h"

struct repeats {
    size_t count;     /* examples that repeat an earlier one */
    size_t first, of; /* the first of them, and the one it repeats, if there are any */
};

enum err_code repeats_find(struct repeats *r, const struct dataset *d, struct err *e);

/* "3 of 10 examples repeat an earlier one (the first: FILE:4, as FILE:1)"; false if there are none. */
bool repeats_describe(char *text, size_t size, const struct repeats *r, const struct dataset *d);

/* How many examples of `other` are also in `d`. */
enum err_code repeats_count_shared(size_t *count, const struct dataset *d, const struct dataset *other, struct err *e);

#endif
