#include "common.h"

#include <math.h>

const char *const rotary_buffers[] = {".rotary_emb.inv_freq", NULL};

const struct family_names llama_like_names[2] = {
    [STORE_HF] = {LLAMA_LIKE_HF_NAMES("mlp.act_fn")},
    [STORE_GGUF] = {.layers = "blk", .embedding = "token_embd", .divisors = "rope_freqs.weight"},
};

const struct family_names activation_fn_names[2] = {
    [STORE_HF] = {LLAMA_LIKE_HF_NAMES("mlp.activation_fn")},
    [STORE_GGUF] = {.layers = "blk", .embedding = "token_embd"},
};

const struct family_names experts_names[2] = {
    [STORE_HF] = {LLAMA_LIKE_HF_NAMES("mlp.experts.act_fn")},
    [STORE_GGUF] = {.layers = "blk", .embedding = "token_embd"},
};

/* A block's attention; rows of q and k may be in pairs in GGUF files. */
#define ATTENTION_ROWS(qk)                                                                                   \
    {"self_attn.q_proj", "attn_q", GROUP_ATTN_IN, ROWS_QUERIES, qk},                                         \
        {"self_attn.k_proj", "attn_k", GROUP_ATTN_IN, ROWS_KEYS, qk},                                        \
        {"self_attn.v_proj", "attn_v", GROUP_ATTN_IN, ROWS_VALUES, STORED_PLAIN},                            \
    {                                                                                                        \
        "self_attn.o_proj", "attn_output", GROUP_ATTN_OUT, ROWS_WIDTH, STORED_PLAIN                          \
    }

#define LLAMA_LIKE(qk)                                                                                       \
    {                                                                                                        \
        ATTENTION_ROWS(qk),                                                                                  \
            {"mlp.gate_proj", "ffn_gate", GROUP_MLP_IN, ROWS_FFN, STORED_PLAIN},                             \
            {"mlp.up_proj", "ffn_up", GROUP_MLP_IN, ROWS_FFN, STORED_PLAIN},                                 \
            {"mlp.down_proj", "ffn_down", GROUP_MLP_OUT, ROWS_WIDTH, STORED_PLAIN},                          \
            {"lm_head", "output", GROUP_HEAD, ROWS_VOCAB, STORED_PLAIN},                                     \
    }

const struct module llama_like_modules[LLAMA_LIKE_MODULES + 1] = LLAMA_LIKE(STORED_PLAIN);
const struct module llama_paired_modules[LLAMA_LIKE_MODULES + 1] = LLAMA_LIKE(GGUF_PAIRED);

#define ATTENTION(qk)                                                                                        \
    {                                                                                                        \
        ATTENTION_ROWS(qk),                                                                                  \
            {"lm_head", "output", GROUP_HEAD, ROWS_VOCAB, STORED_PLAIN},                                     \
    }

const struct module attention_modules[ATTENTION_MODULES + 1] = ATTENTION(STORED_PLAIN);
const struct module attention_paired_modules[ATTENTION_MODULES + 1] = ATTENTION(GGUF_PAIRED);

static const struct module gated_expert[] = {
    {"gate_proj", "ffn_gate_exps", GROUP_MLP_IN, ROWS_FFN, STORED_PLAIN},
    {"up_proj", "ffn_up_exps", GROUP_MLP_IN, ROWS_FFN, STORED_PLAIN},
    {"down_proj", "ffn_down_exps", GROUP_MLP_OUT, ROWS_WIDTH, STORED_PLAIN},
};

const struct family_experts llama_like_experts = {.router = "mlp.gate",
                                                  .router_gguf = "ffn_gate_inp",
                                                  .path = "mlp.experts",
                                                  .modules = gated_expert,
                                                  .module_count = sizeof gated_expert / sizeof gated_expert[0]};

