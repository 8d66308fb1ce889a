/* Writes the trace into a checkpoint. */
#ifndef MPILORA_RUN_TRACE_FILE_H
#define MPILORA_RUN_TRACE_FILE_H

#include "run/trace.h"

/* Writes nothing if there are no rows. */
void trace_write(struct h5_writer *w, const struct trace_record *r);

#endif
