/* Reads the columns that a report needs from the trace in a checkpoint. */
#ifndef MPILORA_REPORT_REPORT_TRACE_H
#define MPILORA_REPORT_REPORT_TRACE_H

#include "report_data.h"
#include "run/ckpt.h"

/* If the checkpoint has no trace, t->steps is 0. */
enum err_code report_trace_read(struct report_trace *t, struct ckpt *c, struct arena *a, struct err *e);

#endif
