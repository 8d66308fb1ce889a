#include "report_trace.h"

#include <stdlib.h>

#include "run/trace.h"

static double ratio_of_norms(const float *values)
{
    return sqrt((double)values[TRACE_MEAN_SQUARE_BAX] / (double)values[TRACE_MEAN_SQUARE_WX]);
}

static void take_module(struct report_trace *t, size_t module, const struct trace_module *from)
{
    for (size_t i = 0; i < t->steps; i++) {
        const float *values = from->values[i];
        size_t at = i * t->modules + module;
        t->column[REPORT_GRAD_A][at] = (double)values[TRACE_GRAD_A];
        t->column[REPORT_GRAD_B][at] = (double)values[TRACE_GRAD_B];
        t->column[REPORT_OUTPUT_RATIO][at] = ratio_of_norms(values);
        t->column[REPORT_UPDATE_RATIO][at] = (double)values[TRACE_CHANGE];
        for (size_t k = 0; k < t->ranks; k++) /* a module of a lower rank has no more values */
            t->singular[at * t->ranks + k] =
                k < from->rank ? (double)from->singular_values[i * from->rank + k] : NAN;
    }
}

static enum err_code take_record(struct report_trace *t, const struct trace_record *from, struct arena *a,
                                 struct err *e)
{
    t->steps = from->count;
    t->modules = from->module_count;
    for (size_t i = 0; i < from->module_count; i++)
        t->ranks = from->modules[i].rank > t->ranks ? from->modules[i].rank : t->ranks;
    size_t values = t->steps * t->modules; /* fits: the record holds more than that */
    t->step = arena_alloc(a, t->steps, sizeof *t->step, "traced steps", e);
    t->singular = arena_alloc(a, values, t->ranks * sizeof *t->singular, "traced singular values", e);
    bool room = t->step && t->singular;
    for (size_t k = 0; room && k < REPORT_COLUMNS; k++) {
        t->column[k] = arena_alloc(a, values, sizeof *t->column[k], "a traced column", e);
        room = t->column[k] != NULL;
    }
    if (!room)
        return e->code;
    for (size_t i = 0; i < t->steps; i++)
        t->step[i] = (double)from->steps[i];
    for (size_t i = 0; i < t->modules; i++)
        take_module(t, i, &from->modules[i]);
    t->base_eval_loss = from->base_eval_loss;
    t->start_eval_loss = from->start_eval_loss;
    t->logit_difference = from->start_logit_difference;
    return ERR_OK;
}

enum err_code report_trace_read(struct report_trace *t, struct ckpt *c, struct arena *a, struct err *e)
{
    struct trace_record record;
    if (trace_read_from(&record, c->file, e))
        return e->code;
    enum err_code code = record.count && record.module_count ? take_record(t, &record, a, e) : ERR_OK;
    trace_release(&record);
    return code;
}
