/*
 * The best evaluation of a run: which step had the lowest loss, and for how many evaluations none was better. The same
 * on any number of ranks, since losses are; and across a resume, since it is in the checkpoint.
 */
#ifndef MPILORA_RUN_BEST_H
#define MPILORA_RUN_BEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/file.h"

/* All zero at the start of a run. */
struct best {
    uint64_t seen;  /* step of the last evaluation; 0: there was none */
    uint64_t step;  /* of the best one; 0: there is none */
    uint64_t worse; /* regular evaluations since, none of them better */
    double loss;    /* of the best one */
    char hash[FILE_HASH_SIZE]; /* of the examples that were evaluated; "" where none were */
};

/* Takes the evaluation of a step, once: is it the best so far? One that is as good as the best, or is not finite, is
 * not. `regular` ones are --eval-every steps apart; that at the end of a run which may go further is none, unless it
 * falls on such a step, and does not count among the worse. After an evaluation of other examples, as `hash` has it, it
 * is the first. */
bool best_take(struct best *b, uint64_t step, double loss, bool regular, const char hash[FILE_HASH_SIZE]);

/* Have `patience` evaluations in a row (0: any number) not been better? */
bool best_is_stale(const struct best *b, uint64_t patience);

/* The best one does not count any more, its checkpoint is gone: the next evaluation is the best. */
void best_forget(struct best *b);

#endif
