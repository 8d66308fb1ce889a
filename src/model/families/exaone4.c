#include "../arch_source.h"
#include "common.h"

static const char pattern_key[] = "attention.sliding_window_pattern";

static const struct family_layers layers = {
    .key = "layer_types", .words = {"full_attention", "sliding_attention"}, .gguf = pattern_key};

static const struct family_key keys[] = {
    {"sliding_window", "attention.sliding_window", KEY_LIMIT, FAMILY_FIELD(kinds[1].window), 0},
    FAMILY_KEYS_END,
};

/* Beside windows, layers that see all do not rotate. A pattern in letters ("LLLG") stands beside the list of layers.
 * The first GGUF files of the 32B do not say that they have windows; llama.cpp knows it by the number of layers. */
static enum err_code exaone4_finish(struct arch *a, const struct source *s, struct err *e)
{
    static const char key[] = "sliding_window_pattern";
    bool gguf = s->store->kind == STORE_GGUF;
    char name[SOURCE_KEY_SIZE];
    if (gguf && a->layers == 64 && source_is_missing(s, NULL, keys[0].gguf))
        a->kinds[1].window = 4096;
    a->kinds[0].unrotated = a->kinds[1].window > 0;
    const struct gguf_key *list = gguf ? gguf_find(s->store->gguf, source_key(name, s, NULL, pattern_key)) : NULL;
    if ((list && list->type == GGUF_ARRAY) ||
        (!gguf && json_kind(json_get(s->json.object, key)) == JSON_KIND_STRING))
        return ERR_OK;
    return source_size(&a->pattern.full_every, s, key, pattern_key, a->pattern.full_every, e);
}

const struct family family_exaone4 = {
    .name = "exaone4",
    .gguf = "exaone4",
    .known_as = "EXAONE 4.0",
    .tokenizers = TOKENIZERS_BYTE_LEVEL,
    .names = llama_like_names,
    .modules = llama_like_modules,
    .module_count = LLAMA_LIKE_MODULES,
    .vectors = norms_after_vectors,
    .keys = {llama_like_keys, keys},
    .layers = &layers,
    .finish = exaone4_finish,
    .defaults = {.layers = 32,
                 .width = 4096,
                 .ffn = 16384,
                 .heads = 32,
                 .kv_heads = 32,
                 .vocab = 102400,
                 .max_positions = 2048,
                 .norm_eps = 1e-5F,
                 .rotations = {{.theta = 10000}},
                 .kinds = {{0}, {.window = 4096}},
                 .pattern = {.mixed = true, .full_every = 4}},
};
