/*
 * The shape and constants of a decoder, read from config.json (both generations of transformers) or GGUF
 * keys.
 *
 * Supported: Llama-architecture decoders: RMSNorm, rotary positions (default, linear and llama3 scaling),
 * grouped-query attention, SwiGLU. Everything else (another model_type, a sliding window, an unknown rope
 * type or activation, quantization_config, experts, ...) is refused by name. One row of a table per
 * model_type.
 */
#ifndef MPILORA_MODEL_ARCH_H
#define MPILORA_MODEL_ARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "io/store/store.h"

enum linear {
#define LINEAR(code, path, gguf, group, rows, columns) LINEAR_##code,
#include "model/linear.def"
#undef LINEAR
    LINEAR_COUNT,
    LINEAR_HEAD = LINEAR_COUNT /* lm_head: outside the blocks, an adapter target only when untied */
};

/* Linears that read the same input, in the order of the forward pass. */
enum linear_group {
    GROUP_ATTN_IN,
    GROUP_ATTN_OUT,
    GROUP_MLP_IN,
    GROUP_MLP_OUT,
    GROUP_COUNT,
    GROUP_HEAD = GROUP_COUNT
};

enum rope_type { ROPE_DEFAULT, ROPE_LINEAR, ROPE_LLAMA3 };

struct arch {
    char family[32]; /* "llama", "mistral" */
    size_t layers, width, ffn, heads, kv_heads, head_dim, vocab;
    size_t max_positions; /* 0: not declared */
    float norm_eps;
    bool attention_bias, mlp_bias, tied;
    enum rope_type rope_type;
    double rope_theta, rope_factor, rope_low_freq_factor, rope_high_freq_factor, rope_original_positions;
    bool permuted_qk; /* GGUF: rows of q and k interleave the two halves of each head */
};

#define ARCH_PATH_SIZE 64 /* of the longest module path, with its zero */

/* Limits are checked (sizes positive, heads divisible, every matrix below 2^40 elements), so later code may
 * multiply. ERR_UNSUPPORTED names what this program does not implement, ERR_FORMAT what cannot be. */
enum err_code arch_read(struct arch *a, const struct store *store, struct err *e);

size_t arch_rows(const struct arch *a, enum linear l);    /* output features, LINEAR_HEAD too */
size_t arch_columns(const struct arch *a, enum linear l); /* input features */
const char *arch_path(enum linear l);                     /* "self_attn.q_proj", "lm_head" */
const char *arch_gguf_name(enum linear l);                /* "attn_q", "output" */
enum linear_group arch_group(enum linear l);

/* Rows of a group's output, its input features, and where a linear's rows start in the output. */
size_t arch_group_rows(const struct arch *a, enum linear_group g);
size_t arch_group_columns(const struct arch *a, enum linear_group g);
size_t arch_row_offset(const struct arch *a, enum linear l);

/* Hugging Face path of a module: "model.layers.3.self_attn.q_proj", "lm_head". */
void arch_module_path(char path[ARCH_PATH_SIZE], size_t layer, enum linear l);

/* inv_freq[head_dim / 2], with the scaling applied, rounded to f32 step by step as transformers does; GGUF's
 * rope_freqs.weight divides it when present. */
enum err_code arch_rope_frequencies(float *inv_freq, const struct arch *a, const struct store *store,
                                    struct err *e);

/* Parameters of the base. */
uint64_t arch_parameters(const struct arch *a);

#endif