#define UNGATED(qk)                                                                                          \
    {                                                                                                        \
        ATTENTION_ROWS(qk),                                                                                  \
            {"mlp.up_proj", "ffn_up", GROUP_MLP_IN, ROWS_FFN, STORED_PLAIN},                                 \
            {"mlp.down_proj", "ffn_down", GROUP_MLP_OUT, ROWS_WIDTH, STORED_PLAIN},                          \
            {"lm_head", "output", GROUP_HEAD, ROWS_VOCAB, STORED_PLAIN},                                     \
    }

const struct module ungated_modules[UNGATED_MODULES + 1] = UNGATED(STORED_PLAIN);
const struct module ungated_paired_modules[UNGATED_MODULES + 1] = UNGATED(GGUF_PAIRED);

const struct family_vector llama_like_vectors[PLACE_COUNT] = {
    [AT_ATTN_IN] = {"input_layernorm", "attn_norm"},
    [AT_MLP_IN] = {"post_attention_layernorm", "ffn_norm"},
    [AT_FINAL] = {"model.norm", "output_norm"},
};

const struct family_vector normed_heads_vectors[PLACE_COUNT] = {
    [AT_ATTN_IN] = {"input_layernorm", "attn_norm"},
    [AT_Q] = {"self_attn.q_norm", "attn_q_norm"},
    [AT_K] = {"self_attn.k_norm", "attn_k_norm"},
    [AT_MLP_IN] = {"post_attention_layernorm", "ffn_norm"},
    [AT_FINAL] = {"model.norm", "output_norm"},
};

const struct family_vector norms_after_vectors[PLACE_COUNT] = {
    [AT_Q] = {"self_attn.q_norm", "attn_q_norm"},
    [AT_K] = {"self_attn.k_norm", "attn_k_norm"},
    [AT_ATTN_OUT] = {"post_attention_layernorm", "post_attention_norm"},
    [AT_MLP_OUT] = {"post_feedforward_layernorm", "post_ffw_norm"},
    [AT_FINAL] = {"model.norm", "output_norm"},
};

const struct family_vector gemma3_vectors[PLACE_COUNT] = {
    [AT_ATTN_IN] = {"input_layernorm", "attn_norm"},
    [AT_Q] = {"self_attn.q_norm", "attn_q_norm"},
    [AT_K] = {"self_attn.k_norm", "attn_k_norm"},
    [AT_ATTN_OUT] = {"post_attention_layernorm", "post_attention_norm"},
    [AT_MLP_IN] = {"pre_feedforward_layernorm", "ffn_norm"},
    [AT_MLP_OUT] = {"post_feedforward_layernorm", "post_ffw_norm"},
    [AT_FINAL] = {"model.norm", "output_norm"},
};

const struct family_vector cohere_vectors[PLACE_COUNT] = {
    [AT_ATTN_IN] = {"input_layernorm", "attn_norm"},
    [AT_FINAL] = {"model.norm", "output_norm"},
};

#define KV_HEADS_GGUF "attention.head_count_kv"

#define SIZES(kv_heads_gguf, head_dim_gguf)                                                                  \
    {"num_hidden_layers", "block_count", KEY_SIZE, FAMILY_FIELD(layers), GGUF_REQUIRED},                     \
        {"hidden_size", "embedding_length", KEY_SIZE, FAMILY_FIELD(width), GGUF_REQUIRED},                   \
        {"intermediate_size", "feed_forward_length", KEY_SIZE, FAMILY_FIELD(ffn), GGUF_REQUIRED},            \
        {"num_attention_heads", "attention.head_count", KEY_SIZE, FAMILY_FIELD(heads), GGUF_REQUIRED},       \
        {"num_key_value_heads", kv_heads_gguf, KEY_SIZE, FAMILY_FIELD(kv_heads), 0},                         \
        {"head_dim", head_dim_gguf, KEY_SIZE, FAMILY_FIELD(head_dim), 0},                                    \
        {"vocab_size", NULL, KEY_SIZE, FAMILY_FIELD(vocab), 0},                                              \
        {"max_position_embeddings", "context_length", KEY_LIMIT, FAMILY_FIELD(max_positions), 0},            \
    {                                                                                                        \
        "tie_word_embeddings", NULL, KEY_FLAG, FAMILY_FIELD(tied), 0                                         \
    }

