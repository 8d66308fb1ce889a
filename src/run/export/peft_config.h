/*
 * What the configuration of a PEFT folder says: which modules are adapted, with which ranks and scalings.
 */
#ifndef MPILORA_RUN_EXPORT_PEFT_CONFIG_H
#define MPILORA_RUN_EXPORT_PEFT_CONFIG_H

#include "base/err.h"
#include "io/store/store.h"
#include "model/lora.h"
#include "run/export/export_notes.h"
#include "run/export/peft_names.h"

/* Makes `l`, with all values zero, from the configuration at `path`. *said gets the name of the base, in the memory of
 * `l`, and whether there are target_modules. ERR_UNSUPPORTED names a field that changes the result and is not
 * implemented. The folder's tensors decide where the configuration has no target_modules, and how many parameters there
 * can be. */
enum err_code peft_config_read(struct lora *l, struct export_notes *said, const struct arch *a, const char *path,
                               const struct store *tensors, const struct peft_names *names, struct err *e);

#endif
