#include "../arch_source.h"
#include "common.h"

static const char temperature_key[] = "attention.temperature_scale";

/* Attention is multiplied from the original length on (llama_4_scaling_beta); before it, by 1. GGUF files of Mistral
 * Small 3 have the same architecture, without such a factor. */
static enum err_code ministral3_finish(struct arch *a, const struct source *s, struct err *e)
{
    const bool gguf = s->store->kind == STORE_GGUF;
    const struct json_fields whole = s->json;
    struct json_fields rope = {.file = s->file, .part = "rope_parameters"};
    char key[SOURCE_KEY_SIZE];
    double original = 0, temperature = 0, most = (double)a->max_positions;
    if (source_number(&temperature, s, NULL, temperature_key, 0, e) ||
        (!gguf && json_get_value(&rope.object, &whole, rope.part, JSON_KIND_OBJECT, e)))
        return e->code;
    if (gguf && temperature == 0)
        return ERR_OK;
    if (!gguf && !rope.object)
        return source_refuse(s, ERR_FORMAT, rope.part, e, "this key is missing");
    if (gguf ? source_number(&original, s, NULL, "rope.scaling.original_context_length", most, e)
             : json_get_number(&original, &rope, "original_max_position_embeddings", most, e))
        return e->code;
    if (!(original >= 1 && original < INT32_MAX))
        return source_refuse(s, ERR_FORMAT, source_key(key, s, rope.part, "rope.scaling.original_context_length"), e,
                             "an original length of %g is out of range", original);
    arch_limit_positions(a, (size_t)original);
    return ERR_OK;
}

const struct family family_ministral3 = {
    .name = "ministral3",
    .gguf = "mistral3",
    .known_as = "the text model of Ministral 3",
    .tokenizers = TOKENIZERS_BYTE_LEVEL,
    .names = llama_like_names,
    .modules = llama_paired_modules,
    .module_count = LLAMA_LIKE_MODULES,
    .vectors = llama_like_vectors,
    .keys = {llama_like_keys, window_keys},
    .ignores = (const char *const[]){temperature_key, NULL},
    .finish = ministral3_finish,
    .defaults = {.layers = 34,
                 .width = 4096,
                 .ffn = 14336,
                 .heads = 32,
                 .kv_heads = 8,
                 .head_dim = 128,
                 .vocab = 131072,
                 .max_positions = 262144,
                 .norm_eps = 1e-5F,
                 .rotations = {{.theta = 1e6}}},
};
