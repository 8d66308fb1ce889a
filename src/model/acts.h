/*
 * The planned memory of a step: one allocation, laid out by acts.def. Internal to the model.
 */
#ifndef MPILORA_MODEL_ACTS_H
#define MPILORA_MODEL_ACTS_H

#include "model/model.h"

/* Rows of the head that are worked on at once: enough for a fast matrix product, few enough that [chunk, V]
 * stays small beside the activations. */
#define ACTS_HEAD_CHUNK        256
#define ACTS_NARROW_HEAD_CHUNK 512 /* in bf16, whose products lay the matrix out anew each time */
/* Rows of a group of linear layers that are worked on at once (linear.c) in bf16: base products lose nothing
 * by it there, while those of f32 would lose a tenth. */
#define ACTS_NARROW_PART 1024
/* Rows that one thread has of the adapter's products in bf16; in f32, small products would be slower. */
#define ACTS_NARROW_BLOCK 128

struct acts_size {
    size_t n, examples, longest, chunk, part, block;
    size_t width, head_dim, half, rotations, heads, vocab, widest; /* widest: of all inputs of linear layers */
    size_t short_positions; /* examples of more tokens have rotation 1; 0: there are none */
    size_t normed_heads; /* of q and k that have a norm */
    size_t centred;      /* 1: norms keep means too */
    size_t mid_width;    /* of what lies between branches */
    size_t side_width;   /* of the gradient that waits where they are side by side */
    size_t out_width;    /* of the norms after the branches; 0: there are none */
    size_t rows[GROUP_COUNT], columns[GROUP_COUNT];
    size_t ranks[GROUP_COUNT + 1];           /* the largest of all layers; last: the head */
    size_t block_ranks, most_ranks, adapter; /* adapter: numbers in it */
    size_t attention_bytes;
    size_t layers, first_kept; /* first layer that backward comes to; == layers: none */
    size_t real_size;          /* bytes of a real */
    enum model_recompute recompute;
    bool train, dropout;
};

/* Bytes of an element of a slot; a real's are those of the step. */
#define ACTS_SIZE_OF(s, type)                                                                                \
    _Generic((type *)NULL,                                                                                   \
        void *: (s)->real_size,                                                                              \
        float *: sizeof(float),                                                                              \
        double *: sizeof(double),                                                                            \
        char *: sizeof(char),                                                                                \
        int32_t *: sizeof(int32_t),                                                                          \
        uint32_t *: sizeof(uint32_t),                                                                        \
        uint64_t *: sizeof(uint64_t))

/* A layer's and a step's arrays of reals have no element type. */
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

/* Whether a step with this adapter (NULL: none) has room. */
bool acts_fit_lora(const struct acts *a, const struct arch *arch, const struct lora *lora, bool train);

/* scaling * x A^T of a group [n, ranks of the group in this layer], reals. */
void *acts_low(const struct acts *a, size_t layer, enum linear_group g);

#endif
