/* Tables that several families refer to. Internal to families. */
#ifndef MPILORA_MODEL_FAMILIES_COMMON_H
#define MPILORA_MODEL_FAMILIES_COMMON_H

#include "model/family.h"

/* The parts of Llama, by which most later families call theirs. */
#define LLAMA_LIKE_MODULES 7
extern const struct family_names llama_like_names[2];
extern const struct family_names fused_names[2]; /* where gate and up are one matrix; not in GGUF files */
extern const struct module llama_like_modules[LLAMA_LIKE_MODULES + 1];
extern const struct module llama_paired_modules[LLAMA_LIKE_MODULES + 1]; /* q and k GGUF_PAIRED */
extern const struct family_vector llama_like_vectors[PLACE_COUNT];
extern const struct family_vector norms_after_vectors[PLACE_COUNT]; /* of q, k and branches' outputs; none before */

/* The same with an MLP without a gate. */
#define UNGATED_MODULES 6
extern const struct module ungated_modules[UNGATED_MODULES + 1];

/* Sizes, whether the head is tied; with eps of an RMS norm; and with the activation. */
extern const struct family_key sizes_alone[], llama_like_sizes[], llama_like_keys[];
/* Biases of attention's linears; of those and the MLP's; of both by one flag. */
extern const struct family_key attention_bias_keys[], llama_bias_keys[], use_bias_keys[];
/* Caps and the scale of scores of Gemma 2 and later. */
extern const struct family_key gemma_like_keys[];
/* "layer_types": layers that see all, and layers under a window. */
extern const struct family_layers window_layers;
/* "sliding_window": of all layers; of those of kind 1. */
extern const struct family_key window_keys[], kind_window_keys[];
/* A window for the layers from max_window_layers on, where use_sliding_window says so. */
extern const struct family_key late_window_keys[];

/* Command R and its successors: one norm for both branches. */
#define COHERE_KEYS                                                                                          \
    {"layer_norm_eps", NULL, KEY_NUMBER, FAMILY_FIELD(norm_eps), 0},                                         \
        {"hidden_act", NULL, KEY_ACTIVATION, FAMILY_FIELD(activation), 0},                                   \
    {                                                                                                        \
        "logit_scale", NULL, KEY_SCALE, FAMILY_FIELD(scale[GROUP_HEAD]), 0                                   \
    }
extern const struct family_key cohere_keys[];
extern const struct family_vector cohere_vectors[PLACE_COUNT];

#endif
