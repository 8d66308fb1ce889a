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
#include "model/family.h"

enum rope_type { ROPE_DEFAULT, ROPE_LINEAR, ROPE_LLAMA3 };

struct arch {
    const struct family *family;
    size_t layers, width, ffn, heads, kv_heads, head_dim, vocab;
    size_t max_positions; /* 0: not declared */
    float norm_eps;
    bool attention_bias, mlp_bias, tied;
    enum rope_type rope_type;
    double rope_theta, rope_factor, rope_low_freq_factor, rope_high_freq_factor, rope_original_positions;
};

#define ARCH_PATH_SIZE 64 /* of the longest module path, with its zero */

/* Limits are checked (sizes positive, heads divisible, every matrix below 2^40 elements), so later code may
 * multiply. ERR_UNSUPPORTED names what this program does not implement, ERR_FORMAT what cannot be. */
enum err_code arch_read(struct arch *a, const struct store *store, struct err *e);

/* A linear layer is an index into the family's table of modules: those of a block, by group, and after them
 * the head, which stands outside of the blocks and is an adapter target only when untied. */
size_t arch_head(const struct arch *a); /* == modules of a block */
const struct family_module *arch_module(const struct arch *a, size_t linear);
size_t arch_rows(const struct arch *a, size_t linear);    /* output features */
size_t arch_columns(const struct arch *a, size_t linear); /* input features */

/* A group's linears: for (size_t i = range.first; i < range.end; i++). */
struct arch_range {
    size_t first, end;
};
struct arch_range arch_group(const struct family *f, enum linear_group g);

/* Rows of a group's output, its input features, and where a linear's rows start in the output. That of
 * ATTN_IN has the queries of all heads, then keys, then values. */
size_t arch_group_rows(const struct arch *a, enum linear_group g);
size_t arch_group_columns(const struct arch *a, enum linear_group g);
size_t arch_row_offset(const struct arch *a, size_t linear);
size_t arch_key_row(const struct arch *a);
size_t arch_value_row(const struct arch *a);

/* Numbers of all linears of a model: layer * modules of a block + linear; the last is the head. */
size_t arch_slot_linear(const struct arch *a, size_t slot);

/* Hugging Face path of a module: layer and path in the block, or that of the head. */
void arch_module_path(char path[ARCH_PATH_SIZE], const struct arch *a, size_t layer, size_t linear);

/* inv_freq[head_dim / 2], with the scaling applied, rounded to f32 step by step as transformers does; GGUF's
 * rope_freqs.weight divides it when present. */
enum err_code arch_rope_frequencies(float *inv_freq, const struct arch *a, const struct store *store,
                                    struct err *e);

/* Parameters of the base. */
uint64_t arch_parameters(const struct arch *a);

#endif
