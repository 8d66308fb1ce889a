/*
 * What a training run says while it runs: one block at the start, then a bar on a terminal or plain lines in
 * a log.
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
    uint64_t first, total; /* steps done when this process began; of the whole run */
    uint64_t every;        /* log lines */
    uint64_t tokens;       /* by this process's steps */
    double begun, busy;    /* clock at the start; seconds in steps */
    size_t dress;          /* how much of a step its line says: not more again, once it was too much */
};

/* What is known before the first step. */
struct progress_facts {
    const struct dataset *data, *eval_data; /* eval_data may be NULL */
    size_t pack_tokens;
    const struct schedule *schedule;
    uint64_t steps_done, steps_total;
    size_t gradient_buffers; /* of the size of the adapter */
};

/* Collective. Prints the block. */
enum err_code progress_report(struct session *s, const struct progress_facts *facts, struct err *e);

/* "1:02:03", "2:03" */
void progress_format_time(char *text, size_t size, double seconds);

/* The line of a step, with `left` seconds to go. In a log it has up to 80 columns; on a terminal up to one less than
 * `columns`, with a bar. What does not fit goes: wide spaces, the speed, the number of all steps, the bar. */
#define PROGRESS_LINE 256
void progress_format_step(char line[PROGRESS_LINE], struct progress *p, const struct metrics_row *row,
                          double left, bool terminal, int columns);

void progress_begin(struct progress *p, uint64_t done, uint64_t total, uint64_t every);
void progress_step(struct progress *p, const struct metrics_row *row);

#endif
