/*
 * The planned memory of a step: one allocation, laid out by acts.def. Internal to the model.
 */
#ifndef MPILORA_MODEL_ACTS_H
#define MPILORA_MODEL_ACTS_H

#include "model/model.h"

/* Rows of the head that are computed at a time: enough for a fast matrix product, few enough that [chunk, V] is
 * small compared to the activations. */
#define ACTS_HEAD_CHUNK        256
#define ACTS_NARROW_HEAD_CHUNK 512 /* in bf16, because its products repack the matrix each time */
/* Rows of a group of linear layers that are computed at a time (linear.c) in bf16. In bf16 the base's products are
 * as fast as with all rows; in f32 they would be a tenth slower. */
#define ACTS_NARROW_PART 1024
/* Rows of the adapter's products that one thread computes at a time in bf16; in f32 such small products would be
 * slower. */
#define ACTS_NARROW_BLOCK 128

/* Columns of attention's arrays in layers of a kind. */
struct acts_kind {
    size_t qkv, attention;
    size_t normed_heads, normed; /* heads of q, k and v that have a norm, and all of their columns */
};

struct acts_size {
    size_t n, repeated, examples, longest, chunk, part, block;
    size_t width, half, rotations, heads, vocab, widest; /* half: of the columns that rotate at most; widest: the
                                                          * largest input of a linear layer */
    size_t short_positions; /* longer examples use rotation 1; 0: all use rotation 0 */
    size_t centred;      /* 1: norms also keep means */
    size_t ones;         /* weights of a norm without a weight; 0: there is none */
    size_t mid_width;    /* of `mid`, the residual stream between the branches; 0: not kept */
    size_t side_width;   /* of `dside`, if the branches are parallel; else 0 */
    size_t out_width;    /* of the norms after the branches; 0: there are none */
    size_t grouped_rows; /* of q, k, v in one matrix, head after head; 0: they are in order */
    struct acts_kind kinds[ARCH_KINDS], most; /* most: of all layers, each number for itself */
    const uint8_t *kind_of;                   /* of each layer */
    size_t gate_up;                           /* rows of MLP_IN */
    size_t product;                           /* columns of MLP_OUT */
    size_t experts, choices;                 /* of a layer, and those of a token; 0: a layer has one MLP */
    size_t mlp_rows;                         /* of the MLP's arrays: one for each token, or for each expert of it */
    size_t expert_width;                     /* of an expert's input and output; 0: there are no experts */
    size_t wide;                             /* numbers of `dwide` for each token */
    size_t ranks[GROUP_COUNT + 1];           /* sum of ranks of a group, the largest of all layers; last: the
                                              * head */
    size_t block_ranks, most_ranks, adapter; /* adapter: number of its parameters */
    size_t attention_bytes;
    size_t layers, first_kept; /* first layer that backward reaches; == layers: none */
    size_t real_size;          /* bytes of a real */
    enum model_recompute recompute;
    bool train, dropout;
};

/* Bytes of an element of an array; for real, those of the compute type. */
#define ACTS_SIZE_OF(s, type)                                                                                \
    _Generic((type *)NULL,                                                                                   \
        void *: (s)->real_size,                                                                              \
        float *: sizeof(float),                                                                              \
        double *: sizeof(double),                                                                            \
        char *: sizeof(char),                                                                                \
        int32_t *: sizeof(int32_t),                                                                          \
        uint32_t *: sizeof(uint32_t),                                                                        \
        uint64_t *: sizeof(uint64_t))

/* Arrays of type real have no element type in C. */
#define real void

struct acts_layer {
#define ACT_LAYER(when, name, type, rows, columns) type *name;
#define ACT_STEP(when, name, type, rows, columns)
#include "acts.def"
#undef ACT_LAYER
#undef ACT_STEP
};

struct acts {
    struct arena arena;
    struct acts_size size;
    struct acts_layer *layers; /* [layers] */
#define ACT_LAYER(when, name, type, rows, columns)
#define ACT_STEP(when, name, type, rows, columns) type *name;
#include "acts.def"
#undef ACT_LAYER
#undef ACT_STEP
};

#undef real

enum err_code acts_open(struct acts **out, const struct model *m, const struct model_plan *plan,
                        struct err *e);
void acts_close(struct acts *a); /* NULL is fine */

/* Is the planned memory enough for a step with this adapter (NULL: none)? */
bool acts_fit_lora(const struct acts *a, const struct arch *arch, const struct lora *lora, bool train);

/* The array of scaling * x A^T of a group, real [n, ranks of the group in this layer]. */
void *acts_low(const struct acts *a, size_t layer, enum linear_group g);

#endif
