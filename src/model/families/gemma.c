#include <math.h>

#include "common.h"

static enum err_code gemma_finish(struct arch *a, const struct source *s, struct err *e)
{
    (void)s, (void)e;
    a->embedding_scale = sqrtf((float)a->width);
    if (a->activation == ACT_GELU) /* what the first files say, and do not mean */
        a->activation = ACT_GELU_TANH;
    return ERR_OK;
}

const struct family family_gemma = {
    .name = "gemma",
    .gguf = "gemma",
    .known_as = "Gemma 1",
    .tokenizers = TOKENIZERS_SENTENCEPIECE,
    .names = llama_like_names,
    .modules = llama_like_modules,
    .module_count = LLAMA_LIKE_MODULES,
    .vectors = llama_like_vectors,
    .keys = {llama_like_keys},
    .finish = gemma_finish,
    .defaults = {.layers = 28,
                 .width = 3072,
                 .ffn = 24576,
                 .heads = 16,
                 .kv_heads = 16,
                 .head_dim = 256,
                 .vocab = 256000,
                 .max_positions = 8192,
                 .norm_eps = 1e-6F,
                 .norm_offset = true,
                 .activation = ACT_GELU_TANH,
                 .tied = true,
                 .rotations = {{.theta = 10000}}},
};
