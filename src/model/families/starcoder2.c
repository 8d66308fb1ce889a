#include "common.h"

static const struct family_names names[2] = {
    [STORE_HF] = {LLAMA_LIKE_HF_NAMES("mlp.act")},
    [STORE_GGUF] = {.layers = "blk", .embedding = "token_embd"},
};

static const struct module modules[] = {
    {"self_attn.q_proj", "attn_q", GROUP_ATTN_IN, ROWS_QUERIES, STORED_PLAIN},
    {"self_attn.k_proj", "attn_k", GROUP_ATTN_IN, ROWS_KEYS, STORED_PLAIN},
    {"self_attn.v_proj", "attn_v", GROUP_ATTN_IN, ROWS_VALUES, STORED_PLAIN},
    {"self_attn.o_proj", "attn_output", GROUP_ATTN_OUT, ROWS_WIDTH, STORED_PLAIN},
    {"mlp.c_fc", "ffn_up", GROUP_MLP_IN, ROWS_FFN, STORED_PLAIN},
    {"mlp.c_proj", "ffn_down", GROUP_MLP_OUT, ROWS_WIDTH, STORED_PLAIN},
    {"lm_head", "output", GROUP_HEAD, ROWS_VOCAB, STORED_PLAIN},
};

static const struct family_key own_keys[] = {
    {"norm_epsilon", GGUF_LAYER_NORM_EPS, KEY_NUMBER, FAMILY_FIELD(norm_eps), 1e-5},
    {"hidden_act", NULL, KEY_ACTIVATION, FAMILY_FIELD(activation), 0},
    {"sliding_window", NULL, KEY_LIMIT, FAMILY_FIELD(kinds[0].window), 0},
    FAMILY_KEYS_END,
};

const struct family family_starcoder2 = {
    .name = "starcoder2",
    .gguf = "starcoder2",
    .known_as = "StarCoder2",
    .tokenizers = TOKENIZERS_BYTE_LEVEL,
    .names = names,
    .modules = modules,
    .module_count = sizeof modules / sizeof modules[0] - 1,
    .vectors = llama_like_vectors,
    .keys = {sizes_alone, use_bias_keys, own_keys},
    .defaults = {.layers = 30,
                 .width = 3072,
                 .ffn = 12288,
                 .heads = 24,
                 .kv_heads = 2,
                 .vocab = 49152,
                 .max_positions = 4096,
                 .norm_eps = 1e-5F,
                 .centred_norms = true,
                 .norm_bias = true,
                 .activation = ACT_GELU_TANH,
                 .bias = {true, true, true, true},
                 .tied = true,
                 .rotations = {{.theta = 10000}}},
};
