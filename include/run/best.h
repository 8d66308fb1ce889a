/*
 * Records the best evaluation of a run: the step with the lowest loss, and how many evaluations since then were not
 * better. It is the same on any number of ranks, because losses are, and in a resumed run, because checkpoints
 * contain it.
 */
#ifndef MPILORA_RUN_BEST_H
#define MPILORA_RUN_BEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/file.h"

/* All zero at the start of a run. */
struct best {
    uint64_t seen;  /* step of the last evaluation; 0: none */
    uint64_t step;  /* step of the best one; 0: none */
    uint64_t worse; /* number of regular evaluations since the best one */
    double loss;    /* loss of the best one */
    char hash[FILE_HASH_SIZE]; /* of the evaluated examples; "" if there are none */
};

/* Records the evaluation of a step; call it once for each. Returns whether it is the best so far; one that is equal
 * to the best, or not finite, is not. Regular evaluations are --eval-every steps apart. The evaluation at the end
 * of a run, which may be continued, is regular only if it falls on such a step; otherwise it does not count in
 * `worse`. If `hash` shows that other examples were evaluated, the record starts again with this evaluation. */
bool best_take(struct best *b, uint64_t step, double loss, bool regular, const char hash[FILE_HASH_SIZE]);

/* Were `patience` evaluations in a row not better than the best? Always false if patience is 0. */
bool best_is_stale(const struct best *b, uint64_t patience);

/* Forgets the best evaluation, because its checkpoint no longer exists: the next evaluation will be the best. */
void best_forget(struct best *b);

#endif
