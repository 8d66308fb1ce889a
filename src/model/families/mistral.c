#include "common.h"

const struct family family_mistral = {
    .name = "mistral",
    .gguf_adapter = "llama",
    .known_as = "Mistral 7B, Nemo, Small 2 to 3.2",
    .tokenizers = TOKENIZERS_BOTH,
    .names = llama_like_names,
    .modules = llama_paired_modules,
    .module_count = LLAMA_LIKE_MODULES,
    .vectors = llama_like_vectors,
    .keys = {llama_like_keys, window_keys},
    .defaults = {.layers = 32,
                 .width = 4096,
                 .ffn = 14336,
                 .heads = 32,
                 .kv_heads = 8,
                 .vocab = 32000,
                 .max_positions = 131072,
                 .norm_eps = 1e-6F,
                 .rotations = {{.theta = 10000}},
                 .kinds = {{.window = 4096}}},
};
