/*
 * Is what a run has written as it was written? For one process.
 */
#ifndef MPILORA_RUN_VERIFY_H
#define MPILORA_RUN_VERIFY_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Told of each file that was looked at: `damage` is NULL, or says what is wrong with it. */
struct verify {
    void (*tell)(void *context, const char *path, const char *damage);
    void *context;
    size_t files, damaged;
};

/* A checkpoint: everything in it against its content hash, its configuration and trace read. `step`: what its
 * name says, or NULL. */
void verify_checkpoint(struct verify *v, const char *path, const uint64_t *step);

/* A PEFT folder: its configuration, and finite matrices in pairs. */
void verify_adapter(struct verify *v, const char *folder);

/* The folder of a run: each checkpoint, config.yaml, metrics.jsonl (whole lines, whose steps ascend), and the
 * adapter, which must be that of the last checkpoint if that is the end of the run. ERR_IO if it cannot be
 * listed, ERR_USAGE if it is no run's. */
enum err_code verify_run(struct verify *v, const char *folder, struct err *e);

#endif
