/* The trace's part of a checkpoint, for its writer. */
#ifndef MPILORA_RUN_TRACE_FILE_H
#define MPILORA_RUN_TRACE_FILE_H

#include "run/trace.h"

/* Nothing when there are no rows. */
void trace_write(struct h5_writer *w, const struct trace_record *r);

#endif
