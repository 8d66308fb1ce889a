/*
 * What the configuration of a PEFT folder says: which modules are adapted, with which ranks and scalings.
 */
#ifndef MPILORA_RUN_EXPORT_PEFT_CONFIG_H
#define MPILORA_RUN_EXPORT_PEFT_CONFIG_H

#include "base/err.h"
#include "io/store/store.h"
#include "model/lora.h"
#include "run/export/peft_names.h"

/* Makes `l`, with all values zero, from the configuration at `path`. *base_name: that of the base, NULL if there is
 * none; it is in the memory of `l`. ERR_UNSUPPORTED names a field that changes the result and is not implemented. The
 * folder's tensors decide where the configuration has no target_modules, and how many parameters there can be. */
enum err_code peft_config_read(struct lora *l, const char **base_name, const struct arch *a, const char *path,
                               const struct store *tensors, const struct peft_names *names, struct err *e);

#endif
