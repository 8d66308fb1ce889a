#include "common.h"

const struct family family_granite = {
    .name = "granite",
    .gguf = "granite",
    .known_as = "Granite 3.0 to 3.3",
    .tokenizers = TOKENIZERS_BYTE_LEVEL,
    .names = llama_like_names,
    .modules = llama_paired_modules,
    .module_count = LLAMA_LIKE_MODULES,
    .vectors = llama_like_vectors,
    .keys = {llama_like_keys, llama_bias_keys, granite_scale_keys},
    .defaults = {GRANITE_DEFAULTS, .ffn = 11008},
};
