/*
 * A decoder as a record: its sizes, what it computes, and the names that its family gives to its parts. The
 * passes obey the record and never ask for a family's name.
 *
 * It is read from config.json (the keys of transformers 4 and 5) or from the keys of a GGUF file, over the
 * tables of the family that the file names (model/family.h). What a file asks for and nobody honours (an unknown
 * activation, quantization_config, experts, ...) is refused by file, key and value.
 */
#ifndef MPILORA_MODEL_ARCH_H
#define MPILORA_MODEL_ARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/limits.h"
#include "io/store/store.h"
#include "math/kern.h"

struct family;
struct wrapper;

/* Linear layers that read the same input, in the order of the forward pass. The output of ATTN_IN has the
 * queries of all heads, then keys, then values; that of MLP_IN the gate, then what it is multiplied with. */
enum linear_group {
    GROUP_ATTN_IN,
    GROUP_ATTN_OUT,
    GROUP_MLP_IN,
    GROUP_MLP_OUT,
    GROUP_COUNT,
    GROUP_HEAD = GROUP_COUNT
};

/* Rows of a linear layer's output. */
enum module_rows {
    ROWS_WIDTH,
    ROWS_QUERIES,
    ROWS_KEYS,
    ROWS_ATTENTION, /* queries, keys and values in one matrix */
    ROWS_FFN,
    ROWS_GATED, /* twice those: the gate, then what it is multiplied with */
    ROWS_VOCAB
};

/* How a file has a matrix, where that is not how it is used: flags. */
enum module_stored {
    STORED_PLAIN = 0,
    GGUF_PAIRED = 1 /* GGUF interleaves the rows of the two halves of each head */
};

/* A linear layer. Those of one group read the same input, and their rows lie one after the other in the
 * group's output, in the order of the table: one matrix product serves the group. */
struct module {
    const char *path; /* in its block, as Hugging Face and PEFT have it */
    const char *gguf;
    enum linear_group group;
    enum module_rows rows; /* of its output; the columns are the group's */
    unsigned stored;       /* enum module_stored */
};

/* Where a norm stands: before a branch of the block and after it, on queries and keys before they are rotated, head by
 * head, and before the head. */
enum place { AT_ATTN_IN, AT_Q, AT_K, AT_ATTN_OUT, AT_MLP_IN, AT_MLP_OUT, AT_FINAL, PLACE_COUNT };

enum rotation_type { ROTATION_DEFAULT, ROTATION_LINEAR, ROTATION_LLAMA3, ROTATION_YARN, ROTATION_LONGROPE };

/* Rotary positions: theta, and how the frequencies are scaled. longrope (Ding et al. 2024) has two: rotation 0 for
 * examples of at most original_positions tokens, and rotation 1, with the long factors, for longer ones. */
struct rotation {
    enum rotation_type type;
    double theta, factor, low_freq_factor, high_freq_factor, original_positions;
    double beta_fast, beta_slow; /* of yarn (Peng et al. 2023) */
    bool keeps_fractions;        /* where its ramp begins and ends */
    double size;                 /* that cosine and sine are multiplied with; 0: none */
    bool takes_alpha;            /* in a family's defaults: "dynamic" with "alpha" is a larger theta, of any length */
};

/* What may differ from layer to layer. */
struct layer_kind {
    size_t window;   /* keys that a query sees, itself included; 0: all before it */
    size_t rotation; /* of its queries and keys */
    bool unrotated;  /* they have none: only the mask knows an order */
};

/* Which layers are of kind 1, where a file does not list them: from `first` on, but for every full_every-th. */
struct layer_pattern {
    bool mixed; /* false: all are of kind 0 */
    size_t first;
    size_t full_every; /* 0: none of them */
};

#define ARCH_MODULES   8 /* of a block, at most */
#define ARCH_ROTATIONS 2
#define ARCH_KINDS     2

struct arch {
    const struct family *family;
    const struct wrapper *wrapper; /* what the decoder is a part of; NULL: it stands alone */
    size_t spelling;               /* of the names of tensors, among those of the wrapper */
    size_t layers, width, ffn, heads, kv_heads, head_dim, vocab;
    size_t max_positions; /* 0: not declared */
    float norm_eps;
    bool norm_offset;            /* a norm multiplies by 1 + weight, as config.json's models have the weight */
    enum kern_act activation;    /* of the gate */
    float attention_scale;       /* of scores; 0 in a family's defaults: head_dim^-0.5 */
    float attention_cap;         /* of scores, logit_cap of logits: cap * tanh(x / cap); 0: none */
    float logit_cap;
    float embedding_scale;       /* of the residual stream's start, rounded to the compute dtype; 0: none */
    bool centred_norms;          /* LayerNorm: the mean is taken away; those of q and k are never such */
    bool norm_bias;              /* of the norms that are as wide as the model */
    bool parallel;               /* both branches read the block's input, by one norm if the MLP has none of its own */
    bool wide_norms;             /* the norms of q and k are of all heads together */
    bool norms_rotated;          /* they stand after the rotation */
    bool bias[GROUP_COUNT];      /* of all linears of the group */
    float scale[GROUP_HEAD + 1]; /* of what a group adds to the residual stream, and of the logits; 0: none */
    bool tied;              /* the head is the embedding */
    double rotated_share;        /* of the columns of a head; in a family's defaults 0: always 1 */
    size_t rotated;              /* columns of a head that rotate: its first */
    bool rotates_pairs;          /* column 2i with 2i + 1, not i with i + rotated / 2 */
    size_t most_positions;       /* of an example: beyond, attention is not what is computed here; 0: no limit */
    struct rotation rotations[ARCH_ROTATIONS];
    struct layer_kind kinds[ARCH_KINDS];
    struct layer_pattern pattern;
    uint8_t kind_of[LIMIT_LAYERS]; /* of each layer */
};

