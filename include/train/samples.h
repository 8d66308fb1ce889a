/*
 * Sample answers during training: at each evaluation, the first prompts of the evaluation data (train/question.h)
 * are answered greedily, each group of them on one rank, for the run's samples.jsonl. The texts are the same on any
 * number of ranks. Training does not change: generation has its own memory and draws no random numbers.
 */
#ifndef MPILORA_TRAIN_SAMPLES_H
#define MPILORA_TRAIN_SAMPLES_H

#include "base/err.h"
#include "base/str.h"
#include "data/examples/dataset.h"
#include "train/questions.h"
#include "train/session.h"

struct samples {
    struct questions questions;
};

/* Collective. Takes the first --sample-prompts examples that have a prompt; others are skipped. ERR_USAGE if there
 * is none. After an error there is nothing to close. */
enum err_code samples_open(struct samples *s, struct session *session, const struct dataset *d, struct err *e);
void samples_close(struct samples *s); /* a zeroed one is fine */

/* Collective. Answers all prompts with the current model, in up to --max-new-tokens tokens, and appends a line for
 * each to `out` on rank 0, in order: {"step", "example", "prompt", "expected", "answer", "exact"}. If a rank wants
 * to stop, *stop says so, and there are no lines. */
enum err_code samples_take(const struct samples *s, uint64_t step, struct str *out, enum stop_reason *stop,
                           struct err *e);

#endif
