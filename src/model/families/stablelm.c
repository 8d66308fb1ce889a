#include "common.h"

static const struct family_key own_keys[] = {
    {"layer_norm_eps", GGUF_LAYER_NORM_EPS, KEY_NUMBER, FAMILY_FIELD(norm_eps), 1e-5},
    {"hidden_act", NULL, KEY_ACTIVATION, FAMILY_FIELD(activation), 0},
    {"use_qkv_bias", NULL, KEY_FLAG, FAMILY_FIELD(bias[GROUP_ATTN_IN]), 0},
    FAMILY_KEYS_END,
};

const struct family family_stablelm = {
    .name = "stablelm",
    .gguf = "stablelm",
    .known_as = "StableLM 3B, StableLM 2 1.6B",
    .tokenizers = TOKENIZERS_BYTE_LEVEL,
    .names = llama_like_names,
    .modules = llama_like_modules,
    .module_count = LLAMA_LIKE_MODULES,
    .vectors = llama_like_vectors,
    .keys = {sizes_alone, own_keys},
    .defaults = {.layers = 32,
                 .width = 2560,
                 .ffn = 6912,
                 .heads = 32,
                 .kv_heads = 32,
                 .vocab = 50304,
                 .max_positions = 4096,
                 .norm_eps = 1e-5F,
                 .centred_norms = true,
                 .norm_bias = true,
                 .rotated_share = 0.25,
                 .rotations = {{.theta = 10000}}},
};
