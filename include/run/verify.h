/*
 * Checks whether files that a run has written are undamaged. Only one process calls these functions.
 */
#ifndef MPILORA_RUN_VERIFY_H
#define MPILORA_RUN_VERIFY_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* `tell` is called for each file that was checked: `damage` is NULL, or says what is wrong with it. */
struct verify {
    void (*tell)(void *context, const char *path, const char *damage);
    void *context;
    size_t files, damaged;
};

/* Checks a checkpoint: its content hash, its configuration and its trace. `step` is the step in its name, or
 * NULL. */
void verify_checkpoint(struct verify *v, const char *path, const uint64_t *step);

/* Checks a PEFT folder: its configuration, and that matrices are finite and come in pairs of A and B. */
void verify_adapter(struct verify *v, const char *folder);

/* Checks the folder of a run: each checkpoint, config.yaml, metrics.jsonl and samples.jsonl (complete lines with
 * ascending steps), and the adapter, which must be that of the last checkpoint if the run is finished. ERR_IO if the
 * folder cannot be listed, ERR_USAGE if it is not a run's. */
enum err_code verify_run(struct verify *v, const char *folder, struct err *e);

/* Checks the folder of a study: study.yaml, and each cell that was started as a run. The same errors. */
enum err_code verify_study(struct verify *v, const char *folder, struct err *e);

#endif
