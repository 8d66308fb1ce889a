/*
 * The messages of a training run: a block at the start, then a progress bar on a terminal or plain lines in a log.
 */
#ifndef MPILORA_TRAIN_PROGRESS_H
#define MPILORA_TRAIN_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "data/examples/dataset.h"
#include "run/metrics.h"
#include "train/schedule.h"
#include "train/session.h"

struct progress {
    uint64_t first, total; /* steps done before this process started; steps of the whole run */
    uint64_t every;        /* steps between log lines */
    uint64_t tokens;       /* of all steps of this process */
    double begun, busy;    /* clock at the start; seconds spent in steps */
    size_t dress;          /* how many details the line of a step shows; never increases, so that the line does not
                            * change back and forth */
};

/* The facts for the block at the start. */
struct progress_facts {
    const struct dataset *data, *eval_data; /* eval_data may be NULL */
    size_t pack_tokens;
    const struct schedule *schedule;
    uint64_t steps_done, steps_total;
    size_t adapter_buffers; /* as large as the adapter, beside its values, gradient and moments */
};

/* Collective. Prints the block. */
enum err_code progress_report(struct session *s, const struct progress_facts *facts, struct err *e);

/* The line of a step, with an estimate of `left` remaining seconds; of preference training also with the rewards'
 * accuracy and margin. In a log it has up to 80 columns; on a terminal up to columns - 1, with a bar. If it is too
 * long, these are left out, in this order: wide spaces, the speed, in preference training the norm, the number of all
 * steps, in preference training the learning rate, the bar. */
#define PROGRESS_LINE 256
void progress_format_step(char line[PROGRESS_LINE], struct progress *p, const struct metrics_row *row,
                          double left, bool terminal, int columns);

/* "eval loss 0.6931", with the same rewards of the evaluation. */
void progress_format_evaluation(char line[PROGRESS_LINE], const struct metrics_row *row);

void progress_begin(struct progress *p, uint64_t done, uint64_t total, uint64_t every);
void progress_step(struct progress *p, const struct metrics_row *row);

#endif
