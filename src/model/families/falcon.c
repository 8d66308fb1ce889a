#include "../arch_source.h"
#include "common.h"

static const struct family_names names[2] = {
    [STORE_HF] = {.layers = "transformer.h",
                  .embedding = "transformer.word_embeddings",
                  .buffers = rotary_buffers,
                  .attention = "self_attention",
                  .activation = "mlp.act"},
    [STORE_GGUF] = {.layers = "blk", .embedding = "token_embd"},
};

static const struct module modules[] = {
    {"self_attention.query_key_value", "attn_qkv", GROUP_ATTN_IN, ROWS_ATTENTION, GGUF_SORTED},
    {"self_attention.dense", "attn_output", GROUP_ATTN_OUT, ROWS_WIDTH, STORED_PLAIN},
    {"mlp.dense_h_to_4h", "ffn_up", GROUP_MLP_IN, ROWS_FFN, STORED_PLAIN},
    {"mlp.dense_4h_to_h", "ffn_down", GROUP_MLP_OUT, ROWS_WIDTH, STORED_PLAIN},
    {"lm_head", "output", GROUP_HEAD, ROWS_VOCAB, STORED_PLAIN},
};

static const struct family_vector vectors[PLACE_COUNT] = {
    [AT_ATTN_IN] = {"ln_attn", "attn_norm_2"},
    [AT_MLP_IN] = {"ln_mlp", "attn_norm"},
    [AT_FINAL] = {"transformer.ln_f", "output_norm"},
};

static const struct family_key keys[] = {
    {"num_hidden_layers", "block_count", KEY_SIZE, FAMILY_FIELD(layers), GGUF_REQUIRED},
    {"hidden_size", "embedding_length", KEY_SIZE, FAMILY_FIELD(width), GGUF_REQUIRED},
    {"ffn_hidden_size", "feed_forward_length", KEY_SIZE, FAMILY_FIELD(ffn), GGUF_REQUIRED},
    {"num_attention_heads", "attention.head_count", KEY_SIZE, FAMILY_FIELD(heads), GGUF_REQUIRED},
    {"num_kv_heads", "attention.head_count_kv", KEY_SIZE, FAMILY_FIELD(kv_heads), 0},
    {"vocab_size", NULL, KEY_SIZE, FAMILY_FIELD(vocab), 0},
    {"max_position_embeddings", "context_length", KEY_LIMIT, FAMILY_FIELD(max_positions), 0},
    {"layer_norm_epsilon", GGUF_LAYER_NORM_EPS, KEY_NUMBER, FAMILY_FIELD(norm_eps), 1e-5},
    {"activation", NULL, KEY_ACTIVATION, FAMILY_FIELD(activation), 0},
    {"tie_word_embeddings", NULL, KEY_FLAG, FAMILY_FIELD(tied), 0},
    FAMILY_KEYS_END,
};

static const struct family_key bias_keys[] = {
    {"bias", NULL, KEY_FLAG, FAMILY_FIELD(bias[GROUP_ATTN_IN]), 0},
    {"bias", NULL, KEY_FLAG, FAMILY_FIELD(bias[GROUP_ATTN_OUT]), 0},
    {"bias", NULL, KEY_FLAG, FAMILY_FIELD(bias[GROUP_MLP_IN]), 0},
    {"bias", NULL, KEY_FLAG, FAMILY_FIELD(bias[GROUP_MLP_OUT]), 0},
    FAMILY_KEYS_END,
};

/* The decoder of 40B and 180B: two norms on one input. The first one, of 7B, has other norms. */
static enum err_code falcon_finish(struct arch *a, const struct source *s, struct err *e)
{
    static const char new_key[] = "new_decoder_architecture", norms_key[] = "num_ln_in_parallel_attn";
    bool is_new;
    size_t norms;
    a->ffn = a->ffn ? a->ffn : 4 * a->width;
    if (source_flag(&is_new, s, new_key, NULL, s->store->kind == STORE_GGUF, e) ||
        source_size(&norms, s, norms_key, NULL, 2, e))
        return e->code;
    if (!is_new)
        return source_refuse(s, ERR_UNSUPPORTED, new_key, e,
                             "false is not supported: only the decoder of Falcon 40B is");
    if (norms != 2)
        return source_refuse(s, ERR_UNSUPPORTED, norms_key, e, "%zu is not supported; supported is 2", norms);
    return ERR_OK;
}

const struct family family_falcon = {
    .name = "falcon",
    .gguf = "falcon",
    .known_as = "Falcon 40B, 180B",
    .tokenizers = TOKENIZERS_BYTE_LEVEL,
    .names = names,
    .modules = modules,
    .module_count = sizeof modules / sizeof modules[0] - 1,
    .vectors = vectors,
    .keys = {keys, bias_keys},
    .finish = falcon_finish,
    .defaults = {.layers = 32,
                 .width = 4544,
                 .heads = 71,
                 .vocab = 65024,
                 .max_positions = 2048,
                 .norm_eps = 1e-5F,
                 .centred_norms = true,
                 .norm_bias = true,
                 .parallel = true,
                 .activation = ACT_GELU,
                 .grouped_qkv = true,
                 .tied = true,
                 .rotations = {{.theta = 10000}}},
};
