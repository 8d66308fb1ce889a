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

#define PEFT_NAME_SIZE (ARCH_PATH_SIZE + 48)

static inline void peft_tensor_name(char name[PEFT_NAME_SIZE], const char *module, bool b)
{
    snprintf(name, PEFT_NAME_SIZE, "base_model.model.%s.lora_%c.weight", module, b ? 'B' : 'A');
}

/* The base's head, which PEFT saves together with an adapter of the head. */
static inline void peft_head_copy_name(char name[PEFT_NAME_SIZE], const char *head)
{
    snprintf(name, PEFT_NAME_SIZE, "base_model.model.%s.base_layer.weight", head);
}

/* The tensor name with the name of the adapter ("default"), as in the state of a model. PEFT removes that name when
 * it saves, but other programs save the state unchanged, and PEFT can load that. */
static inline void peft_state_name(char name[PEFT_NAME_SIZE], const char *module, bool b)
{
    snprintf(name, PEFT_NAME_SIZE, "base_model.model.%s.lora_%c.default.weight", module, b ? 'B' : 'A');
}

#endif
