#include "common.h"

static const struct module expert[] = {
    {"w1", "ffn_gate_exps", GROUP_MLP_IN, ROWS_FFN, STORED_PLAIN},
    {"w3", "ffn_up_exps", GROUP_MLP_IN, ROWS_FFN, STORED_PLAIN},
    {"w2", "ffn_down_exps", GROUP_MLP_OUT, ROWS_WIDTH, STORED_PLAIN},
};

static const struct family_experts experts = {.router = "block_sparse_moe.gate",
                                              .router_gguf = "ffn_gate_inp",
                                              .path = "block_sparse_moe.experts",
                                              .modules = expert,
                                              .module_count = sizeof expert / sizeof expert[0]};

const struct family family_mixtral = {
    .name = "mixtral",
    .gguf = "llama",
    .known_as = "Mixtral 8x7B, 8x22B",
    .tokenizers = TOKENIZERS_SENTENCEPIECE,
    .names = experts_names,
    .modules = attention_paired_modules,
    .module_count = ATTENTION_MODULES,
    .experts = &experts,
    .vectors = llama_like_vectors,
    .keys = {llama_like_keys, window_keys, expert_keys},
    .defaults = {.layers = 32,
                 .width = 4096,
                 .ffn = 14336,
                 .heads = 32,
                 .kv_heads = 8,
                 .vocab = 32000,
                 .max_positions = 131072,
                 .norm_eps = 1e-5F,
                 .experts = 8,
                 .experts_a_token = 2,
                 .experts_share_one = true,
                 .rotations = {{.theta = 1e6}}},
};
