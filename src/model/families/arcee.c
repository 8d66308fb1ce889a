#include "common.h"

const struct family family_arcee = {
    .name = "arcee",
    .gguf = "arcee",
    .known_as = "AFM 4.5B",
    .tokenizers = TOKENIZERS_BYTE_LEVEL,
    .names = llama_like_names,
    .modules = ungated_paired_modules,
    .module_count = UNGATED_MODULES,
    .vectors = llama_like_vectors,
    .keys = {llama_like_keys, llama_bias_keys},
    .defaults = {.layers = 32,
                 .width = 2560,
                 .ffn = 18432,
                 .heads = 32,
                 .vocab = 32000,
                 .max_positions = 4096,
                 .norm_eps = 1e-5F,
                 .activation = ACT_RELU2,
                 .rotations = {{.theta = 10000}}},
};
