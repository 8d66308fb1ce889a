/*
 * A row of the table of formats in export.c.
 */
#ifndef MPILORA_RUN_EXPORT_FORMATS_H
#define MPILORA_RUN_EXPORT_FORMATS_H

#include "model/weights.h"
#include "run/export/export.h"

struct export_format {
    enum err_code (*write)(const struct export_job *job, struct err *e);
    /* Reads the adapter that was written, for this base; NULL: the output is a model. */
    enum err_code (*read)(struct lora *l, const struct export_job *job, const struct weights *base, struct err *e);
};

const struct export_format *export_format(enum option_format format);

#endif
