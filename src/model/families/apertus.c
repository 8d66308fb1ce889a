#include "common.h"

static const struct family_names names[2] = {
    [STORE_HF] = {.layers = "model.layers",
                  .embedding = "model.embed_tokens",
                  .buffers = rotary_buffers,
                  .xielu = "mlp.act_fn",
                  .attention = "self_attn",
                  .activation = "mlp.act_fn"},
};

static const struct family_vector vectors[PLACE_COUNT] = {
    [AT_ATTN_IN] = {"attention_layernorm", NULL},
    [AT_Q] = {"self_attn.q_norm", NULL},
    [AT_K] = {"self_attn.k_norm", NULL},
    [AT_MLP_IN] = {"feedforward_layernorm", NULL},
    [AT_FINAL] = {"model.norm", NULL},
};

const struct family family_apertus = {
    .name = "apertus",
    .known_as = "Apertus 8B, 70B",
    .tokenizers = TOKENIZERS_BYTE_LEVEL,
    .names = names,
    .modules = ungated_modules,
    .module_count = UNGATED_MODULES,
    .vectors = vectors,
    .keys = {llama_like_keys, attention_bias_keys},
    .defaults = {.layers = 32,
                 .width = 4096,
                 .ffn = 14336,
                 .heads = 32,
                 .vocab = 131072,
                 .max_positions = 65536,
                 .norm_eps = 1e-5F,
                 .activation = ACT_XIELU,
                 .rotations = {{.theta = 12e6}}},
};
