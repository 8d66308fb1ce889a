/*
 * samples.jsonl of a run: sample answers, a line each, in the order of the steps (train/samples.h). For one rank, which
 * holds the lock of the folder.
 */
#ifndef MPILORA_RUN_SAMPLES_FILE_H
#define MPILORA_RUN_SAMPLES_FILE_H

#include <stdint.h>

#include "run/lines_file.h"

/* Opens for appending after the lines of `step`, the last evaluation that the run goes on from: later ones, a torn last
 * one and those that are not ours are dropped. lines_put() and lines_close() from there on. */
enum err_code samples_file_open(struct lines_file *f, const struct runlock *lock, uint64_t step, struct err *e);

#endif
