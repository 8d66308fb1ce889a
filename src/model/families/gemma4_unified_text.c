#include "common.h"

const struct family family_gemma4_unified_text = {
    .name = "gemma4_unified_text",
    .gguf = "gemma4",
    .known_as = "Gemma 4 12B",
    .tokenizers = TOKENIZERS_SENTENCEPIECE,
    .names = gemma4_names,
    .modules = llama_like_modules,
    .module_count = LLAMA_LIKE_MODULES,
    .vectors = gemma3_vectors,
    .keys = {gemma4_keys, attention_bias_keys},
    .layers = &gemma4_layers,
    .ignores = (const char *const[]){"hidden_act", NULL},
    .finish = gemma4_finish,
    .defaults = {GEMMA4_DEFAULTS,
                 .max_positions = 262144,
                 .kinds = {{.head_dim = 512}, {.window = 1024, .rotation = 1}}},
};
