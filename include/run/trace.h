/*
 * The trace of a run: how A and B, their gradients and their effect develop, module by module.
 *
 * A row belongs to a state of the adapter: that after `step` optimizer steps. Its gradients, activations and
 * update are those of the step that goes on from there, so the row of step 0 shows the first gradients, and
 * has the update of the first step. The last row of a finished run has no step of its own: there those
 * columns are NaN.
 *
 * In a checkpoint:
 * - /trace/step: u64 [n]
 * - /trace/<module>/values: f32 [n, K], with the attribute `columns`: the K names, spaces between them
 * - /trace/<module>/singular_values: f32 [n, rank] of B A, descending (<module>: run/module_group.h)
 * - /trace has the attributes base_eval_loss, start_eval_loss, start_logit_difference, where measured
 *
 * Formulas: ||B A||^2 = trace((B^T B)(A A^T)); the singular values of B A are those of R_B R_A^T, from the QR
 * factorisations of B and A^T. W is the file's matrix in `update` and `change`, that which the pass uses in W
 * x.
 */
#ifndef MPILORA_RUN_TRACE_H
#define MPILORA_RUN_TRACE_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "io/h5/h5.h"
#include "model/lora.h"
#include "model/model.h"

enum trace_column {
#define TRACE(code, name) TRACE_##code,
#include "run/trace.def"
#undef TRACE
    TRACE_COLUMNS
};

extern const char *const trace_names[TRACE_COLUMNS];

struct trace_module {
    const char *path;
    size_t rank;
    float (*values)[TRACE_COLUMNS]; /* [count] */
    float *singular_values;         /* [count, rank] */
};

/* What was traced up to now; `steps` ascend. */
struct trace_record {
    struct arena arena;
    size_t count, capacity; /* rows */
    uint64_t *steps;        /* [count] */
    struct trace_module *modules;
    size_t module_count;
    /* At the start of the run; NaN: not measured (no --eval-data). */
    double base_eval_loss;         /* of the file's base by itself */
    double start_eval_loss;        /* with the adapter at its start */
    double start_logit_difference; /* largest absolute difference that the adapter makes, on the first pack */
};

/* A row in a few numbers, over all modules: for metrics.jsonl. */
struct trace_summary {
    uint64_t step;
    double norm_a, norm_b, norm_ba, grad_a, grad_b; /* of all modules together */
    double update, change, output_ratio;            /* largest of a module; the last is |s B A x| / |W x| */
};

/* Reads the trace of a checkpoint. Without one, count and module_count are 0. After an error there is nothing
 * to release. */
enum err_code trace_read(struct trace_record *r, const char *checkpoint_path, struct err *e);
/* The same from an open checkpoint. */
enum err_code trace_read_from(struct trace_record *r, struct h5_reader *file, struct err *e);
void trace_release(struct trace_record *r); /* a zeroed one is fine */

/* NULL when the module is not there. */
const struct trace_module *trace_find(const struct trace_record *r, const char *path);

#endif
