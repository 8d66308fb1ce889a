#include "common.h"

/* The window holds only where use_sliding_window is true. */
static const char *const ignores[] = {"sliding_window", NULL};

const struct family family_qwen2 = {
    .name = "qwen2",
    .gguf = "qwen2",
    .known_as = "Qwen2, Qwen2.5, its Coder and Math, DeepSeek R1 Distill Qwen, QwQ",
    .tokenizers = TOKENIZERS_BYTE_LEVEL,
    .names = llama_like_names,
    .modules = llama_like_modules,
    .module_count = LLAMA_LIKE_MODULES,
    .vectors = llama_like_vectors,
    .keys = {llama_like_keys},
    .ignores = ignores,
    .defaults = {.layers = 32,
                 .width = 4096,
                 .ffn = 22016,
                 .heads = 32,
                 .kv_heads = 32,
                 .vocab = 151936,
                 .max_positions = 32768,
                 .norm_eps = 1e-6F,
                 .bias = {[GROUP_ATTN_IN] = true},
                 .rotations = {{.theta = 10000}}},
};
