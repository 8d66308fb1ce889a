#include "common.h"

const struct family family_granite = {
    .name = "granite",
    .gguf = "granite",
    .known_as = "Granite 3.0 to 3.3",
    .tokenizers = TOKENIZERS_BYTE_LEVEL,
    .names = llama_like_names,
    .modules = llama_paired_modules,
    .module_count = LLAMA_LIKE_MODULES,
    .vectors = llama_like_vectors,
    .keys = {llama_like_keys, llama_bias_keys, granite_scale_keys},
    .defaults = {.layers = 32,
                 .width = 4096,
                 .ffn = 11008,
                 .heads = 32,
                 .vocab = 32000,
                 .max_positions = 2048,
                 .norm_eps = 1e-6F,
                 .attention_scale = 1,
                 .embedding_scale = 1,
                 .scale = {[GROUP_ATTN_OUT] = 1, [GROUP_MLP_OUT] = 1},
                 .rotations = {{.theta = 10000}}},
};
