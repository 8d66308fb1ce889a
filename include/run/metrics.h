/*
 * metrics.jsonl: one JSON object for each optimizer step, in order, flushed line by line. For one rank, which holds
 * the lock of the folder.
 */
#ifndef MPILORA_RUN_METRICS_H
#define MPILORA_RUN_METRICS_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/prof.h"
#include "base/str.h"
#include "run/runlock.h"
#include "run/trace.h"

struct metrics_row {
    uint64_t step; /* from 1 */
    double epoch;  /* passes over the data so far, with the fraction */
    double loss;   /* mean over the supervised tokens of the batch, on all ranks */
    double learning_rate;
    double grad_norm;                   /* before clipping */
    uint64_t tokens, supervised_tokens; /* of this step, on all ranks */
    double seconds;                     /* of this step, without evaluation and saving */
    double phases[PROF_COUNT];          /* what they went into, on the rank that writes */
    double data_seconds;                /* that a rank waited for text, on average */
    double comm_seconds;                /* in communication that nothing else hid, on the rank that writes */
    double wait_seconds;                /* that a rank waited for the slowest one, on average */
    size_t slowest_rank;
    const char *slowest_host; /* its host; NULL: not known, and not written */
    const char *skipped;      /* why the step changed nothing; NULL: it was taken */
    bool evaluated;
    double eval_loss;
    bool traced;
    struct trace_summary trace; /* of the state that the step began with */
};

struct metrics {
    int fd;
    bool open;
    const struct runlock *lock; /* the caller's */
    char path[PATH_MAX];
    struct str pending; /* what the disk has not taken yet */
    bool behind;        /* and it was said */
    /* What it was opened with: */
    uint64_t last_step; /* 0: it had no line */
    bool last_evaluated;
};

/* Opens for appending behind the line of `step`: later lines, a torn last one and any that are not ours are
 * dropped, so that a run that goes on from a checkpoint has no step twice. step 0 begins an empty file. */
enum err_code metrics_open(struct metrics *m, const struct runlock *lock, uint64_t step, struct err *e);

/* What cannot be written is said once, and goes with a later line. An error only when too much has gathered, or when
 * the folder is another run's (ERR_BUSY). A file that has other names, as in a copy by hard links, is replaced by one
 * of its own first: theirs stays as it is. */
enum err_code metrics_write(struct metrics *m, const struct metrics_row *row, struct err *e);

/* Before any line is written: puts an evaluation into the last one of the file, which must be that of `step`,
 * unless it has one. The file is replaced as a whole. */
enum err_code metrics_add_evaluation(struct metrics *m, uint64_t step, double eval_loss, struct err *e);

/* Writes what has not been written yet, or says why it cannot be. */
enum err_code metrics_flush(struct metrics *m, struct err *e);
void metrics_close(struct metrics *m); /* a zeroed one is fine */

#endif
