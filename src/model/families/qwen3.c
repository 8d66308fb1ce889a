#include "common.h"

static const struct family_vector vectors[PLACE_COUNT] = {
    [AT_ATTN_IN] = {"input_layernorm", "attn_norm"},
    [AT_Q] = {"self_attn.q_norm", "attn_q_norm"},
    [AT_K] = {"self_attn.k_norm", "attn_k_norm"},
    [AT_MLP_IN] = {"post_attention_layernorm", "ffn_norm"},
    [AT_FINAL] = {"model.norm", "output_norm"},
};

const struct family family_qwen3 = {
    .name = "qwen3",
    .gguf = "qwen3",
    .known_as = "Qwen3 0.6B to 32B",
    .tokenizers = TOKENIZERS_BYTE_LEVEL,
    .names = llama_like_names,
    .modules = llama_like_modules,
    .module_count = LLAMA_LIKE_MODULES,
    .vectors = vectors,
    .keys = {llama_like_keys, attention_bias_keys, late_window_keys},
    .layers = &window_layers,
    .defaults = {.layers = 32,
                 .width = 4096,
                 .ffn = 22016,
                 .heads = 32,
                 .kv_heads = 32,
                 .head_dim = 128,
                 .vocab = 151936,
                 .max_positions = 32768,
                 .norm_eps = 1e-6F,
                 .rotations = {{.theta = 10000}},
                 .kinds = {{0}, {.window = 4096}},
                 .pattern = {.first = 28}},
};
