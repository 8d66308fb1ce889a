/*
 * Event files for TensorBoard, in DIR/tensorboard: what metrics.jsonl and samples.jsonl have, and histograms of A and
 * B. Only the rank that holds the lock of the folder writes them. Each start of a run has a file of its own, which
 * begins with a mark that makes TensorBoard forget the steps after it: those that a resumed run does again.
 *
 * They are for looking at only: if one cannot be written, a warning says so, and the run goes on without it.
 *
 * Formats: a record is the length (u64), its masked CRC-32C (u32), the bytes of an Event, and their masked CRC-32C;
 * Event and Summary are protocol buffers (tensorflow/core/util/event.proto, tensorflow/core/framework/summary.proto).
 */
#ifndef MPILORA_RUN_TENSORBOARD_H
#define MPILORA_RUN_TENSORBOARD_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "model/lora.h"
#include "run/metrics.h"

struct tensorboard {
    int fd;
    bool open;           /* false: this run has none, or it could not be written */
    char path[PATH_MAX]; /* of the folder of event files, for messages */
    struct str record;   /* at work */
};

/* Starts a file for the steps after `step`. At step 0 the event files of an earlier run in this folder are deleted.
 * `config`: the options of the run, as text. `host` is part of the file's name. */
void tensorboard_open(struct tensorboard *t, const struct runlock *lock, const char *host, uint64_t step,
                      const char *config);
void tensorboard_close(struct tensorboard *t); /* a zeroed one is fine */

/* Each does nothing if it is not open. Scalars of one step; the first fifty of the lines of samples.jsonl of one step,
 * as a table; histograms of A and of B, each over all modules that have the same name in their layers. */
void tensorboard_metrics(struct tensorboard *t, const struct metrics_row *row);
void tensorboard_samples(struct tensorboard *t, uint64_t step, const char *lines, size_t length);
void tensorboard_adapter(struct tensorboard *t, uint64_t step, const struct lora *l);

#endif
