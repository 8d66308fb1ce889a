/*
 * DIR/checkpoints/reference.h5: what the reference model of preference training gives for the pairs of a run, so that
 * a resume need not compute it again (train/reference.h).
 *
 *     /training, /evaluation    [2 * pairs] f64: the log-probabilities of the chosen and the rejected answer of each
 *                               pair, in the order of the data; /evaluation is missing without evaluation data
 *     /  computed_with          attribute: everything that they depend on, in lines "NAME: VALUE"
 */
#ifndef MPILORA_RUN_REFERENCE_FILE_H
#define MPILORA_RUN_REFERENCE_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "run/runlock.h"

struct reference_values {
    double *training, *evaluation; /* [2 * pairs] of the caller; evaluation: NULL if there is none */
    size_t training_pairs, evaluation_pairs;
    const char *inputs; /* computed_with */
};

/* Reads them from a run's folder. *found is false, and the values are undefined, if there is no file; or, as a line
 * says, if it is damaged or was computed with other values. Only one rank calls these functions. */
enum err_code reference_file_read(bool *found, struct reference_values *v, const char *folder, struct err *e);

/* Writes the file, for the rank that holds the lock of the folder. */
enum err_code reference_file_write(const struct reference_values *v, const struct runlock *lock, struct err *e);

#endif
