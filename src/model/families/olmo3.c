#include "common.h"

/* No norm before a branch. */
static const struct family_vector vectors[PLACE_COUNT] = {
    [AT_Q] = {"self_attn.q_norm", NULL},
    [AT_K] = {"self_attn.k_norm", NULL},
    [AT_ATTN_OUT] = {"post_attention_layernorm", NULL},
    [AT_MLP_OUT] = {"post_feedforward_layernorm", NULL},
    [AT_FINAL] = {"model.norm", NULL},
};

static const struct family_key window_keys[] = {
    {"sliding_window", NULL, KEY_LIMIT, FAMILY_FIELD(kinds[1].window), 0},
    FAMILY_KEYS_END,
};

const struct family family_olmo3 = {
    .name = "olmo3",
    .known_as = "OLMo 3",
    .tokenizers = TOKENIZERS_BYTE_LEVEL,
    .names = llama_like_names,
    .modules = llama_like_modules,
    .module_count = LLAMA_LIKE_MODULES,
    .vectors = vectors,
    .keys = {llama_like_keys, attention_bias_keys, window_keys},
    .layers = &window_layers,
    .defaults = {.layers = 32,
                 .width = 4096,
                 .ffn = 11008,
                 .heads = 32,
                 .vocab = 50304,
                 .max_positions = 2048,
                 .norm_eps = 1e-5F,
                 .wide_norms = true,
                 .rotations = {{.theta = 5e5}, {.theta = 5e5}},
                 .kinds = {{0}, {.window = 4096, .rotation = 1}},
                 .pattern = {.mixed = true, .full_every = 4}},
};
