/*
 * The parts of a decoder, from its tokens to its loss; README.md draws them. Each part is one file with forward and
 * backward. Internal to the model.
 */
#ifndef MPILORA_MODEL_PARTS_H
#define MPILORA_MODEL_PARTS_H

#include "../step.h"

/*
 * embed.c: writes acts->residual, the residual stream before the first layer. It has no backward, because the
 * embedding is frozen.
 */
void embed_forward(const struct step *s);

/*
 * norm.c: a norm and its arrays of n rows. Forward reads x, backward reads what was kept of x.
 */
struct norm_site {
    const float *weight; /* [width]; NULL: there is no norm, and y = x */
    const float *bias;   /* [width] of a centred norm; NULL: none */
    size_t n, width;
    const float *x;   /* [n, width] */
    void *copy;       /* real [n, width]: copy of x for backward; NULL: not wanted */
    const void *kept; /* real [n, width]: that copy, or x itself if x is kept */
    float *rstd;      /* [n] */
    float *mean;      /* [n] of a centred norm */
    void *y;          /* real [n, width] */
};
/* The norm at a place of a block, for all tokens: from the residual stream to acts->normed. */
struct norm_site norm_site(const struct step *s, size_t layer, enum place place);

void norm_forward(const struct step *s, const struct norm_site *at);
/* Recomputes y from what was kept. */
void norm_recompute(const struct step *s, const struct norm_site *at);
/* dx[n, width] += gradient of x, from dy[n, width]; copy, real [n, width] (NULL: not wanted) = the new dx. */
void norm_backward(const struct step *s, const struct norm_site *at, float *dx, void *copy, const float *dy);

/*
 * attend.c: from q, k, v (the layer's `qkv`, rotated in place) to its `attention`, and back from acts->dwide to
 * acts->dqkv.
 */
void attend_forward(const struct step *s, size_t layer);
void attend_backward(const struct step *s, size_t layer);

/*
 * mlp.c: from gate and up (the layer's `gate_up`) to acts->product, and back from acts->dwide to gate_up, which
 * then holds its own gradient.
 */
void mlp_forward(const struct step *s, size_t layer);
void mlp_backward(const struct step *s, size_t layer);

/*
 * experts.c: the products of an MLP of experts, in place of those of linear.h. Each token goes through the experts that
 * the router gives the largest probabilities (ties: the first). The MLP's arrays then have a row for each expert of
 * each token, those of an expert together. GROUP_MLP_IN writes gate and up, real [rows, 2F], and keeps what the router
 * says; GROUP_MLP_OUT adds each expert's output, times the token's share of it, to y, float [n, D].
 */
void experts_forward(const struct step *s, size_t layer, enum linear_group g, void *y, const void *x);
/* GROUP_MLP_OUT, for dy real [n, D]: dx[rows, F] = gradient of `x`, the product of all rows, and the gradient of the
 * shares; after it, GROUP_MLP_IN, for dy real [rows, 2F]: dx[n, D] = gradient of the experts' and of the router's
 * input. */
void experts_backward(const struct step *s, size_t layer, enum linear_group g, float *dx, const void *dy,
                      const void *x);

/*
 * branch.c: a branch of a block, attention or MLP, which adds to the residual stream: norm, first products, the
 * operation between them, last products.
 */
struct branch {
    enum place norm, out_norm; /* of its input, and of its output, if the record has them */
    enum linear_group in,
        out; /* the first products, which read the norm's output, and the last ones, which add to the residual
              * stream */
    void (*forward)(const struct step *s, size_t layer); /* the operation between them */
    void (*backward)(const struct step *s, size_t layer);
    bool
        shares_out; /* the input of its last products is in an array that all layers share: backward recomputes
                     * it */
};
extern const struct branch branch_attention, branch_mlp;

void branch_forward(const struct step *s, size_t layer, const struct branch *b);
/* The parts of a branch before b->forward and after it. */
void branch_open(const struct step *s, size_t layer, const struct branch *b);
void branch_close(const struct step *s, size_t layer, const struct branch *b);
/* acts->dh: the gradient of the residual stream after the branch, replaced by that before it; if branches are
 * parallel, the MLP's part of it is left in acts->dside. Returns false if backward ends here, because no adapter
 * needs the gradient before the branch; dh is then undefined. */
bool branch_backward(const struct step *s, size_t layer, const struct branch *b);

/*
 * head.c: final norm, head and loss, for the tokens that predict a supervised token. With loss_scale != 0 also the
 * gradients of the head's adapter and, when a block is adapted, acts->dh. `each` may be NULL.
 */
void head_run(const struct step *s, double loss_scale, struct model_result *result,
              const struct model_each *each);
/* logits[n, V] of all rows of x[n, D], both float; n is at most the chunk. */
void head_logits(const struct step *s, const struct step_rows *rows, float *logits, const float *x);

#endif
