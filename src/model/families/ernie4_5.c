#include "common.h"

static const struct family_key bias_keys[] = {
    {"use_bias", NULL, KEY_FLAG, FAMILY_FIELD(bias[GROUP_ATTN_IN]), 0},
    {"use_bias", NULL, KEY_FLAG, FAMILY_FIELD(bias[GROUP_ATTN_OUT]), 0},
    {"use_bias", NULL, KEY_FLAG, FAMILY_FIELD(bias[GROUP_MLP_IN]), 0},
    {"use_bias", NULL, KEY_FLAG, FAMILY_FIELD(bias[GROUP_MLP_OUT]), 0},
    FAMILY_KEYS_END,
};

const struct family family_ernie4_5 = {
    .name = "ernie4_5",
    .known_as = "ERNIE 4.5 0.3B",
    .tokenizers = TOKENIZERS_SENTENCEPIECE,
    .names = llama_like_names,
    .modules = llama_like_modules,
    .module_count = LLAMA_LIKE_MODULES,
    .vectors = llama_like_vectors,
    .keys = {llama_like_keys, bias_keys},
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
