/*
 * PEFT adapter folders: adapter_config.json and adapter_model.safetensors.
 * Source of the fields, names and rules: PEFT's LoraConfig and its checkpoint format document.
 */
#ifndef MPILORA_RUN_EXPORT_PEFT_H
#define MPILORA_RUN_EXPORT_PEFT_H

#include <stdbool.h>

#include "base/err.h"
#include "model/lora.h"
#include "model/weights.h"

/* Is this folder a PEFT adapter? */
bool peft_is_folder(const char *path);

/* Writes the folder (made if need be; each file replaced atomically). `base_name` is what
 * base_model_name_or_path says. target_modules is made so that PEFT adapts exactly these modules of `a`;
 * ranks and scalings that differ become rank_pattern and alpha_pattern. An adapter that took its start out of
 * the base is written as one of twice the rank that does the same to the untouched base. */
enum err_code peft_write(const char *folder, const struct lora *l, const struct arch *a,
                         const char *base_name, double dropout, struct err *e);

/* Makes `l` from a folder. Fields that change the result and that this program does not implement (DoRA,
 * biases, modules_to_save, ...) are ERR_UNSUPPORTED by name, unless they have the value that changes nothing;
 * tensors are checked for name, shape, type and finite values, and none may be missing or left over. An
 * adapter of lm_head may bring PEFT's copy of the base's head, which must equal that of `base` (NULL: not
 * at hand) in the element type that this has. */
enum err_code peft_read(struct lora *l, const struct arch *a, const struct weights *base, const char *folder,
                        struct err *e);

#endif
