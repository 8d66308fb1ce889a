#include "../arch_source.h"
#include "common.h"

static const struct family_names names[2] = {
    [STORE_HF] = {LLAMA_LIKE_HF_NAMES("mlp.act_fn"), .xielu = "mlp.act_fn"},
    [STORE_GGUF] = {.layers = "blk"},
};

static const struct family_vector vectors[PLACE_COUNT] = {
    [AT_ATTN_IN] = {"attention_layernorm", NULL},
    [AT_Q] = {"self_attn.q_norm", NULL},
    [AT_K] = {"self_attn.k_norm", NULL},
    [AT_MLP_IN] = {"feedforward_layernorm", NULL},
    [AT_FINAL] = {"model.norm", NULL},
};

/* Where the file says nothing about the rotation, its class has a scaling with numbers of its own. */
static enum err_code apertus_finish(struct arch *a, const struct source *s, struct err *e)
{
    static const char key[] = "rope_parameters";
    (void)a;
    if (json_count(json_get(s->json.object, "rope_scaling")) > 0 || json_count(json_get(s->json.object, key)) > 0)
        return ERR_OK;
    return source_refuse(s, ERR_UNSUPPORTED, key, e, "this key is missing: transformers has a scaling of its own then");
}

const struct family family_apertus = {
    .name = "apertus",
    .gguf_adapter = "apertus",
    .known_as = "Apertus 8B, 70B",
    .tokenizers = TOKENIZERS_BYTE_LEVEL,
    .names = names,
    .modules = ungated_modules,
    .module_count = UNGATED_MODULES,
    .vectors = vectors,
    .keys = {llama_like_keys, attention_bias_keys},
    .finish = apertus_finish,
    .defaults = {.layers = 32,
                 .width = 4096,
                 .ffn = 14336,
                 .heads = 32,
                 .vocab = 131072,
                 .max_positions = 65536,
                 .norm_eps = 1e-5F,
                 .activation = ACT_XIELU,
                 .rotations = {{.theta = 12e6}}},
};
