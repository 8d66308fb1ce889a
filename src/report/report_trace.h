/* From the trace in a checkpoint to the columns that a report needs. */
#ifndef MPILORA_REPORT_REPORT_TRACE_H
#define MPILORA_REPORT_REPORT_TRACE_H

#include "report_data.h"
#include "run/ckpt.h"

/* A checkpoint without a trace leaves `t` without steps. */
enum err_code report_trace_read(struct report_trace *t, struct ckpt *c, struct arena *a, struct err *e);

#endif
