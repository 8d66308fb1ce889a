/*
 * One pass over a pack: what its functions share. Internal to the model.
 *
 * Forward and backward of a part stand side by side: linear.c (a group of linear layers with their adapters),
 * block_forward.c and block_backward.c (a decoder block), head.c (final norm, head, loss).
 */
#ifndef MPILORA_MODEL_STEP_H
#define MPILORA_MODEL_STEP_H

#include "acts.h"
#include "math/attention.h"
#include "math/kern.h"

/* The search for the first tensor that is not finite. */
struct trace {
    bool found;
    char what[ARCH_PATH_SIZE];
    size_t row; /* of the pack */
};

struct step {
    const struct model *m;
    const struct acts *acts;
    const struct lora *lora;          /* NULL: the base alone */
    const struct lora_layout *layout; /* its own, or NULL */
    const void *adapter;              /* its params in reals */
    const struct model_grads *grads;  /* NULL: a forward pass only */
    enum dtype type;                  /* of reals */
    const struct kern *kern;
    const struct kern_typed *real;
    const struct model_input *in;
    struct attention_shape attention;
    bool dropout;
    bool again;          /* backward computes a part of the forward pass again */
    struct trace *trace; /* NULL: nothing is searched */
};

/* The rows that a linear layer works on; samples and positions key the dropout masks. */
struct step_rows {
    size_t n;
    const uint64_t *samples;
    const int32_t *positions;
};
struct step_rows step_rows(const struct step *s);

/* Checks the pack against vocabulary and plan. */
enum err_code step_begin(struct step *s, const struct model *m, const struct acts *acts,
                         const struct model_input *in, const struct model_grads *grads, struct err *e);

/* The pack has given all that it adds to a layer's gradients. */
void step_grads_ready(const struct step *s, size_t layer);

/* With a trace, and nothing found before: looks for NaN and infinity in x[n, ld] of this type, columns
 * [0, columns). `what` is the path of the module whose output x is. */
void step_check(const struct step *s, enum dtype type, const void *x, size_t ld, size_t n, size_t columns,
                const char *what);

/* An array of reals, moved on by `count` of them. */
const void *step_at(const struct step *s, const void *reals, size_t count);

/*
 * A group of linear layers: y[n, rows of the group] = x W^T + bias + scaling * (dropout(x) A^T) B^T, x in
 * reals. Groups inside of a half block give reals; those that end one (ATTN_OUT, MLP_OUT) add to the residual
 * stream y, float; the head gives float. Keeps
 * scaling * x A^T.
 */
void linear_forward(const struct step *s, const struct step_rows *rows, size_t layer, enum linear_group g,
                    void *y, const void *x);

/* Only scaling * x A^T of the group. */
void linear_low_again(const struct step *s, const struct step_rows *rows, size_t layer, enum linear_group g,
                      const void *x);

/* Adds to the gradients of the group's A and B; dx[n, columns] (NULL: not wanted) = gradient of x. dy[n, ld]
 * in reals. `x` is not read when nothing of the group is adapted. */
void linear_backward(const struct step *s, const struct step_rows *rows, size_t layer, enum linear_group g,
                     float *dx, const void *dy, size_t ld, const void *x);

/* The residual stream before the first layer. */
void block_embed(const struct step *s);
/* A block in two halves, for decoding puts another attention between them. */
void block_forward_project(const struct step *s, size_t layer);
void block_forward_finish(const struct step *s, size_t layer);
void block_forward_all(const struct step *s);
/* What the mode of recomputation has not kept of a layer, for backward: before its MLP, before its attention.
 */
void block_again_mlp(const struct step *s, size_t layer);
void block_again_attention(const struct step *s, size_t layer);
/* acts->dh: gradient of the last block's output, then of the lowest adapted layer's input, as far as needed.
 */
void block_backward_all(const struct step *s);

/* Loss of the supervised tokens; with loss_scale != 0 also the gradients of lm_head's adapter and, when a
 * block is adapted, acts->dh. exact_of may be NULL. */
void head_run(const struct step *s, double loss_scale, struct model_result *result, uint8_t *exact_of);
/* logits[n, V] of all rows of x[n, D] (n at most the chunk), float both. */
void head_logits(const struct step *s, const struct step_rows *rows, float *logits, const float *x);

#endif
