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
#include "run/origin.h"

/* What an export has beside its weights: the model card, as the Hugging Face hub shows it, and transformers' record of
 * the training, which other tools plot. */
#define EXPORT_CARD  "README.md"
#define EXPORT_STATE "trainer_state.json"

struct export_job {
    const char *output; /* the file or folder to write */
    struct lora *lora;
    const struct arch *arch;
    const struct store *store;   /* the base's files */
    const char *base_name;       /* under which people know the base: store_name(), or what the user calls it */
    const struct origin *origin; /* of the adapter */
    enum option_save_dtype save_dtype;
};

/* Writes `output`; nothing unfinished is ever there under this name. */
enum err_code export_write(const struct export_job *job, enum option_format format, struct err *e);

/* Reads the output, and compares its logits on a few tokens with those of base and adapter. *difference: the largest
 * one, over the largest logit; *most: the largest that rounding explains. */
enum err_code export_check(const struct export_job *job, enum option_format format, int threads, double *difference,
                           double *most, struct err *e);

/* Appends the model card of a PEFT folder (EXPORT_PEFT) or of a merged model (EXPORT_MERGED): a YAML header for the
 * hub, then what the export is, how it is loaded, and from which base, data and options it was made. It names files and
 * models without their folders and has no markup from foreign text. It does not depend on where and on how many ranks
 * the adapter was trained. */
enum err_code export_card(struct str *out, const struct export_job *job, enum option_format format, struct err *e);

/* Appends trainer_state.json: the fields of transformers' TrainerState, for a run whose history is known
 * (origin_has_history()), in the form in which its load_from_json() reads them. log_history has one row for each step
 * and one for each evaluation. No times, which differ from one number of ranks to another. */
enum err_code export_state(struct str *out, const struct origin *origin, struct err *e);

#endif
