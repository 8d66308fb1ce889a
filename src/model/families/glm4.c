#include "common.h"

static const struct module modules[] = {
    {"self_attn.q_proj", "attn_q", GROUP_ATTN_IN, ROWS_QUERIES, STORED_PLAIN},
    {"self_attn.k_proj", "attn_k", GROUP_ATTN_IN, ROWS_KEYS, STORED_PLAIN},
    {"self_attn.v_proj", "attn_v", GROUP_ATTN_IN, ROWS_VALUES, STORED_PLAIN},
    {"self_attn.o_proj", "attn_output", GROUP_ATTN_OUT, ROWS_WIDTH, STORED_PLAIN},
    {"mlp.gate_up_proj", "ffn_up", GROUP_MLP_IN, ROWS_GATED, STORED_PLAIN},
    {"mlp.down_proj", "ffn_down", GROUP_MLP_OUT, ROWS_WIDTH, STORED_PLAIN},
    {"lm_head", "output", GROUP_HEAD, ROWS_VOCAB, STORED_PLAIN},
};

static const struct family_vector vectors[PLACE_COUNT] = {
    [AT_ATTN_IN] = {"input_layernorm", "attn_norm"},
    [AT_ATTN_OUT] = {"post_self_attn_layernorm", "post_attention_norm"},
    [AT_MLP_IN] = {"post_attention_layernorm", "ffn_norm"},
    [AT_MLP_OUT] = {"post_mlp_layernorm", "post_ffw_norm"},
    [AT_FINAL] = {"model.norm", "output_norm"},
};

static const struct family_key bias_keys[] = {
    {"attention_bias", NULL, KEY_FLAG, FAMILY_FIELD(bias[GROUP_ATTN_IN]), 0},
    FAMILY_KEYS_END,
};

const struct family family_glm4 = {
    .name = "glm4",
    .gguf = "glm4",
    .known_as = "GLM-4-0414",
    .tokenizers = TOKENIZERS_BYTE_LEVEL,
    .names = activation_fn_names,
    .modules = modules,
    .module_count = sizeof modules / sizeof modules[0] - 1,
    .vectors = vectors,
    .keys = {llama_like_keys, bias_keys},
    .defaults = {.layers = 40,
                 .width = 4096,
                 .ffn = 13696,
                 .heads = 32,
                 .kv_heads = 2,
                 .head_dim = 128,
                 .vocab = 151552,
                 .max_positions = 131072,
                 .norm_eps = 1.5625e-7F,
                 .bias = {[GROUP_ATTN_IN] = true},
                 .rotated_share = 0.5,
                 .rotates_pairs = true,
                 .rotations = {{.theta = 10000}}},
};
