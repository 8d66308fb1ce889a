#include "common.h"

static const struct family_vector vectors[PLACE_COUNT] = {
    [AT_ATTN_IN] = {"input_layernorm", "attn_norm"},
    [AT_Q] = {"self_attn.query_layernorm", "attn_q_norm"},
    [AT_K] = {"self_attn.key_layernorm", "attn_k_norm"},
    [AT_MLP_IN] = {"post_attention_layernorm", "ffn_norm"},
    [AT_FINAL] = {"model.norm", "output_norm"},
};

/* Its class has these norms whatever the file says; a file without them lacks tensors. */
static const char *const ignores[] = {"use_qk_norm", NULL};

const struct family family_hunyuan_v1_dense = {
    .name = "hunyuan_v1_dense",
    .gguf = "hunyuan-dense",
    .known_as = "Hunyuan 0.5B to 7B",
    .tokenizers = TOKENIZERS_BYTE_LEVEL,
    .names = llama_like_names,
    .modules = llama_like_modules,
    .module_count = LLAMA_LIKE_MODULES,
    .vectors = vectors,
    .keys = {llama_like_keys, attention_bias_keys},
    .ignores = ignores,
    .defaults = {.layers = 32,
                 .width = 4096,
                 .ffn = 11008,
                 .heads = 32,
                 .vocab = 290943,
                 .max_positions = 2048,
                 .norm_eps = 1e-5F,
                 .norms_rotated = true,
                 .rotations = {{.theta = 10000, .takes_alpha = true}}},
};
