/*
 * A decoder described by a record: its sizes, what it computes, and the names of its parts (from its family).
 * Forward and backward do what the record says and never test for a family's name.
 *
 * It is read from config.json (with the keys of transformers 4 and 5) or from the keys of a GGUF file, by the
 * tables of the family that the file names (model/family.h). A setting that this program does not support (an
 * unknown activation, quantization_config, experts, ...) is refused with file, key and value.
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

/* Groups of linear layers that read the same input, in the order of the forward pass. The output of ATTN_IN has the
 * queries of all heads, then the keys, then the values; that of MLP_IN has the gate, then the part that it is
 * multiplied with (up). */
enum linear_group {
    GROUP_ATTN_IN,
    GROUP_ATTN_OUT,
    GROUP_MLP_IN,
    GROUP_MLP_OUT,
    GROUP_COUNT,
    GROUP_HEAD = GROUP_COUNT
};

/* The number of rows of a linear layer's matrix, that is, of its outputs. */
enum module_rows {
    ROWS_WIDTH,
    ROWS_QUERIES,
    ROWS_KEYS,
    ROWS_VALUES,    /* as ROWS_KEYS; none in a layer whose values are its keys */
    ROWS_ATTENTION, /* queries, keys and values in one matrix */
    ROWS_FFN,
    ROWS_GATED, /* twice ROWS_FFN: the gate, then the part that it is multiplied with */
    ROWS_VOCAB
};

/* Flags for a matrix that a file stores in another order than the one that is used. */
enum module_stored {
    STORED_PLAIN = 0,
    GGUF_PAIRED = 1,  /* GGUF interleaves the rows of the two halves of each head */
    HF_TRANSPOSED = 2, /* Hugging Face's file has [inputs, outputs] */
    GGUF_SORTED = 4    /* a GGUF file has all queries, all keys, all values, where grouped_qkv has them by key heads */
};

/* A linear layer. The layers of a group read the same input, and their rows follow one another in the group's
 * output, in the order of the table. So one matrix product computes the whole group. */
struct module {
    const char *path; /* within its block, as in Hugging Face and PEFT */
    const char *gguf;
    enum linear_group group;
    enum module_rows rows; /* number of outputs; the number of inputs is that of the group */
    unsigned stored;       /* enum module_stored */
};

/* The places of norms: before and after each branch of a block (attention, MLP), on queries, keys and values, and
 * before the head. */
enum place { AT_ATTN_IN, AT_Q, AT_K, AT_V, AT_ATTN_OUT, AT_MLP_IN, AT_MLP_OUT, AT_FINAL, PLACE_COUNT };

enum rotation_type {
    ROTATION_DEFAULT,
    ROTATION_LINEAR,
    ROTATION_LLAMA3,
    ROTATION_YARN,
    ROTATION_LONGROPE,
    ROTATION_PROPORTIONAL /* the later frequencies are 0 */
};

/* Rotary positions (Su et al. 2021): theta, and how the frequencies are scaled. longrope (Ding et al. 2024) has two
 * rotations: rotation 0 for examples of at most original_positions tokens, and rotation 1, with the long factors,
 * for longer ones. */
struct rotation {
    enum rotation_type type;
    double theta, factor, low_freq_factor, high_freq_factor, original_positions;
    double beta_fast, beta_slow; /* YaRN (Peng et al. 2023) */
    bool keeps_fractions;        /* YaRN: the ends of its ramp are not rounded to whole numbers */
    double size;                 /* factor of cosine and sine; 0: none */
    size_t rotated;              /* number of a head's columns that are rotated, counted from the first */
    double share;                /* proportional: share of the frequencies that are not 0 */
    bool takes_alpha;            /* in a family's defaults: "dynamic" with "alpha" means a larger theta at every
                                  * length */
};

/* Properties that may differ from layer to layer. */
struct layer_kind {
    size_t window;   /* number of keys that a query attends to, including its own; 0: all before it */
    size_t rotation; /* index of the rotation of queries and keys */
    bool unrotated;  /* queries and keys are not rotated (NoPE) */
    size_t kv_heads, head_dim; /* 0: those of the record */
    bool values_are_keys;      /* the values have no matrix: they are the keys, before norm and rotation */
};

