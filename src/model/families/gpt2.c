#include "common.h"

/* Masks that files of old have beside the weights. */
static const char *const buffers[] = {".attn.bias", ".attn.masked_bias", NULL};

static const struct family_names names[2] = {
    [STORE_HF] = {.layers = "transformer.h",
                  .embedding = "transformer.wte",
                  .positions = "transformer.wpe",
                  .buffers = buffers,
                  .attention = "attn",
                  .activation = "mlp.act"},
    [STORE_GGUF] = {.layers = "blk", .embedding = "token_embd", .positions = "position_embd"},
};

static const struct module modules[] = {
    {"attn.c_attn", "attn_qkv", GROUP_ATTN_IN, ROWS_ATTENTION, HF_TRANSPOSED},
    {"attn.c_proj", "attn_output", GROUP_ATTN_OUT, ROWS_WIDTH, HF_TRANSPOSED},
    {"mlp.c_fc", "ffn_up", GROUP_MLP_IN, ROWS_FFN, HF_TRANSPOSED},
    {"mlp.c_proj", "ffn_down", GROUP_MLP_OUT, ROWS_WIDTH, HF_TRANSPOSED},
    {"lm_head", "output", GROUP_HEAD, ROWS_VOCAB, STORED_PLAIN},
};

static const struct family_vector vectors[PLACE_COUNT] = {
    [AT_ATTN_IN] = {"ln_1", "attn_norm"},
    [AT_MLP_IN] = {"ln_2", "ffn_norm"},
    [AT_FINAL] = {"transformer.ln_f", "output_norm"},
};

static const struct family_key keys[] = {
    {"n_layer", "block_count", KEY_SIZE, FAMILY_FIELD(layers), GGUF_REQUIRED},
    {"n_embd", "embedding_length", KEY_SIZE, FAMILY_FIELD(width), GGUF_REQUIRED},
    {"n_inner", "feed_forward_length", KEY_SIZE, FAMILY_FIELD(ffn), GGUF_REQUIRED},
    {"n_head", "attention.head_count", KEY_SIZE, FAMILY_FIELD(heads), GGUF_REQUIRED},
    {"vocab_size", NULL, KEY_SIZE, FAMILY_FIELD(vocab), 0},
    {"n_positions", "context_length", KEY_LIMIT, FAMILY_FIELD(max_positions), 0},
    {"layer_norm_epsilon", "attention.layer_norm_epsilon", KEY_NUMBER, FAMILY_FIELD(norm_eps), 1e-5},
    {"activation_function", NULL, KEY_ACTIVATION, FAMILY_FIELD(activation), 0},
    {"tie_word_embeddings", NULL, KEY_FLAG, FAMILY_FIELD(tied), 0},
    FAMILY_KEYS_END,
};

static enum err_code gpt2_finish(struct arch *a, const struct source *s, struct err *e)
{
    (void)s, (void)e;
    a->ffn = a->ffn ? a->ffn : 4 * a->width;
    a->most_positions = a->max_positions;
    return ERR_OK;
}

const struct family family_gpt2 = {
    .name = "gpt2",
    .gguf = "gpt2",
    .known_as = "GPT-2",
    .tokenizers = TOKENIZERS_BYTE_LEVEL,
    .names = names,
    .modules = modules,
    .module_count = sizeof modules / sizeof modules[0] - 1,
    .vectors = vectors,
    .keys = {keys},
    .finish = gpt2_finish,
    .defaults = {.layers = 12,
                 .width = 768,
                 .heads = 12,
                 .vocab = 50257,
                 .max_positions = 1024,
                 .norm_eps = 1e-5F,
                 .centred_norms = true,
                 .norm_bias = true,
                 .activation = ACT_GELU_TANH,
                 .bias = {true, true, true, true},
                 .tied = true,
                 .rotations = {{.theta = 10000}},
                 .kinds = {{.unrotated = true}}},
};
