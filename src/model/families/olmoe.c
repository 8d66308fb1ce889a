#include "common.h"

static const struct family_key share_keys[] = {
    {"norm_topk_prob", NULL, KEY_FLAG, FAMILY_FIELD(experts_share_one), 0},
    FAMILY_KEYS_END,
};

const struct family family_olmoe = {
    .name = "olmoe",
    .gguf = "olmoe",
    .known_as = "OLMoE 1B-7B",
    .tokenizers = TOKENIZERS_BYTE_LEVEL,
    .names = experts_names,
    .modules = attention_modules,
    .module_count = ATTENTION_MODULES,
    .experts = &llama_like_experts,
    .vectors = normed_heads_vectors,
    .keys = {llama_like_keys, attention_bias_keys, expert_keys, share_keys},
    .defaults = {.layers = 16,
                 .width = 2048,
                 .ffn = 2048,
                 .heads = 16,
                 .vocab = 50304,
                 .max_positions = 4096,
                 .norm_eps = 1e-5F,
                 .wide_norms = true,
                 .experts = 64,
                 .experts_a_token = 8,
                 .rotations = {{.theta = 10000}}},
};