/* Which layers are of kind 1 if a file does not list them: those from `first` on, except every full_every-th
 * layer. */
struct layer_pattern {
    bool mixed; /* false: all are of kind 0 */
    size_t first;
    size_t full_every; /* 0: no exception */
    bool ends_full;    /* the last layer is of kind 0, whatever a file lists */
};

#define ARCH_MODULES   8 /* most linear layers of a block */
#define ARCH_ROTATIONS 2
#define ARCH_KINDS     2

struct arch {
    const struct family *family;
    const struct wrapper *wrapper; /* the model that contains this decoder; NULL: none */
    size_t spelling;               /* index of the tensor names that the files use, in the wrapper's list; without a
                                    * wrapper, 1: the names lack their first word */
    bool old_head;                 /* the head's tensor has the name that older files use */
    size_t layers, width, ffn, heads, kv_heads, head_dim, vocab; /* ffn: with experts, of each of them */
    size_t experts;          /* of each layer; 0: a layer has one MLP */
    size_t experts_a_token;  /* how many of them a token goes through, those with the largest probabilities */
    bool experts_share_one;  /* what an expert adds is multiplied with its share: its probability; true: that divided
                              * by the sum of the probabilities of the token's experts */
    size_t max_positions; /* 0: not declared */
    float norm_eps;
    bool norm_offset;            /* norms multiply by 1 + weight, with the weight as stored in safetensors (not in
                                  * GGUF) */
    enum kern_act activation;    /* of the gate */
    float attention_scale;       /* of scores; 0 in a family's defaults: head_dim^-0.5 */
    float attention_cap;         /* scores (and with logit_cap, logits) become cap * tanh(x / cap); 0: none */
    float logit_cap;
    float embedding_scale;       /* factor of the embedding, rounded to the compute type; 0: none */
    bool centred_norms;          /* LayerNorm: the mean is subtracted; does not apply to the norms of q and k */
    bool norm_bias;              /* the norms over the width of the model have a bias */
    bool parallel;               /* attention and MLP both read the block's input, with one norm if the MLP has
                                  * none */
    bool wide_norms;             /* the norms of q and k are over all heads together, not over each head */
    bool norms_rotated;          /* the norms of q and k come after the rotation */
    bool normed_values;          /* each head of the values is normed, without a weight */
    bool block_scales;           /* the output of a block is multiplied with a number, which the file has */
    bool bias[GROUP_HEAD + 1];   /* all linear layers of the group have a bias */
    bool grouped_qkv;            /* the one matrix for q, k, v has the queries of a key head, its key and its value,
                                  * then those of the next key head */
    float scale[GROUP_HEAD + 1]; /* factor of what a group adds to the residual stream, and of the logits; 0:
                                  * none */
    bool tied;              /* the head is the embedding */
    double rotated_share;        /* share of a head's columns that are rotated; 0 in a family's defaults: always
                                  * 1 */
    bool rotates_pairs;          /* column 2i is paired with 2i + 1, not i with i + rotated / 2 */
    size_t most_positions;       /* longest example for which this program computes the right attention; 0: no
                                  * limit */
    struct rotation rotations[ARCH_ROTATIONS];
    struct layer_kind kinds[ARCH_KINDS];
    struct layer_pattern pattern;
    uint8_t kind_of[LIMIT_LAYERS]; /* of each layer */
};

#define ARCH_PATH_SIZE 64 /* bytes of the longest module path, with its terminating zero */
#define ARCH_NAME_SIZE 96 /* bytes of the longest name of a tensor in a file, with its terminating zero */

/* Reads the record from a store. All limits are checked (sizes are positive, heads divisible by kv_heads, every
 * matrix has at most 2^40 elements), so products of sizes cannot overflow in later code. ERR_UNSUPPORTED names a
 * setting that this program does not implement, ERR_FORMAT an impossible value. */
enum err_code arch_read(struct arch *a, const struct store *store, struct err *e);

