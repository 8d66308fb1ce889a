/*
 * Writes and reads PEFT adapter folders: adapter_config.json and adapter_model.safetensors. Source of the fields,
 * names and rules: PEFT's LoraConfig and its document of the checkpoint format.
 */
#ifndef MPILORA_RUN_EXPORT_PEFT_H
#define MPILORA_RUN_EXPORT_PEFT_H

#include <stdbool.h>

#include "base/err.h"
#include "model/lora.h"
#include "model/weights.h"
#include "run/export/export_notes.h"

/* Is this folder a PEFT adapter? */
bool peft_is_folder(const char *path);

/* Writes the folder, creating it if needed; each file is replaced atomically. The base's name is written as
 * base_model_name_or_path, its hash into the file of the tensors. target_modules is chosen so that PEFT adapts exactly
 * these modules of `a`; different ranks and scalings are written as rank_pattern and alpha_pattern. If the adapter's
 * start was subtracted from the base (l->start), an adapter of twice the rank is written, which gives the same outputs
 * with the original base. */
enum err_code peft_write(const char *folder, const struct lora *l, const struct arch *a,
                         const struct export_notes *notes, double dropout, struct err *e);

/* Makes `l` from a folder. ERR_UNSUPPORTED names a field that changes the result and that this program does not
 * implement (DoRA, biases, modules_to_save, ...), unless its value has no effect. Tensors are checked for name,
 * shape, type and finite values; a missing and a surplus tensor are errors. The folder of an adapter of lm_head may
 * contain PEFT's copy of the base's head; it must be equal to the head of `base`, in the type of the copy (NULL:
 * not checked). `of` (may be NULL) gets what the folder says of its base, in the memory of `l`. */
enum err_code peft_read(struct lora *l, const struct arch *a, const struct weights *base, const char *folder,
                        struct export_notes *of, struct err *e);

#endif
