/*
 * metrics.jsonl: one JSON object for each optimizer step, in order, flushed after each line. Only the rank that holds
 * the lock of the folder writes it; anybody may read it.
 */
#ifndef MPILORA_RUN_METRICS_H
#define MPILORA_RUN_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/prof.h"
#include "run/lines_file.h"
#include "run/trace.h"

/* Means over pairs, of preference training (model/objective.h). */
struct metrics_rewards {
    double chosen, rejected, margin;
    double accuracy; /* share of pairs whose chosen answer has the higher reward */
};

/* A number of the structs of a row, under its name in metrics.jsonl; those of struct metrics_rewards and of struct
 * trace_summary, in the order of the lines; and the rewards under their names in the logs of TRL's trainers, in the
 * order of the alphabet. */
struct metrics_field {
    const char *name;
    size_t offset;
};
enum { METRICS_REWARDS = 4, METRICS_TRACE = 8 };
extern const struct metrics_field metrics_rewards_fields[METRICS_REWARDS], metrics_trace_fields[METRICS_TRACE];
extern const struct metrics_field metrics_trl_fields[METRICS_REWARDS];
double metrics_value(const void *numbers, const struct metrics_field *field);

struct metrics_row {
    uint64_t step; /* from 1 */
    double epoch;  /* passes over the data so far, with fraction */
    double loss;   /* mean over the supervised tokens of the batch, on all ranks; or the objective's, over its pairs */
    bool prefers;  /* preference training: there are rewards */
    struct metrics_rewards rewards, eval_rewards;
    double learning_rate;
    double grad_norm;                   /* before clipping */
    uint64_t tokens, supervised_tokens; /* of this step, on all ranks; what the sides of a pair share counts once */
    double seconds;                     /* of this step, without evaluation and saving */
    double phases[PROF_COUNT];          /* `seconds` by phase, on the rank that writes */
    double data_seconds;                /* how long a rank waited for data, on average */
    double comm_seconds;                /* communication not overlapped with computation, on the rank that writes */
    double wait_seconds;                /* how long a rank waited for the slowest one, on average */
    size_t slowest_rank;
    const char *slowest_host; /* its host; NULL: unknown, and not written */
    const char *skipped;      /* why the step was skipped; NULL: it was not */
    const char *machine;      /* of the first step after a start: a JSON object (run/machine.h); else NULL */
    bool evaluated;
    double eval_loss;
    bool traced;
    struct trace_summary trace; /* of the adapter before the step */
};

/* 0 if the step took no time. */
double metrics_tokens_per_second(const struct metrics_row *row);

struct metrics {
    struct lines_file lines;
    /* The end of the file when it was opened: */
    uint64_t last_step; /* 0: no line */
    bool last_evaluated;
};

/* Opens the file for appending after the line of `step`. Later lines, an incomplete last line and lines that are
 * not ours are removed, so that no step appears twice after a resume. step 0 starts an empty file. */
enum err_code metrics_open(struct metrics *m, const struct runlock *lock, uint64_t step, struct err *e);

/* Appends a line, as lines_put(): it is an error only if too much is pending, or if the folder now belongs to another
 * run (ERR_BUSY). */
enum err_code metrics_write(struct metrics *m, const struct metrics_row *row, struct err *e);

/* Called before any line is written: adds an evaluation to the last line of the file, which must be that of `step`,
 * unless it already has one. `rewards` may be NULL. The file is replaced as a whole. */
enum err_code metrics_add_evaluation(struct metrics *m, uint64_t step, double eval_loss,
                                     const struct metrics_rewards *rewards, struct err *e);

/* Writes all pending lines, or returns the error. */
enum err_code metrics_flush(struct metrics *m, struct err *e);
void metrics_close(struct metrics *m); /* a zeroed one is fine */

/* A line as it is read. A number that is missing, or null because it was not finite, is NAN. */
struct metrics_point {
    uint64_t step, tokens;
    double epoch, loss, learning_rate, grad_norm, eval_loss;
    struct metrics_rewards rewards, eval_rewards;
};

struct metrics_log {
    struct metrics_point *points; /* [count], by step */
    size_t count, capacity;
};

/* Reads the lines up to that of `step` into an empty log. Lines that are incomplete or not ours are passed over;
 * without a file there are none. The caller calls metrics_log_release(), also after an error. */
enum err_code metrics_read(struct metrics_log *log, const char *path, uint64_t step, struct err *e);
void metrics_log_release(struct metrics_log *log); /* a zeroed one is fine */

#endif
