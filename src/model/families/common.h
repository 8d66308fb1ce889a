/* Tables that several families refer to. Internal to families. */
#ifndef MPILORA_MODEL_FAMILIES_COMMON_H
#define MPILORA_MODEL_FAMILIES_COMMON_H

#include "model/family.h"

#define LLAMA_LIKE_MODULES 7
extern const struct family_module llama_like_modules[LLAMA_LIKE_MODULES + 1];

#endif
