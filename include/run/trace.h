/*
 * The trace of a run: norms of A, B, their gradients and their effect over time, for each module.
 *
 * A row describes the adapter after `step` optimizer steps. Its gradients, activations and update are those of the
 * next step: the row of step 0 has the first gradients and the update of the first step. The last row of a finished
 * run has no next step, so these columns are NaN.
 *
 * In a checkpoint:
 * - /trace/step: u64 [n]
 * - /trace/<module>/values: f32 [n, K], with the attribute `columns`: the K names, separated by spaces
 * - /trace/<module>/singular_values: f32 [n, rank] of B A, descending (<module>: run/module_group.h)
 * - /trace has the attributes base_eval_loss, start_eval_loss, start_logit_difference, if they were measured
 *
 * Formulas: ||B A||^2 = trace((B^T B)(A A^T)); the singular values of B A are those of R_B R_A^T, from the QR
 * factorisations of B and A^T. W is the matrix of the model's file in `update` and `change`, and the one that the
 * forward pass uses in W x.
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

/* All rows so far; `steps` is ascending. */
struct trace_record {
    struct arena arena;
    size_t count, capacity; /* rows */
    uint64_t *steps;        /* [count] */
    struct trace_module *modules;
    size_t module_count;
    /* At the start of the run; NaN: not measured (no --eval-data, or losses that are relative to a reference). */
    double base_eval_loss;         /* of the original base without adapter */
    double start_eval_loss;        /* with the initial adapter */
    double start_logit_difference; /* largest absolute difference of a logit with and without the initial adapter,
                                    * on the first pack */
};

/* A summary of a row over all modules, for metrics.jsonl. */
struct trace_summary {
    uint64_t step;
    double norm_a, norm_b, norm_ba, grad_a, grad_b; /* over all modules together */
    double update, change, output_ratio;            /* the largest value of a module; output_ratio is |s B A x| / |W
                                                     * x| */
};

/* Reads the trace of a checkpoint. Without one, count and module_count are 0. After an error there is nothing
 * to release. */
enum err_code trace_read(struct trace_record *r, const char *checkpoint_path, struct err *e);
/* The same from an open checkpoint. */
enum err_code trace_read_from(struct trace_record *r, struct h5_reader *file, struct err *e);
void trace_release(struct trace_record *r); /* a zeroed one is fine */

/* NULL if there is no such module. */
const struct trace_module *trace_find(const struct trace_record *r, const char *path);

#endif
