#include "../arch_source.h"
#include "common.h"

static const char width_key[] = "moe_intermediate_size";

/* All GGUF files of Qwen3's experts have shares with a sum of 1. */
static const struct family_key own_keys[] = {
    {width_key, "expert_feed_forward_length", KEY_SIZE, FAMILY_FIELD(ffn), GGUF_REQUIRED},
    {"norm_topk_prob", NULL, KEY_FLAG, FAMILY_FIELD(experts_share_one), 1},
    {"sliding_window", NULL, KEY_LIMIT, FAMILY_FIELD(kinds[0].window), 0},
    FAMILY_KEYS_END,
};

static const char windows_key[] = "use_sliding_window";
static const char *const ignores[] = {windows_key, NULL};

/* What does not hold where these keys are missing: the size of a layer without experts, and the window. */
static enum err_code qwen3_moe_finish(struct arch *a, const struct source *s, struct err *e)
{
    bool windows;
    if (source_flag(&windows, s, windows_key, NULL, false, e))
        return e->code;
    if (!windows)
        a->kinds[0].window = 0;
    if (s->store->kind == STORE_HF && source_is_missing(s, width_key, NULL))
        a->ffn = 768;
    return ERR_OK;
}

const struct family family_qwen3_moe = {
    .name = "qwen3_moe",
    .gguf = "qwen3moe",
    .known_as = "Qwen3 30B-A3B, 235B-A22B, Qwen3-Coder 30B-A3B",
    .tokenizers = TOKENIZERS_BYTE_LEVEL,
    .names = experts_names,
    .modules = attention_modules,
    .module_count = ATTENTION_MODULES,
    .experts = &llama_like_experts,
    .vectors = normed_heads_vectors,
    .keys = {llama_like_keys, attention_bias_keys, expert_keys, own_keys},
    .ignores = ignores,
    .finish = qwen3_moe_finish,
    .defaults = {.layers = 24,
                 .width = 2048,
                 .ffn = 6144,
                 .heads = 32,
                 .kv_heads = 4,
                 .vocab = 151936,
                 .max_positions = 32768,
                 .norm_eps = 1e-6F,
                 .experts = 128,
                 .experts_a_token = 8,
                 .rotations = {{.theta = 10000}},
                 .kinds = {{.window = 4096}}},
};
