/*
 * Names inside a PEFT folder, shared by its reader and its writer.
 */
#ifndef MPILORA_RUN_EXPORT_PEFT_NAMES_H
#define MPILORA_RUN_EXPORT_PEFT_NAMES_H

#include <stdbool.h>
#include <stdio.h>

#include "model/arch.h"

#define PEFT_CONFIG  "adapter_config.json"
#define PEFT_TENSORS "adapter_model.safetensors"

/* The base's head, which PEFT saves beside an adapter of it. */
#define PEFT_HEAD_COPY "base_model.model.lm_head.base_layer.weight"

#define PEFT_NAME_SIZE (ARCH_PATH_SIZE + 48)

static inline void peft_tensor_name(char name[PEFT_NAME_SIZE], const char *module, bool b)
{
    snprintf(name, PEFT_NAME_SIZE, "base_model.model.%s.lora_%c.weight", module, b ? 'B' : 'A');
}

#endif
