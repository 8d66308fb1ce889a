/*
 * Makes the trace of a running training (run/trace.h). It looks on: nothing that it does changes the run.
 *
 * Measuring is rank 0's work, from what every rank has: parameters, the reduced gradient, and the first pack
 * of each batch, which is always rank 0's.
 */
#ifndef MPILORA_TRAIN_TRACER_H
#define MPILORA_TRAIN_TRACER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "data/examples/loader.h"
#include "model/tap.h"
#include "train/evaluate.h"
#include "train/session.h"
#include "run/trace.h"

struct tracer {
    struct session *session;
    uint64_t every; /* 0: never */
    struct trace_record record;
    struct arena arena;
    struct model_tap tap;
    float *start;        /* [layout.size] the adapter's first values */
    float *before;       /* [layout.size] the adapter before the step that is traced */
    double *weight_norm; /* [modules] of the file's W */
    float *logits;       /* of the base on the first pack, while the start is measured */
    struct err *errors;  /* [modules] */
    bool open_row;       /* the newest row waits for its step */
};

/* Collective, before an earlier run's adapter replaces the fresh one: keeps the start. `every` is
 * --trace-every. */
enum err_code tracer_begin(struct tracer *t, struct session *s, uint64_t every, struct err *e);
void tracer_end(struct tracer *t); /* a zeroed one is fine */

/* Collective, for a run that does not go on from a checkpoint: the untouched base before the adapter takes
 * its start out of it, then the adapter at its start. `v` is NULL without evaluation data. Both move the
 * loader's cursor. */
enum err_code tracer_measure_base(struct tracer *t, struct evaluator *v, struct loader *l, struct err *e);
enum err_code tracer_measure_start(struct tracer *t, struct evaluator *v, struct loader *l, struct err *e);

/* Rank 0: room for the rows from `step` to `total`, behind those of `earlier` (the checkpoint's) below
 * `step`. */
enum err_code tracer_plan(struct tracer *t, const struct trace_record *earlier, uint64_t step, uint64_t total,
                          struct err *e);

/* Around the optimizer step that goes on from state `step`: while the first pack runs; when the gradient is
 * there; when the step is done. */
bool tracer_is_due(const struct tracer *t, uint64_t step);
void tracer_watch_pack(struct tracer *t, bool watch);
enum err_code tracer_before_step(struct tracer *t, const float *grads, uint64_t step, struct err *e);
enum err_code tracer_after_step(struct tracer *t, struct trace_summary *summary, struct err *e);

/* The row of the last state. */
enum err_code tracer_finish(struct tracer *t, uint64_t step, struct err *e);

#endif
