/*
 * Measures the trace of a training run (run/trace.h). It never changes the run.
 *
 * Rank 0 does the measuring, from the parameters and the reduced gradient, which all ranks have, and from the first
 * pack of each batch, which always belongs to rank 0.
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
    float *start;        /* [layout.size] the adapter's initial values */
    float *before;       /* [layout.size] the adapter before the traced step */
    double *weight_norm; /* [modules] norm of the file's W */
    float *logits;       /* of the base on the first pack, while the initial adapter is measured */
    struct err *errors;  /* [modules] */
    bool open_row;       /* the newest row is not complete: its step has not been done */
};

/* Collective. Called before a checkpoint's adapter replaces the new one: keeps the initial values. `every` is
 * --trace-every. */
enum err_code tracer_begin(struct tracer *t, struct session *s, uint64_t every, struct err *e);
void tracer_end(struct tracer *t); /* a zeroed one is fine */

/* Collective. Only for a run that is not resumed: measure the original base, before the adapter's start is
 * subtracted from it, and then the initial adapter. `v` is NULL without evaluation data. Both move the loader's
 * cursor. */
enum err_code tracer_measure_base(struct tracer *t, struct evaluator *v, struct loader *l, struct err *e);
enum err_code tracer_measure_start(struct tracer *t, struct evaluator *v, struct loader *l, struct err *e);

/* Rank 0: allocates memory for the rows from `step` to `total`, after the rows of `earlier` (from the checkpoint)
 * before `step`. */
enum err_code tracer_plan(struct tracer *t, const struct trace_record *earlier, uint64_t step, uint64_t total,
                          struct err *e);

/* Called during the step that follows state `step`: while the first pack is computed; when the gradient has been
 * reduced; when the step is done. */
bool tracer_is_due(const struct tracer *t, uint64_t step);
void tracer_watch_pack(struct tracer *t, bool watch);
enum err_code tracer_before_step(struct tracer *t, const float *grads, uint64_t step, struct err *e);
enum err_code tracer_after_step(struct tracer *t, struct trace_summary *summary, struct err *e);

/* Adds the row of the final state. */
enum err_code tracer_finish(struct tracer *t, uint64_t step, struct err *e);

#endif