#define SIZES_ALONE SIZES(KV_HEADS_GGUF, "attention.key_length")

const struct family_key sizes_alone[] = {SIZES_ALONE, FAMILY_KEYS_END};

#define RMS_NORM_EPS                                                                                         \
    {                                                                                                        \
        "rms_norm_eps", "attention.layer_norm_rms_epsilon", KEY_NUMBER, FAMILY_FIELD(norm_eps), 1e-5         \
    }
#define LLAMA_LIKE_SIZES SIZES_ALONE, RMS_NORM_EPS

const struct family_key llama_like_sizes[] = {LLAMA_LIKE_SIZES, FAMILY_KEYS_END};

const struct family_key llama_like_keys[] = {
    LLAMA_LIKE_SIZES,
    {"hidden_act", NULL, KEY_ACTIVATION, FAMILY_FIELD(activation), 0},
    FAMILY_KEYS_END,
};

#define ATTENTION_BIAS                                                                                       \
    {"attention_bias", NULL, KEY_FLAG, FAMILY_FIELD(bias[GROUP_ATTN_IN]), 0},                                \
    {                                                                                                        \
        "attention_bias", NULL, KEY_FLAG, FAMILY_FIELD(bias[GROUP_ATTN_OUT]), 0                              \
    }

const struct family_key attention_bias_keys[] = {ATTENTION_BIAS, FAMILY_KEYS_END};

const struct family_key llama_bias_keys[] = {
    ATTENTION_BIAS,
    {"mlp_bias", NULL, KEY_FLAG, FAMILY_FIELD(bias[GROUP_MLP_IN]), 0},
    {"mlp_bias", NULL, KEY_FLAG, FAMILY_FIELD(bias[GROUP_MLP_OUT]), 0},
    FAMILY_KEYS_END,
};

const struct family_key use_bias_keys[] = {
    {"use_bias", NULL, KEY_FLAG, FAMILY_FIELD(bias[GROUP_ATTN_IN]), 0},
    {"use_bias", NULL, KEY_FLAG, FAMILY_FIELD(bias[GROUP_ATTN_OUT]), 0},
    {"use_bias", NULL, KEY_FLAG, FAMILY_FIELD(bias[GROUP_MLP_IN]), 0},
    {"use_bias", NULL, KEY_FLAG, FAMILY_FIELD(bias[GROUP_MLP_OUT]), 0},
    FAMILY_KEYS_END,
};

const struct family_key gemma_like_keys[] = {
    {"hidden_activation", NULL, KEY_ACTIVATION, FAMILY_FIELD(activation), 0},
    {"query_pre_attn_scalar", NULL, KEY_ROOT, FAMILY_FIELD(attention_scale), 0},
    {"attn_logit_softcapping", "attn_logit_softcapping", KEY_CAP, FAMILY_FIELD(attention_cap), GGUF_DEFAULT},
    {"final_logit_softcapping", "final_logit_softcapping", KEY_CAP, FAMILY_FIELD(logit_cap), GGUF_DEFAULT},
    FAMILY_KEYS_END,
};

const struct family_layers window_layers = {.key = "layer_types", .words = {"full_attention", "sliding_attention"}};

const struct family_key window_keys[] = {
    {"sliding_window", "attention.sliding_window", KEY_LIMIT, FAMILY_FIELD(kinds[0].window), 0},
    FAMILY_KEYS_END,
};

const struct family_key kind_window_keys[] = {
    {"sliding_window", NULL, KEY_LIMIT, FAMILY_FIELD(kinds[1].window), 0},
    FAMILY_KEYS_END,
};

