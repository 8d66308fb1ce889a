#include <string.h>

#include "../arch_source.h"
#include "common.h"

static const struct family_names names[2] = {
    [STORE_HF] = {LLAMA_LIKE_HF_NAMES("shared_mlp.activation")},
};

static const struct module modules[] = {
    {"self_attn.q_proj", NULL, GROUP_ATTN_IN, ROWS_QUERIES, STORED_PLAIN},
    {"self_attn.k_proj", NULL, GROUP_ATTN_IN, ROWS_KEYS, STORED_PLAIN},
    {"self_attn.v_proj", NULL, GROUP_ATTN_IN, ROWS_VALUES, STORED_PLAIN},
    {"self_attn.o_proj", NULL, GROUP_ATTN_OUT, ROWS_WIDTH, STORED_PLAIN},
    {"shared_mlp.input_linear", NULL, GROUP_MLP_IN, ROWS_GATED, STORED_PLAIN},
    {"shared_mlp.output_linear", NULL, GROUP_MLP_OUT, ROWS_WIDTH, STORED_PLAIN},
    {"lm_head", NULL, GROUP_HEAD, ROWS_VOCAB, STORED_PLAIN},
};

/* Both words are of one kind: before transformers 5, and since. */
static const struct family_layers attention_layers = {.key = "layer_types", .words = {"attention", "full_attention"}};

static const struct family_key size_keys[] = {
    {"shared_intermediate_size", NULL, KEY_SIZE, FAMILY_FIELD(ffn), 0},
    FAMILY_KEYS_END,
};

/* Experts and layers of Mamba are what a file has that does not say otherwise. */
static enum err_code granitemoehybrid_finish(struct arch *a, const struct source *s, struct err *e)
{
    static const char experts_key[] = "num_local_experts", positions_key[] = "position_embedding_type";
    size_t experts;
    const char *positions;
    if (source_size(&experts, s, experts_key, NULL, 8, e) ||
        json_get_text(&positions, &s->json, positions_key, NULL, e))
        return e->code;
    if (experts != 0)
        return source_refuse(s, ERR_UNSUPPORTED, experts_key, e, "%zu is not supported: experts are not", experts);
    if (source_is_missing(s, attention_layers.key, NULL) || source_is_null(s, attention_layers.key))
        return source_refuse(s, ERR_UNSUPPORTED, attention_layers.key, e,
                             "without it all layers are Mamba's, which are not supported");
    a->kinds[0].unrotated = a->kinds[1].unrotated = !positions || strcmp(positions, "rope") != 0;
    return ERR_OK;
}

const struct family family_granitemoehybrid = {
    .name = "granitemoehybrid",
    .known_as = "Granite 4.0 350M and 1B",
    .tokenizers = TOKENIZERS_BYTE_LEVEL,
    .names = names,
    .modules = modules,
    .module_count = sizeof modules / sizeof modules[0] - 1,
    .vectors = llama_like_vectors,
    .keys = {llama_like_keys, attention_bias_keys, granite_scale_keys, size_keys},
    .layers = &attention_layers,
    .finish = granitemoehybrid_finish,
    .defaults = {GRANITE_DEFAULTS, .ffn = 1024},
};