#define ARCH_PATH_SIZE 64 /* of the longest module path, with its zero */
#define ARCH_NAME_SIZE 96 /* of the longest name of a tensor in a file */

/* Limits are checked (sizes positive, heads divisible, every matrix below 2^40 elements), so later code may
 * multiply. ERR_UNSUPPORTED names what this program does not implement, ERR_FORMAT what cannot be. */
enum err_code arch_read(struct arch *a, const struct store *store, struct err *e);

/* A linear layer is an index into the family's table of modules: those of a block, by group, and after them
 * the head, which stands outside of the blocks and is an adapter target only when untied. */
size_t arch_head(const struct arch *a); /* == modules of a block */
const struct module *arch_module(const struct arch *a, size_t linear);
size_t arch_rows(const struct arch *a, size_t linear);    /* output features */
size_t arch_columns(const struct arch *a, size_t linear); /* input features */

/* A group's linears: for (size_t i = range.first; i < range.end; i++). */
struct arch_range {
    size_t first, end;
};
struct arch_range arch_group(const struct family *f, enum linear_group g);

/* Rows of a group's output, its input features, and where a linear's rows, keys and values start in it. */
size_t arch_group_rows(const struct arch *a, enum linear_group g);
size_t arch_group_columns(const struct arch *a, enum linear_group g);
size_t arch_row_offset(const struct arch *a, size_t linear);
size_t arch_key_row(const struct arch *a);
size_t arch_value_row(const struct arch *a);

/* Columns of a norm, 0 where there is none. */
size_t arch_norm_width(const struct arch *a, enum place place);

/* Whether the MLP's input has a gate beside what it is multiplied with. */
bool arch_is_gated(const struct arch *a);

const struct layer_kind *arch_kind(const struct arch *a, size_t layer);
size_t arch_rotation_count(const struct arch *a); /* that some layer has, or some examples */
/* Tokens of the longest example that rotation 0 is for; 0: of all examples. */
size_t arch_short_positions(const struct arch *a);

/* Numbers of all linears of a model: layer * modules of a block + linear; the last is the head. */
size_t arch_slot_linear(const struct arch *a, size_t slot);

/* Paths as Hugging Face has them, for PEFT and for messages: of a linear layer (the head's has no layer), of a
 * norm (AT_FINAL has no layer), of what lies between a branch's products (attention, activation) and of the
 * embedding. */
void arch_module_path(char path[ARCH_PATH_SIZE], const struct arch *a, size_t layer, size_t linear);
void arch_norm_path(char path[ARCH_PATH_SIZE], const struct arch *a, size_t layer, enum place place);
void arch_between_path(char path[ARCH_PATH_SIZE], const struct arch *a, size_t layer, enum linear_group out);
void arch_embedding_path(char path[ARCH_PATH_SIZE], const struct arch *a);

/* Names of tensors in a file of this kind: of a linear layer or a norm ("weight" or "bias"), of the embedding. */
void arch_module_tensor(char name[ARCH_NAME_SIZE], const struct arch *a, enum store_kind kind, size_t layer,
                        size_t linear, const char *what);
void arch_norm_tensor(char name[ARCH_NAME_SIZE], const struct arch *a, enum store_kind kind, size_t layer,
                      enum place place, const char *what);
void arch_embedding_tensor(char name[ARCH_NAME_SIZE], const struct arch *a, enum store_kind kind);
/* A table of the rotation that some writers add: it is no weight. */
bool arch_is_rotation_tensor(const struct arch *a, enum store_kind kind, const char *name);

/* Of another part of the wrapper: it is not read. */
bool arch_is_other_part(const struct arch *a, const char *name);

/* store_hash() of what the decoder is computed from: without the other parts of a wrapper. */
enum err_code arch_hash(struct store *store, struct err *e);

/* inv_freq[rotated / 2] of a rotation, with the scaling applied, rounded to f32 step by step as transformers
 * does; a table of divisors in a GGUF file divides it. */
enum err_code arch_rotation_frequencies(float *inv_freq, const struct arch *a, size_t rotation,
                                        const struct store *store, struct err *e);

/* Where a file says what stands in a field of struct arch, for messages: "model/config.json: vocab_size",
 * "model.gguf: llama.block_count". */
#define ARCH_WHERE_SIZE 4352
void arch_where(char where[ARCH_WHERE_SIZE], const struct arch *a, const struct store *store, size_t field);

/* Parameters of the base. */
uint64_t arch_parameters(const struct arch *a);

#endif
