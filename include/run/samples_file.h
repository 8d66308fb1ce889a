/*
 * Writes samples.jsonl of a run: sample answers, one line each, in the order of the steps (train/samples.h). Only
 * for the rank that holds the lock of the folder.
 */
#ifndef MPILORA_RUN_SAMPLES_FILE_H
#define MPILORA_RUN_SAMPLES_FILE_H

#include <stdint.h>

#include "run/lines_file.h"

/* Opens the file for appending after the lines of `step`, the last evaluation before the checkpoint from which the
 * run is resumed. Later lines, an incomplete last line and lines that are not ours are removed. Then use
 * lines_put() and lines_close(). */
enum err_code samples_file_open(struct lines_file *f, const struct runlock *lock, uint64_t step, struct err *e);

#endif