const struct family_key late_window_keys[] = {
    {"use_sliding_window", NULL, KEY_FLAG, FAMILY_FIELD(pattern.mixed), 0},
    {"sliding_window", NULL, KEY_LIMIT, FAMILY_FIELD(kinds[1].window), 0},
    {"max_window_layers", NULL, KEY_LIMIT, FAMILY_FIELD(pattern.first), 0},
    FAMILY_KEYS_END,
};

const struct family_key expert_keys[] = {
    {"num_local_experts", "expert_count", KEY_SIZE, FAMILY_FIELD(experts), GGUF_REQUIRED},
    {"num_experts", "expert_count", KEY_SIZE, FAMILY_FIELD(experts), GGUF_REQUIRED},
    {"num_experts_per_tok", "expert_used_count", KEY_SIZE, FAMILY_FIELD(experts_a_token), GGUF_REQUIRED},
    FAMILY_KEYS_END,
};

const struct family_key granite_scale_keys[] = {
    {"embedding_multiplier", "embedding_scale", KEY_SCALE, FAMILY_FIELD(embedding_scale), 1},
    {"attention_multiplier", "attention.scale", KEY_SCALE, FAMILY_FIELD(attention_scale), GGUF_REQUIRED},
    {"residual_multiplier", "residual_scale", KEY_SCALE, FAMILY_FIELD(scale[GROUP_ATTN_OUT]), 1},
    {"residual_multiplier", "residual_scale", KEY_SCALE, FAMILY_FIELD(scale[GROUP_MLP_OUT]), 1},
    {"logits_scaling", "logit_scale", KEY_INVERSE, FAMILY_FIELD(scale[GROUP_HEAD]), 0},
    FAMILY_KEYS_END,
};

const struct family_key cohere_keys[] = {COHERE_KEYS, FAMILY_KEYS_END};

const struct family_names gemma4_names[2] = {
    [STORE_HF] = {LLAMA_LIKE_HF_NAMES("mlp.act_fn"), .block_scale = "layer_scalar"},
    [STORE_GGUF] = {.layers = "blk",
                    .embedding = "token_embd",
                    .divisors = "rope_freqs.weight",
                    .block_scale = "layer_output_scale"},
};

const struct family_layers gemma4_layers = {.key = "layer_types",
                                            .words = {"full_attention", "sliding_attention"},
                                            .gguf = "attention.sliding_window_pattern",
                                            .sizes = "per_layer_config",
                                            .kv_heads_gguf = KV_HEADS_GGUF};

const struct family_key gemma4_keys[] = {
    SIZES(NULL, "attention.key_length_swa"),
    RMS_NORM_EPS,
    {"hidden_activation", NULL, KEY_ACTIVATION, FAMILY_FIELD(activation), 0},
    {"final_logit_softcapping", "final_logit_softcapping", KEY_CAP, FAMILY_FIELD(logit_cap), 0},
    {"sliding_window", "attention.sliding_window", KEY_LIMIT, FAMILY_FIELD(kinds[1].window), GGUF_REQUIRED},
    {"global_head_dim", "attention.key_length", KEY_SIZE, FAMILY_FIELD(kinds[0].head_dim), GGUF_REQUIRED},
    {"num_global_key_value_heads", NULL, KEY_SIZE, FAMILY_FIELD(kinds[0].kv_heads), 0},
    {"attention_k_eq_v", NULL, KEY_FLAG, FAMILY_FIELD(kinds[0].values_are_keys), 0},
    FAMILY_KEYS_END,
};

enum err_code gemma4_finish(struct arch *a, const struct source *s, struct err *e)
{
    (void)s, (void)e;
    a->embedding_scale = sqrtf((float)a->width);
    if (!a->kinds[0].values_are_keys)
        a->kinds[0].kv_heads = 0;
    return ERR_OK;
}
