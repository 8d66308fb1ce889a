#include "../arch_source.h"
#include "common.h"

static const char *const buffers[] = {".attention.bias", ".attention.masked_bias", ".rotary_emb.inv_freq", NULL};

static const struct family_names names[2] = {
    [STORE_HF] = {.layers = "gpt_neox.layers",
                  .embedding = "gpt_neox.embed_in",
                  .old_head = "embed_out",
                  .buffers = buffers,
                  .attention = "attention",
                  .activation = "mlp.act"},
    [STORE_GGUF] = {.layers = "blk", .embedding = "token_embd"},
};

static const struct module modules[] = {
    {"attention.query_key_value", "attn_qkv", GROUP_ATTN_IN, ROWS_ATTENTION, GGUF_SORTED},
    {"attention.dense", "attn_output", GROUP_ATTN_OUT, ROWS_WIDTH, STORED_PLAIN},
    {"mlp.dense_h_to_4h", "ffn_up", GROUP_MLP_IN, ROWS_FFN, STORED_PLAIN},
    {"mlp.dense_4h_to_h", "ffn_down", GROUP_MLP_OUT, ROWS_WIDTH, STORED_PLAIN},
    {"lm_head", "output", GROUP_HEAD, ROWS_VOCAB, STORED_PLAIN},
};

static const struct family_vector vectors[PLACE_COUNT] = {
    [AT_ATTN_IN] = {"input_layernorm", "attn_norm"},
    [AT_MLP_IN] = {"post_attention_layernorm", "ffn_norm"},
    [AT_FINAL] = {"gpt_neox.final_layer_norm", "output_norm"},
};

static const struct family_key own_keys[] = {
    {"layer_norm_eps", GGUF_LAYER_NORM_EPS, KEY_NUMBER, FAMILY_FIELD(norm_eps), 1e-5},
    {"hidden_act", NULL, KEY_ACTIVATION, FAMILY_FIELD(activation), 0},
    {"use_parallel_residual", "use_parallel_residual", KEY_FLAG, FAMILY_FIELD(parallel), GGUF_DEFAULT},
    FAMILY_KEYS_END,
};

/* Its class knows no key heads. What transformers 4 called the rotation's numbers. */
static enum err_code gpt_neox_finish(struct arch *a, const struct source *s, struct err *e)
{
    a->kv_heads = a->heads;
    return source_number(&a->rotated_share, s, "rotary_pct", NULL, a->rotated_share, e)
               ? e->code
               : source_number(&a->rotations[0].theta, s, "rotary_emb_base", NULL, a->rotations[0].theta, e);
}

const struct family family_gpt_neox = {
    .name = "gpt_neox",
    .gguf = "gptneox",
    .known_as = "Pythia, GPT-NeoX",
    .tokenizers = TOKENIZERS_BYTE_LEVEL,
    .names = names,
    .modules = modules,
    .module_count = sizeof modules / sizeof modules[0] - 1,
    .vectors = vectors,
    .keys = {sizes_alone, attention_bias_keys, own_keys},
    .finish = gpt_neox_finish,
    .defaults = {.layers = 44,
                 .width = 6144,
                 .ffn = 24576,
                 .heads = 64,
                 .vocab = 50432,
                 .max_positions = 2048,
                 .norm_eps = 1e-5F,
                 .centred_norms = true,
                 .norm_bias = true,
                 .parallel = true,
                 .activation = ACT_GELU,
                 .bias = {true, true, true, true},
                 .grouped_qkv = true,
                 .rotated_share = 0.25,
                 .rotations = {{.theta = 10000}}},
};
