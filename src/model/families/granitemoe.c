#include "common.h"

static const struct family_names names[2] = {
    [STORE_HF] = {LLAMA_LIKE_HF_NAMES("block_sparse_moe.experts.act_fn")},
};

static const struct module expert[] = {
    {"block_sparse_moe.input_linear", NULL, GROUP_MLP_IN, ROWS_GATED, STORED_PLAIN},
    {"block_sparse_moe.output_linear", NULL, GROUP_MLP_OUT, ROWS_WIDTH, STORED_PLAIN},
};

static const struct family_experts experts = {.router = "block_sparse_moe.router.layer",
                                              .path = "block_sparse_moe.experts",
                                              .modules = expert,
                                              .module_count = sizeof expert / sizeof expert[0],
                                              .stacked = true};

/* The shares are a softmax over the logits of the token's experts, which is the same as probabilities divided by their
 * sum. */
const struct family family_granitemoe = {
    .name = "granitemoe",
    .known_as = "Granite 3.0 and 3.1 1B-A400M, 3B-A800M",
    .tokenizers = TOKENIZERS_BYTE_LEVEL,
    .names = names,
    .modules = attention_modules,
    .module_count = ATTENTION_MODULES,
    .experts = &experts,
    .vectors = llama_like_vectors,
    .keys = {llama_like_keys, attention_bias_keys, granite_scale_keys, expert_keys},
    .defaults = {GRANITE_DEFAULTS, .ffn = 11008, .experts = 8, .experts_a_token = 2, .experts_share_one = true},
};
