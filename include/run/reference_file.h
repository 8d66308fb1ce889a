/*
 * DIR/checkpoints/reference.h5: what the reference model of preference training gives for the pairs of a run, so that
 * a resume need not compute it again (train/reference.h).
 *
 *     /training, /evaluation    [2 * pairs] f64: the log-probabilities of the chosen and the rejected answer of each
 *                               pair, in the order of the data; /evaluation is missing without evaluation data
 *         samples               attribute of both: the pairs of so many samples of the first epoch are computed, the
 *                               other values are 0
 *     /  computed_with          attribute: everything that they depend on, in lines "NAME: VALUE"
 *     /  evaluated              attribute: what was evaluated, on which only /evaluation depends
 */
#ifndef MPILORA_RUN_REFERENCE_FILE_H
#define MPILORA_RUN_REFERENCE_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "run/runlock.h"

/* Of one data set. */
struct reference_set {
    double *log_prob; /* [2 * pairs] of the caller; NULL: there is no such data set */
    size_t pairs;
    uint64_t samples; /* those of the first epoch whose values are there, from its beginning */
};

struct reference_values {
    struct reference_set training, evaluation;
    const char *inputs, *evaluated; /* the attributes */
};

/* Reads what there is of them in a run's folder, and sets `samples` of both sets. Nothing is there, and the values are
 * undefined, without a file; or, as a line says, if it is damaged, of an older version, or was computed with other
 * inputs. If only `evaluated` is another one, the training data's are there. Only one rank calls these functions. */
enum err_code reference_file_read(struct reference_values *v, const char *folder, struct err *e);

/* Writes the file, for the rank that holds the lock of the folder. */
enum err_code reference_file_write(const struct reference_values *v, const struct runlock *lock, struct err *e);

#endif
