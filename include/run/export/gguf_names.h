/* Names inside a GGUF adapter, shared by those who read and write it. */
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

/* The ends of the names of A and B, and the beginning of those of a layer's modules. */
#define GGUF_LORA_A "weight.lora_a"
#define GGUF_LORA_B "weight.lora_b"
#define GGUF_BLOCK  "blk."

/* "blk.0.attn_q.weight.lora_a" */
static inline void gguf_adapter_tensor(char name[ARCH_NAME_SIZE], const struct arch *a, size_t layer, size_t linear,
                                       bool b)
{
    arch_module_tensor(name, a, STORE_GGUF, layer, linear, b ? GGUF_LORA_B : GGUF_LORA_A);
}

#endif
