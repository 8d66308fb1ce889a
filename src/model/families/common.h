/* Tables that several families refer to. Internal to families. */
#ifndef MPILORA_MODEL_FAMILIES_COMMON_H
#define MPILORA_MODEL_FAMILIES_COMMON_H

#include "model/family.h"

/* Suffixes of names of tensors that are not weights. */
extern const char *const rotary_buffers[];

/* The names of Llama's parts, which most later families use, too. Those in a Hugging Face file differ in that of the
 * activation. */
#define LLAMA_LIKE_HF_NAMES(activation_name)                                                                 \
    .layers = "model.layers", .embedding = "model.embed_tokens", .buffers = rotary_buffers,                  \
    .attention = "self_attn", .activation = activation_name
#define LLAMA_LIKE_MODULES 7
extern const struct family_names llama_like_names[2];
extern const struct family_names activation_fn_names[2]; /* Llama's, but for the activation */
extern const struct module llama_like_modules[LLAMA_LIKE_MODULES + 1];
extern const struct module llama_paired_modules[LLAMA_LIKE_MODULES + 1]; /* q and k GGUF_PAIRED */
extern const struct family_vector llama_like_vectors[PLACE_COUNT];
extern const struct family_vector normed_heads_vectors[PLACE_COUNT]; /* the same, and norms of q and k */
extern const struct family_vector norms_after_vectors[PLACE_COUNT]; /* norms of q, k and the branches' outputs, none
                                                                     * before a branch */

/* The same with an MLP without a gate. */
#define UNGATED_MODULES 6
extern const struct module ungated_modules[UNGATED_MODULES + 1];
extern const struct module ungated_paired_modules[UNGATED_MODULES + 1]; /* q and k GGUF_PAIRED */

/* Norms of q, k and the branches' inputs and outputs, as Gemma 3 has them. */
extern const struct family_vector gemma3_vectors[PLACE_COUNT];

/* Keys for the sizes and whether the head is tied; the same with the eps of an RMS norm; and with the
 * activation. */
extern const struct family_key sizes_alone[], llama_like_sizes[], llama_like_keys[];
/* Keys for the biases of attention; for those of attention and MLP; for both with one flag. */
extern const struct family_key attention_bias_keys[], llama_bias_keys[], use_bias_keys[];
/* Keys for caps and for the scale of scores, of Gemma 2 and later. */
extern const struct family_key gemma_like_keys[];
/* Experts, with the names that most families have. */
#define ATTENTION_MODULES 4 /* of a block, if its MLP has experts */
extern const struct module attention_modules[ATTENTION_MODULES + 1];
extern const struct module attention_paired_modules[ATTENTION_MODULES + 1]; /* q and k GGUF_PAIRED */
extern const struct family_experts llama_like_experts;
extern const struct family_names experts_names[2]; /* Llama's, but for the activation */
/* Keys for the number of experts. */
extern const struct family_key expert_keys[];
/* Granite's multipliers; and what its classes have in common where a key is missing. */
#define GRANITE_DEFAULTS                                                                                     \
    .layers = 32, .width = 4096, .heads = 32, .vocab = 32000, .max_positions = 2048, .norm_eps = 1e-6F,      \
    .attention_scale = 1, .embedding_scale = 1, .scale = {[GROUP_ATTN_OUT] = 1, [GROUP_MLP_OUT] = 1},        \
    .rotations = {{.theta = 10000}}
extern const struct family_key granite_scale_keys[];
/* "layer_types": layers with full attention, and layers with a window. */
extern const struct family_layers window_layers;
/* "sliding_window": for all layers; for those of kind 1. */
extern const struct family_key window_keys[], kind_window_keys[];
/* A window for the layers from max_window_layers on, if use_sliding_window is true. */
extern const struct family_key late_window_keys[];

#define GGUF_LAYER_NORM_EPS "attention.layer_norm_epsilon"

/* Command R and its successors: one norm for both branches. */
#define COHERE_KEYS                                                                                          \
    {"layer_norm_eps", GGUF_LAYER_NORM_EPS, KEY_NUMBER, FAMILY_FIELD(norm_eps), 1e-5},                       \
        {"hidden_act", NULL, KEY_ACTIVATION, FAMILY_FIELD(activation), 0},                                   \
    {                                                                                                        \
        "logit_scale", "logit_scale", KEY_SCALE, FAMILY_FIELD(scale[GROUP_HEAD]), GGUF_REQUIRED              \
    }
extern const struct family_key cohere_keys[];
extern const struct family_vector cohere_vectors[PLACE_COUNT];

/* Gemma 4: the layers without a window have heads of another size; with attention_k_eq_v also another number of key
 * heads, and values that are their keys. */
extern const struct family_names gemma4_names[2];
extern const struct family_layers gemma4_layers;
extern const struct family_key gemma4_keys[];
enum err_code gemma4_finish(struct arch *a, const struct source *s, struct err *e);
#define GEMMA4_ROWS                                                                                          \
    .gguf = "gemma4", .tokenizers = TOKENIZERS_SENTENCEPIECE, .names = gemma4_names,                         \
    .modules = llama_like_modules, .module_count = LLAMA_LIKE_MODULES, .vectors = gemma3_vectors,            \
    .keys = {gemma4_keys, attention_bias_keys}, .layers = &gemma4_layers,                                    \
    .ignores = (const char *const[]){"hidden_act", NULL}
#define GEMMA4_DEFAULTS                                                                                      \
    .layers = 30, .width = 2304, .ffn = 9216, .heads = 8, .kv_heads = 4, .head_dim = 256, .vocab = 262144,   \
    .norm_eps = 1e-6F, .activation = ACT_GELU_TANH, .attention_scale = 1, .normed_values = true,             \
    .block_scales = true, .tied = true,                                                                      \
    .rotations = {{.type = ROTATION_PROPORTIONAL, .theta = 1e6, .factor = 1, .share = 0.25},                 \
                  {.theta = 10000}},                                                                         \
    .pattern = {.mixed = true, .full_every = 6, .ends_full = true}

#endif
