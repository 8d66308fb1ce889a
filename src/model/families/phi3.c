#include "../arch_source.h"
#include "common.h"

static const struct module modules[] = {
    {"self_attn.qkv_proj", "attn_qkv", GROUP_ATTN_IN, ROWS_ATTENTION, STORED_PLAIN},
    {"self_attn.o_proj", "attn_output", GROUP_ATTN_OUT, ROWS_WIDTH, STORED_PLAIN},
    {"mlp.gate_up_proj", "ffn_up", GROUP_MLP_IN, ROWS_GATED, STORED_PLAIN},
    {"mlp.down_proj", "ffn_down", GROUP_MLP_OUT, ROWS_WIDTH, STORED_PLAIN},
    {"lm_head", "output", GROUP_HEAD, ROWS_VOCAB, STORED_PLAIN},
};

static const struct family_names names[2] = {
    [STORE_HF] = {LLAMA_LIKE_HF_NAMES("mlp.activation_fn")},
    [STORE_GGUF] = {.layers = "blk",
                    .embedding = "token_embd",
                    .longrope = {"rope_factors_short.weight", "rope_factors_long.weight"}},
};

/* Read with the rotation. */
static const char *const ignores[] = {"rope.scaling.attn_factor", NULL};

/* What the first files called yarn is longrope. */
static enum err_code phi3_finish(struct arch *a, const struct source *s, struct err *e)
{
    (void)a;
    const struct json_value *rope = json_get(s->json.object, "rope_scaling");
    const char *type = json_text(json_get(rope, "type"));
    if (type && strcmp(type, "yarn") == 0)
        return source_refuse(s, ERR_UNSUPPORTED, "rope_scaling", e,
                             "\"type\" \"yarn\" is what early files called \"longrope\": write that there");
    return ERR_OK;
}

const struct family family_phi3 = {
    .name = "phi3",
    .gguf = "phi3",
    .known_as = "Phi-3, Phi-3.5, Phi-4, Phi-4-mini",
    .tokenizers = TOKENIZERS_BOTH,
    .names = names,
    .modules = modules,
    .module_count = sizeof modules / sizeof modules[0] - 1,
    .vectors = llama_like_vectors,
    .keys = {llama_like_keys, window_keys},
    .ignores = ignores,
    .finish = phi3_finish,
    .defaults = {.layers = 32,
                 .width = 3072,
                 .ffn = 8192,
                 .heads = 32,
                 .vocab = 32064,
                 .max_positions = 4096,
                 .norm_eps = 1e-5F,
                 .rotated_share = 1,
                 .rotations = {{.theta = 10000, .original_positions = 4096}}},
};
