#include "common.h"

const struct family family_ernie4_5 = {
    .name = "ernie4_5",
    .known_as = "ERNIE 4.5 0.3B",
    .tokenizers = TOKENIZERS_SENTENCEPIECE,
    .names = llama_like_names,
    .modules = llama_like_modules,
    .module_count = LLAMA_LIKE_MODULES,
    .vectors = llama_like_vectors,
    .keys = {llama_like_keys, use_bias_keys},
    .defaults = {.layers = 18,
                 .width = 1024,
                 .ffn = 3072,
                 .heads = 16,
                 .kv_heads = 2,
                 .head_dim = 128,
                 .vocab = 103424,
                 .max_positions = 131072,
                 .norm_eps = 1e-5F,
                 .tied = true,
                 .rotates_pairs = true,
                 .rotations = {{.theta = 5e5}}},
};
