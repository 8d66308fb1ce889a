#include "common.h"

static const struct module modules[] = {
    {"self_attn.q_proj", "attn_q", GROUP_ATTN_IN, ROWS_QUERIES, STORED_PLAIN},
    {"self_attn.k_proj", "attn_k", GROUP_ATTN_IN, ROWS_KEYS, STORED_PLAIN},
    {"self_attn.v_proj", "attn_v", GROUP_ATTN_IN, ROWS_VALUES, STORED_PLAIN},
    {"self_attn.dense", "attn_output", GROUP_ATTN_OUT, ROWS_WIDTH, STORED_PLAIN},
    {"mlp.fc1", "ffn_up", GROUP_MLP_IN, ROWS_FFN, STORED_PLAIN},
    {"mlp.fc2", "ffn_down", GROUP_MLP_OUT, ROWS_WIDTH, STORED_PLAIN},
    {"lm_head", "output", GROUP_HEAD, ROWS_VOCAB, STORED_PLAIN},
};

static const struct family_vector vectors[PLACE_COUNT] = {
    [AT_ATTN_IN] = {"input_layernorm", "attn_norm"},
    [AT_FINAL] = {"model.final_layernorm", "output_norm"},
};

static const struct family_key own_keys[] = {
    {"layer_norm_eps", GGUF_LAYER_NORM_EPS, KEY_NUMBER, FAMILY_FIELD(norm_eps), 1e-5},
    {"hidden_act", NULL, KEY_ACTIVATION, FAMILY_FIELD(activation), 0},
    FAMILY_KEYS_END,
};

const struct family family_phi = {
    .name = "phi",
    .gguf = "phi2",
    .known_as = "Phi-1, Phi-1.5, Phi-2",
    .tokenizers = TOKENIZERS_BYTE_LEVEL,
    .names = activation_fn_names,
    .modules = modules,
    .module_count = sizeof modules / sizeof modules[0] - 1,
    .vectors = vectors,
    .keys = {sizes_alone, own_keys},
    .defaults = {.layers = 24,
                 .width = 2048,
                 .ffn = 8192,
                 .heads = 32,
                 .vocab = 51200,
                 .max_positions = 2048,
                 .norm_eps = 1e-5F,
                 .centred_norms = true,
                 .norm_bias = true,
                 .parallel = true,
                 .activation = ACT_GELU_TANH,
                 .bias = {true, true, true, true, true},
                 .rotated_share = 0.5,
                 .rotations = {{.theta = 10000}}},
};
