#include "common.h"

static const struct family_key own_keys[] = {
    {"norm_eps", GGUF_LAYER_NORM_EPS, KEY_NUMBER, FAMILY_FIELD(norm_eps), 1e-5},
    {"hidden_act", NULL, KEY_ACTIVATION, FAMILY_FIELD(activation), 0},
    FAMILY_KEYS_END,
};

const struct family family_nemotron = {
    .name = "nemotron",
    .gguf = "nemotron",
    .known_as = "Nemotron-4, Minitron",
    .tokenizers = TOKENIZERS_BYTE_LEVEL,
    .names = llama_like_names,
    .modules = ungated_modules,
    .module_count = UNGATED_MODULES,
    .vectors = llama_like_vectors,
    .keys = {sizes_alone, llama_bias_keys, own_keys},
    .defaults = {.layers = 32,
                 .width = 6144,
                 .ffn = 24576,
                 .heads = 48,
                 .vocab = 256000,
                 .max_positions = 4096,
                 .norm_eps = 1e-5F,
                 .norm_offset = true,
                 .centred_norms = true,
                 .norm_bias = true,
                 .activation = ACT_RELU2,
                 .rotated_share = 0.5,
                 .rotations = {{.theta = 10000}}},
};
