/*
 * `generate --data`: answers a file of prompts (train/question.h) on all ranks, and writes the answers to a file,
 * one per line; with several --adapter, all answers of the first one, then those of the next, each with its "adapter".
 *
 *     FILE.part   during the work: a line that identifies the work, then a line for each answer, in the
 *                 order of the data, appended group by group; only one process at a time writes it
 *     FILE        all of these lines except the first, when all are complete
 *
 * If it is stopped at any moment, the same command continues after the last complete group, on any number of ranks.
 * The answers are the same on any number of ranks, because only the data decides which questions are answered
 * together.
 */
#ifndef MPILORA_TRAIN_ANSWERS_H
#define MPILORA_TRAIN_ANSWERS_H

#include <stdint.h>

#include "base/err.h"
#include "train/session.h"

struct answers_result {
    uint64_t examples;
    uint64_t expected, exact; /* examples for which the data has an answer; and for which the model gave exactly
                               * these tokens */
};

/* ERR_USAGE if FILE exists or cannot be created. Called by one rank, before anything else. */
enum err_code answers_check_output(const char *path, struct err *e);

/* Collective. Answers all examples of the data set, which must be one that asks (data/examples/example.h), with the
 * options of `generate`, and the session's model, or with each --adapter if there are several. ERR_BUSY: another
 * process is writing FILE.part; ERR_MISMATCH: FILE.part belongs to other work; ERR_STOPPED: a signal asked for it
 * (base/stop.h), and the prompts at work are answered. The results, one for each adapter and at least one, are
 * complete on rank 0; the caller frees *results, also after an error. */
enum err_code answers_run(struct answers_result **results, struct session *s, const struct dataset *d, const char *path,
                          struct err *e);

#endif
