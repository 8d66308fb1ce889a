#include "common.h"

const struct family family_llama = {
    .name = "llama",
    .gguf = "llama",
    .known_as = "Llama 1 to 3.3, TinyLlama, SmolLM2, Falcon 3, Yi, Hermes, Vicuna, DeepSeek R1 Distill Llama",
    .tokenizers = TOKENIZERS_BOTH,
    .names = llama_like_names,
    .modules = llama_paired_modules,
    .module_count = LLAMA_LIKE_MODULES,
    .vectors = llama_like_vectors,
    .keys = {llama_like_keys, llama_bias_keys},
    .defaults = {.layers = 32,
                 .width = 4096,
                 .ffn = 11008,
                 .heads = 32,
                 .vocab = 32000,
                 .max_positions = 2048,
                 .norm_eps = 1e-6F,
                 .rotations = {{.theta = 10000}}},
};
