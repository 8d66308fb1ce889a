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

/* How a folder names its tensors. PEFT saves them under the names in peft_names; it reads, and other programs write,
 * more. */
struct peft_names {
    const char *prefix; /* PEFT_PREFIX; "" in folders of other programs */
    bool of_state;      /* with the adapter's name, as in the state of a model, which some programs save unchanged */
    size_t alias;       /* of the modules' paths (arch_module_alias()) */
};
#define PEFT_PREFIX "base_model.model."
static const struct peft_names peft_names = {.prefix = PEFT_PREFIX};

static inline void peft_tensor_name(char name[PEFT_NAME_SIZE], const struct peft_names *names, const char *module,
                                    bool b)
{
    snprintf(name, PEFT_NAME_SIZE, names->of_state ? "%s%s.lora_%c.default.weight" : "%s%s.lora_%c.weight",
             names->prefix, module, b ? 'B' : 'A');
}

/* The base's head, which PEFT saves together with an adapter of the head. */
static inline void peft_head_copy_name(char name[PEFT_NAME_SIZE], const struct peft_names *names, const char *head)
{
    snprintf(name, PEFT_NAME_SIZE, "%s%s.base_layer.weight", names->prefix, head);
}

#endif
