#include "../arch_source.h"
#include "common.h"

/* Inputs of their own for each layer are what a file has that does not say otherwise. */
static enum err_code gemma4_text_finish(struct arch *a, const struct source *s, struct err *e)
{
    static const char key[] = "hidden_size_per_layer_input", gguf[] = "embedding_length_per_layer_input";
    char name[SOURCE_KEY_SIZE];
    size_t width;
    if (source_size(&width, s, key, gguf, s->store->kind == STORE_HF ? 256 : 0, e))
        return e->code;
    if (width != 0)
        return source_refuse(s, ERR_UNSUPPORTED, source_key(name, s, key, gguf), e,
                             "%zu is not supported: layers with inputs of their own, as of E2B and E4B, are not",
                             width);
    return gemma4_finish(a, s, e);
}

const struct family family_gemma4_text = {
    .name = "gemma4_text",
    .known_as = "Gemma 4 31B",
    GEMMA4_ROWS,
    .finish = gemma4_text_finish,
    .defaults = {GEMMA4_DEFAULTS,
                 .max_positions = 131072,
                 .kinds = {{.head_dim = 512}, {.window = 512, .rotation = 1}}},
};
