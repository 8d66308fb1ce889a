#include "common.h"

const struct family family_mistral = {
    .name = "mistral",
    .modules = llama_like_modules,
    .module_count = LLAMA_LIKE_MODULES,
};
