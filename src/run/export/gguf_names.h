/* Names inside a GGUF adapter, shared by its reader and its writer. */
#ifndef MPILORA_RUN_EXPORT_GGUF_NAMES_H
#define MPILORA_RUN_EXPORT_GGUF_NAMES_H

#include <stdbool.h>
#include <stdio.h>

#include "model/arch.h"

#define GGUF_TYPE_KEY         "general.type"
#define GGUF_ARCHITECTURE_KEY "general.architecture"
#define GGUF_NAME_KEY         "general.name"
#define GGUF_ADAPTER_TYPE_KEY "adapter.type"
#define GGUF_ALPHA_KEY        "adapter.lora.alpha"
#define GGUF_INVOCATION_KEY   "adapter.alora.invocation_tokens"

#define GGUF_ADAPTER "adapter"
#define GGUF_LORA    "lora"

/* "blk.0.attn_q.weight.lora_a" */
static inline void gguf_adapter_tensor(char name[ARCH_NAME_SIZE], const struct arch *a, size_t layer, size_t linear,
                                       bool b)
{
    arch_module_tensor(name, a, STORE_GGUF, layer, linear, b ? "weight.lora_b" : "weight.lora_a");
}

#endif
