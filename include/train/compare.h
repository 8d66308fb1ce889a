/*
 * `compare`: the answers of the base and of each --adapter to the same questions (train/questions.h).
 */
#ifndef MPILORA_TRAIN_COMPARE_H
#define MPILORA_TRAIN_COMPARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "train/questions.h"

struct compare_model {
    const char *adapter; /* its path; NULL: the base */
    const char *name;    /* the last parts of the path, as many as tell the adapters apart */
    uint64_t exact;      /* answers with the tokens of the data's answer */
};

struct compare_answer {
    const char *text;
    bool exact;
};

struct compare_row {
    size_t example; /* number in the data */
    const char *prompt;
    const char *expected;           /* NULL: the data has no answer */
    struct compare_answer *answers; /* [model_count] */
};

struct comparison {
    struct arena arena;
    struct compare_model *models; /* [model_count] the base, then the adapters */
    size_t model_count;
    struct compare_row *rows; /* [row_count] */
    size_t row_count;
    uint64_t expected; /* rows for which the data has an answer */
};

/* Collective. Answers with the options of `generate`; the session has no adapter yet. The comparison is complete on
 * rank 0; compare_release() also after an error. */
enum err_code compare_run(struct comparison *c, const struct questions *q, struct err *e);
void compare_release(struct comparison *c);

#endif
