/*
 * Sample answers while training: at each evaluation the first prompts of the evaluation data (train/question.h) are
 * answered greedily, each group of them by one rank, for the run's samples.jsonl. The texts are the same on any number
 * of ranks, and nothing of training changes: generation has memory of its own and draws no random number.
 */
#ifndef MPILORA_TRAIN_SAMPLES_H
#define MPILORA_TRAIN_SAMPLES_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "data/examples/dataset.h"
#include "train/question.h"
#include "train/session.h"

struct samples {
    struct session *session;
    struct arena arena;
    struct question *questions; /* [count], the same on all ranks */
    size_t count;
    size_t *groups; /* [group_count + 1] the first question of each that is answered together */
    size_t group_count;
};

/* Collective. The first --sample-prompts examples with a prompt; those without one are passed over. ERR_USAGE when
 * there is none. After an error there is nothing to close. */
enum err_code samples_open(struct samples *s, struct session *session, const struct dataset *d, struct err *e);
void samples_close(struct samples *s); /* a zeroed one is fine */

/* Collective. Answers all prompts with the model as it is, in up to --max-new-tokens tokens, and appends a line for
 * each to `out` on rank 0, in order: {"step", "example", "prompt", "expected", "answer", "exact"}. *stop tells of some
 * rank that wants to stop; then there are no lines. */
enum err_code samples_take(const struct samples *s, uint64_t step, struct str *out, enum stop_reason *stop,
                           struct err *e);

#endif