/* A linear layer is identified by its index in the family's table of modules. The table has the modules of a block,
 * by group, and then the head. The head is outside of the blocks, and can have an adapter only if it is not tied to
 * the embedding. */
size_t arch_head(const struct arch *a); /* == modules of a block */
const struct module *arch_module(const struct arch *a, size_t linear);
/* Output and input features. They may differ from layer to layer; for the head, which is in none, the layer is not
 * read. A layer that does not have the linear layer has 0 rows of it. */
size_t arch_rows(const struct arch *a, size_t layer, size_t linear);
size_t arch_columns(const struct arch *a, size_t layer, size_t linear);

/* The linear layers of a group: for (size_t i = range.first; i < range.end; i++). With experts, the MLP's groups have
 * none. */
struct arch_range {
    size_t first, end;
};
struct arch_range arch_group(const struct family *f, enum linear_group g);

/* Of a group in a layer: the rows of its output, its input features, and the first row of a linear layer. */
size_t arch_group_rows(const struct arch *a, size_t layer, enum linear_group g);
size_t arch_group_columns(const struct arch *a, size_t layer, enum linear_group g);
size_t arch_row_offset(const struct arch *a, size_t layer, size_t linear);

/* Heads of a layer. Attention's input has the queries of all heads, then the keys, then the values: the number of its
 * columns, and the first one of keys and of values. If the values have no matrix, these are more columns than ATTN_IN
 * has rows. */
size_t arch_kv_heads(const struct arch *a, size_t layer);
size_t arch_head_dim(const struct arch *a, size_t layer);
size_t arch_kind_head_dim(const struct arch *a, size_t kind);
size_t arch_qkv_columns(const struct arch *a, size_t layer);
size_t arch_key_column(const struct arch *a, size_t layer);
size_t arch_value_column(const struct arch *a, size_t layer);

/* Is there a norm (that of values has no weight), and how many columns has it in a layer (0 if there is none)? */
bool arch_has_norm(const struct arch *a, enum place place);
size_t arch_norm_width(const struct arch *a, size_t layer, enum place place);

/* The matrices of an expert are numbered as its family lists them. Their groups are those of MLP_IN and MLP_OUT, whose
 * rows and columns above are those of one expert. */
bool arch_has_experts(const struct arch *a);
size_t arch_expert_matrices(const struct arch *a); /* of one expert; 0 without experts */
/* In a file of this kind, is a matrix of all experts one tensor, [experts, rows, columns]? */
bool arch_stacks_experts(const struct arch *a, enum store_kind kind);
const struct module *arch_expert_module(const struct arch *a, size_t matrix);
size_t arch_expert_rows(const struct arch *a, size_t matrix);
size_t arch_expert_columns(const struct arch *a, size_t matrix);
/* Rows of the MLP's products for each token: one, or one for each of its experts. */
size_t arch_mlp_rows(const struct arch *a);

/* Does the MLP have a gate? */
bool arch_is_gated(const struct arch *a);

const struct layer_kind *arch_kind(const struct arch *a, size_t layer);
size_t arch_rotation_count(const struct arch *a); /* rotations that some layers or some examples use */
size_t arch_most_rotated(const struct arch *a);   /* columns that they rotate at most */
/* Rotation 0 is for examples of at most so many tokens; 0: for all examples. */
size_t arch_short_positions(const struct arch *a);

/* All linear layers of a model are numbered: slot = layer * modules of a block + linear; the last is the head. These
 * give the number of slots, the linear layer and the layer (0 for the head) of a slot, and whether the layer has it. */
size_t arch_slots(const struct arch *a);
size_t arch_slot_linear(const struct arch *a, size_t slot);
size_t arch_slot_layer(const struct arch *a, size_t slot);
bool arch_has_slot(const struct arch *a, size_t slot);

/* Hugging Face paths, for PEFT and for messages: of a linear layer (the head has no layer), of a norm (AT_FINAL has
 * no layer), of the operation between the products of a branch (attention, activation), and of the embedding. */
