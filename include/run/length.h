/*
 * How long a run is, from what its options say and from where it is.
 */
#ifndef MPILORA_RUN_LENGTH_H
#define MPILORA_RUN_LENGTH_H

#include <stdint.h>

struct length {
    uint64_t examples, batch_size; /* of the data, and of a step; at least 1 */
    uint64_t step, cursor;         /* steps done, and examples consumed by them */
};

/* Steps of the whole run with these --epochs and --max-steps (0: not given), from its first one on. The steps that are
 * done may have had batches of another size (a resume with --allow-changed-options): epochs count from the cursor. */
uint64_t length_steps(const struct length *l, double epochs, int64_t max_steps);

#endif
