#include "common.h"

static const struct family_key bias_keys[] = {
    {"attention_bias", NULL, KEY_FLAG, FAMILY_FIELD(bias[GROUP_ATTN_IN]), 0},
    {"attention_out_bias", NULL, KEY_FLAG, FAMILY_FIELD(bias[GROUP_ATTN_OUT]), 0},
    {"mlp_bias", NULL, KEY_FLAG, FAMILY_FIELD(bias[GROUP_MLP_IN]), 0},
    {"mlp_bias", NULL, KEY_FLAG, FAMILY_FIELD(bias[GROUP_MLP_OUT]), 0},
    FAMILY_KEYS_END,
};

static const struct family_vector vectors[PLACE_COUNT] = {
    [AT_ATTN_IN] = {"input_layernorm", "attn_norm"},
    [AT_MLP_IN] = {"post_attention_layernorm", "post_attention_norm"},
    [AT_FINAL] = {"model.norm", "output_norm"},
};

const struct family family_seed_oss = {
    .name = "seed_oss",
    .gguf = "seed_oss",
    .known_as = "Seed-OSS",
    .tokenizers = TOKENIZERS_BYTE_LEVEL,
    .names = llama_like_names,
    .modules = llama_like_modules,
    .module_count = LLAMA_LIKE_MODULES,
    .vectors = vectors,
    .keys = {llama_like_keys, bias_keys},
    .defaults = {.layers = 64,
                 .width = 4096,
                 .ffn = 27648,
                 .heads = 80,
                 .kv_heads = 8,
                 .head_dim = 128,
                 .vocab = 155136,
                 .max_positions = 524288,
                 .norm_eps = 1e-6F,
                 .bias = {[GROUP_ATTN_IN] = true},
                 .rotations = {{.theta = 10000}}},
};
