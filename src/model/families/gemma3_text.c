#include <math.h>

#include "../arch_source.h"
#include "common.h"

/* A GGUF file without the key has no windows. */
static const struct family_key gemma_window_keys[] = {
    {"sliding_window", "attention.sliding_window", KEY_LIMIT, FAMILY_FIELD(kinds[1].window), 0},
    {"sliding_window_pattern", "attention.sliding_window_pattern", KEY_LIMIT, FAMILY_FIELD(pattern.full_every),
     GGUF_DEFAULT},
    FAMILY_KEYS_END,
};

static enum err_code gemma3_text_finish(struct arch *a, const struct source *s, struct err *e)
{
    (void)e;
    a->pattern.mixed = s->store->kind == STORE_HF || a->kinds[1].window > 0;
    a->embedding_scale = sqrtf((float)a->width);
    if (a->attention_scale == 0 && a->layers == 62 && a->heads > 0) /* GGUF files of the 27B model do not say it */
        a->attention_scale = 1 / sqrtf((float)a->width / (float)a->heads);
    return ERR_OK;
}

const struct family family_gemma3_text = {
    .name = "gemma3_text",
    .gguf = "gemma3",
    .known_as = "Gemma 3 270M to 27B",
    .tokenizers = TOKENIZERS_SENTENCEPIECE,
    .names = llama_like_names,
    .modules = llama_like_modules,
    .module_count = LLAMA_LIKE_MODULES,
    .vectors = gemma3_vectors,
    .keys = {llama_like_sizes, gemma_like_keys, gemma_window_keys},
    .layers = &window_layers,
    .ignores = (const char *const[]){"hidden_act", NULL},
    .finish = gemma3_text_finish,
    .defaults = {.layers = 26,
                 .width = 2304,
                 .ffn = 9216,
                 .heads = 8,
                 .kv_heads = 4,
                 .head_dim = 256,
                 .vocab = 262208,
                 .max_positions = 131072,
                 .norm_eps = 1e-6F,
                 .norm_offset = true,
                 .activation = ACT_GELU_TANH,
                 .attention_scale = 0.0625F,
                 .tied = true,
                 .rotations = {{.theta = 1e6}, {.theta = 10000}},
                 .kinds = {{0}, {.window = 4096, .rotation = 1}},
                 .pattern = {.mixed = true, .full_every = 6}},
};
