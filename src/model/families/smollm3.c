#include "common.h"

static const struct family_layers layers = {.key = "no_rope_layers"};

static const struct family_key pattern_keys[] = {
    {"no_rope_layer_interval", NULL, KEY_SIZE, FAMILY_FIELD(pattern.full_every), GGUF_DEFAULT},
    FAMILY_KEYS_END,
};

/* A window holds only where use_sliding_window is true, which no model has, and which is refused. */
static const char *const ignores[] = {"sliding_window", NULL};

const struct family family_smollm3 = {
    .name = "smollm3",
    .gguf = "smollm3",
    .known_as = "SmolLM3",
    .tokenizers = TOKENIZERS_BYTE_LEVEL,
    .names = llama_like_names,
    .modules = llama_paired_modules,
    .module_count = LLAMA_LIKE_MODULES,
    .vectors = llama_like_vectors,
    .keys = {llama_like_keys, llama_bias_keys, pattern_keys},
    .layers = &layers,
    .ignores = ignores,
    .defaults = {.layers = 36,
                 .width = 2048,
                 .ffn = 11008,
                 .heads = 16,
                 .kv_heads = 4,
                 .vocab = 128256,
                 .max_positions = 32768,
                 .norm_eps = 1e-6F,
                 .tied = true,
                 .rotations = {{.theta = 2e6}},
                 .kinds = {{.unrotated = true}, {0}},
                 .pattern = {.mixed = true, .full_every = 4}},
};
