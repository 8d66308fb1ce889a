#include "common.h"

static const struct family_key own_keys[] = {
    COHERE_KEYS,
    {"sliding_window", "attention.sliding_window", KEY_LIMIT, FAMILY_FIELD(kinds[1].window), GGUF_REQUIRED},
    {"sliding_window_pattern", NULL, KEY_SIZE, FAMILY_FIELD(pattern.full_every), GGUF_DEFAULT},
    FAMILY_KEYS_END,
};

static enum err_code cohere2_finish(struct arch *a, const struct source *s, struct err *e)
{
    (void)s, (void)e;
    a->kinds[1].unrotated = a->kinds[1].window == 0; /* the window is what makes a layer rotate */
    return ERR_OK;
}

const struct family family_cohere2 = {
    .name = "cohere2",
    .gguf = "cohere2",
    .known_as = "Command R7B, Command A",
    .tokenizers = TOKENIZERS_BYTE_LEVEL,
    .names = llama_like_names,
    .modules = llama_like_modules,
    .module_count = LLAMA_LIKE_MODULES,
    .vectors = cohere_vectors,
    .keys = {sizes_alone, attention_bias_keys, own_keys},
    .layers = &window_layers,
    .finish = cohere2_finish,
    .defaults = {.layers = 40,
                 .width = 8192,
                 .ffn = 22528,
                 .heads = 64,
                 .vocab = 256000,
                 .max_positions = 8192,
                 .norm_eps = 1e-5F,
                 .centred_norms = true,
                 .parallel = true,
                 .tied = true,
                 .scale = {[GROUP_HEAD] = 0.0625F},
                 .rotates_pairs = true,
                 .rotations = {{.theta = 10000}},
                 .kinds = {{.unrotated = true}, {.window = 4096}},
                 .pattern = {.mixed = true, .full_every = 4}},
};
