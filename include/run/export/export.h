/*
 * Writes an adapter for other programs, in the format that --format names. Each format is a row of the table in
 * export.c and a file of its own; a format that cannot express an adapter refuses it by name.
 */
#ifndef MPILORA_RUN_EXPORT_EXPORT_H
#define MPILORA_RUN_EXPORT_EXPORT_H

#include "base/err.h"
#include "io/store/store.h"
#include "model/arch.h"
#include "model/lora.h"
#include "run/options.h"

struct export_job {
    const char *output; /* the file or folder to write */
    struct lora *lora;
    const struct arch *arch;
    const struct store *store; /* the base's files */
    const char *base_name;     /* under which people know the base */
    const char *data_hash;     /* of the data that the adapter was trained on; "": not known */
    enum option_save_dtype save_dtype;
};

/* Writes `output`; nothing unfinished is ever there under this name. */
enum err_code export_write(const struct export_job *job, enum option_format format, struct err *e);

/* Reads the output, and compares its logits on a few tokens with those of base and adapter. *difference: the largest
 * one, over the largest logit; *most: the largest that rounding explains. */
enum err_code export_check(const struct export_job *job, enum option_format format, int threads, double *difference,
                           double *most, struct err *e);

/* Appends the model card of a merged model: README.md as the Hugging Face hub shows it. */
enum err_code export_card(struct str *out, const struct export_job *job, struct err *e);

#endif
