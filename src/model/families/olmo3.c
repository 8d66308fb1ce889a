#include "common.h"

const struct family family_olmo3 = {
    .name = "olmo3",
    .known_as = "OLMo 3",
    .tokenizers = TOKENIZERS_BYTE_LEVEL,
    .names = llama_like_names,
    .modules = llama_like_modules,
    .module_count = LLAMA_LIKE_MODULES,
    .vectors = norms_after_vectors,
    .keys = {llama_like_keys, attention_bias_keys, kind_window_keys},
    .layers = &window_layers,
    .defaults = {.layers = 32,
                 .width = 4096,
                 .ffn = 11008,
                 .heads = 32,
                 .vocab = 50304,
                 .max_positions = 2048,
                 .norm_eps = 1e-5F,
                 .wide_norms = true,
                 .rotations = {{.theta = 5e5}, {.theta = 5e5}},
                 .kinds = {{0}, {.window = 4096, .rotation = 1}},
                 .pattern = {.mixed = true, .full_every = 4}},
};
