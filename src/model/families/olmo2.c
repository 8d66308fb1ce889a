#include "common.h"

const struct family family_olmo2 = {
    .name = "olmo2",
    .gguf = "olmo2",
    .known_as = "OLMo 2",
    .tokenizers = TOKENIZERS_BYTE_LEVEL,
    .names = llama_like_names,
    .modules = llama_like_modules,
    .module_count = LLAMA_LIKE_MODULES,
    .vectors = norms_after_vectors,
    .keys = {llama_like_keys, attention_bias_keys},
    .defaults = {.layers = 32,
                 .width = 4096,
                 .ffn = 11008,
                 .heads = 32,
                 .vocab = 50304,
                 .max_positions = 2048,
                 .norm_eps = 1e-5F,
                 .wide_norms = true,
                 .rotations = {{.theta = 10000}}},
};
