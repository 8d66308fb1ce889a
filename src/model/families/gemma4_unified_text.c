#include "common.h"

const struct family family_gemma4_unified_text = {
    .name = "gemma4_unified_text",
    .known_as = "Gemma 4 12B",
    GEMMA4_ROWS,
    .finish = gemma4_finish,
    .defaults = {GEMMA4_DEFAULTS,
                 .max_positions = 262144,
                 .kinds = {{.head_dim = 512}, {.window = 1024, .rotation = 1}}},
};