void arch_module_path(char path[ARCH_PATH_SIZE], const struct arch *a, size_t layer, size_t linear);
void arch_norm_path(char path[ARCH_PATH_SIZE], const struct arch *a, size_t layer, enum place place);
void arch_between_path(char path[ARCH_PATH_SIZE], const struct arch *a, size_t layer, enum linear_group out);
void arch_embedding_path(char path[ARCH_PATH_SIZE], const struct arch *a);
/* Of the module that holds the experts, and of the router. */
void arch_experts_path(char path[ARCH_PATH_SIZE], const struct arch *a, size_t layer);
void arch_router_path(char path[ARCH_PATH_SIZE], const struct arch *a, size_t layer);
/* Of a matrix of an expert, as if each expert were a module of its own. */
void arch_expert_path(char path[ARCH_NAME_SIZE], const struct arch *a, size_t layer, size_t expert, size_t matrix);

/* The path of a linear layer in another class that has the same decoder: alone, or in a model for images or sound.
 * Alias 0 is arch_module_path(). */
#define ARCH_ALIASES 4
void arch_module_alias(char path[ARCH_PATH_SIZE], const struct arch *a, size_t alias, size_t layer, size_t linear);

/* Names of tensors in a file of this kind: of a linear layer or a norm ("weight" or "bias"), of the embedding. */
void arch_module_tensor(char name[ARCH_NAME_SIZE], const struct arch *a, enum store_kind kind, size_t layer,
                        size_t linear, const char *what);
void arch_norm_tensor(char name[ARCH_NAME_SIZE], const struct arch *a, enum store_kind kind, size_t layer,
                      enum place place, const char *what);
void arch_embedding_tensor(char name[ARCH_NAME_SIZE], const struct arch *a, enum store_kind kind);
/* A matrix of an expert, or of all experts if they are stacked. */
void arch_expert_tensor(char name[ARCH_NAME_SIZE], const struct arch *a, enum store_kind kind, size_t layer,
                        size_t expert, size_t matrix);
void arch_router_tensor(char name[ARCH_NAME_SIZE], const struct arch *a, enum store_kind kind, size_t layer);
/* general.architecture of the GGUF files that llama.cpp makes from such models; NULL: not known. The modules have GGUF
 * names if it is known. */
const char *arch_gguf_name(const struct arch *a);
/* Learned positions: max_positions rows, which are added to the embedding. */
bool arch_has_positions(const struct arch *a);
void arch_positions_path(char path[ARCH_PATH_SIZE], const struct arch *a);
void arch_positions_tensor(char name[ARCH_NAME_SIZE], const struct arch *a, enum store_kind kind);
/* The tensor of a number of xIELU ("alpha_p") in a block, if that is the activation. */
bool arch_has_xielu(const struct arch *a);
void arch_xielu_tensor(char name[ARCH_NAME_SIZE], const struct arch *a, size_t layer, const char *what);
/* The tensor with the number that a block's output is multiplied with (block_scales). */
void arch_block_scale_tensor(char name[ARCH_NAME_SIZE], const struct arch *a, enum store_kind kind, size_t layer);
/* Is this a table of the rotation or a mask, which some programs store although it is not a weight? */
bool arch_is_buffer(const struct arch *a, enum store_kind kind, const char *name);

/* Does this tensor belong to another part of the wrapper (vision, sound), which is not read? */
bool arch_is_other_part(const struct arch *a, const char *name);

/* store_hash() without the other parts of a wrapper. */
enum err_code arch_hash(struct store *store, struct err *e);

/* inv_freq[rotated / 2] of a rotation, with its scaling, rounded to f32 at each step as in transformers. If a GGUF
 * file has a table of divisors, they are divided by it. */
enum err_code arch_rotation_frequencies(float *inv_freq, const struct arch *a, size_t rotation,
                                        const struct store *store, struct err *e);

/* The file and key that set a field of struct arch, for messages: "model/config.json: vocab_size", "model.gguf:
 * llama.block_count". `field` is its offset. */
#define ARCH_WHERE_SIZE 4352
void arch_where(char where[ARCH_WHERE_SIZE], const struct arch *a, const struct store *store, size_t field);

/* Number of parameters of the base. */
uint64_t arch_parameters(const struct arch *a);

#endif
