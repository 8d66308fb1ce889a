#include "common.h"

const struct family family_llama = {
    .name = "llama",
    .modules = llama_like_modules,
    .module_count = LLAMA_LIKE_MODULES,
};
