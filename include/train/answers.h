/*
 * `generate --data`: a file of prompts (train/question.h), answered on all ranks into a file of lines.
 *
 *     FILE.part   while it is at work: a line that says what this is the work of, then a line for each example, in the
 *                 order of the data, appended group after group; held by one process at a time
 *     FILE        all of these lines but the first, when the last one is there
 *
 * Who is stopped at any moment goes on after the last whole group, on any number of ranks. The text is the same on any
 * number of them: which questions are answered together depends on the data alone.
 */
#ifndef MPILORA_TRAIN_ANSWERS_H
#define MPILORA_TRAIN_ANSWERS_H

#include <stdint.h>

#include "base/err.h"
#include "train/session.h"

struct answers_result {
    uint64_t examples;
    uint64_t expected, exact; /* of these the data has an answer to, and it was given, to the token */
};

/* Is there room for FILE, and not a file yet? ERR_USAGE. For one rank, before anything else. */
enum err_code answers_check_output(const char *path, struct err *e);

/* Collective. Answers all examples of the data set, which asks (data/examples/example.h), with the session's model as
 * it is and the options of `generate`. ERR_BUSY: another process is at it; ERR_MISMATCH: FILE.part is of other work.
 * The result is on rank 0. */
enum err_code answers_run(struct session *s, const struct dataset *d, const char *path, struct answers_result *r,
                          struct err *e);

#endif
