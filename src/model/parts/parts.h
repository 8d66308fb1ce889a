/*
 * What a decoder is made of between its tokens and its loss; README.md has the drawing. Forward stands beside
 * backward, a file for each part. Internal to the model.
 */
#ifndef MPILORA_MODEL_PARTS_H
#define MPILORA_MODEL_PARTS_H

#include "../step.h"

/*
 * embed.c: acts->residual, the residual stream before the first layer. It has no backward: the embedding is
 * frozen.
 */
void embed_forward(const struct step *s);

/*
 * norm.c. Where a norm stands, and its arrays of n rows: forward reads x, backward what was kept of it.
 */
struct norm_site {
    const float *weight; /* [width]; NULL: there is none, and y = x */
    const float *bias;   /* [width] of a centred norm; NULL: none */
    size_t n, width;
    const float *x;   /* [n, width] */
    void *copy;       /* [n, width] reals: of x, for backward; NULL: not wanted */
    const void *kept; /* [n, width] reals: that copy, or x where it is one */
    float *rstd;      /* [n] */
    float *mean;      /* [n] of a centred norm */
    void *y;          /* [n, width] reals */
};
/* A norm of a block, over all tokens: from the residual stream to acts->normed. */
struct norm_site norm_site(const struct step *s, size_t layer, enum place place);

void norm_forward(const struct step *s, const struct norm_site *at);
/* y once more, from what was kept. */
void norm_recompute(const struct step *s, const struct norm_site *at);
/* dx[n, width] += gradient of x from dy[n, width]; `copy` in reals (NULL: not wanted) = the new dx. */
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
 * branch.c: what a block adds to the residual stream, twice: norm, products, what lies between them, products.
 */
struct branch {
    enum place norm, out_norm; /* of what it reads, and of what it adds, where the record has them */
    enum linear_group in,
        out; /* its products: the first read the norm, the last add to the residual stream */
    void (*forward)(const struct step *s, size_t layer); /* between them */
    void (*backward)(const struct step *s, size_t layer);
    bool
        shares_out; /* what its last products read lies in one array for all layers: backward makes it anew */
};
extern const struct branch branch_attention, branch_mlp;

void branch_forward(const struct step *s, size_t layer, const struct branch *b);
/* What of it comes before b->forward, and after. */
void branch_open(const struct step *s, size_t layer, const struct branch *b);
void branch_close(const struct step *s, size_t layer, const struct branch *b);
/* acts->dh: gradient of the residual stream after the branch, then before it; where branches are side by side, the
 * MLP's part of it is left in acts->dside. False where backward has ended:
 * no adapter needs the latter, and dh is then undefined. */
bool branch_backward(const struct step *s, size_t layer, const struct branch *b);

/*
 * head.c: final norm, head, loss, for the tokens that predict a supervised one. With loss_scale != 0 also the
 * gradients of the head's adapter and, when a block is adapted, acts->dh. `each` may be NULL.
 */
void head_run(const struct step *s, double loss_scale, struct model_result *result,
              const struct model_each *each);
/* logits[n, V] of all rows of x[n, D] (n at most the chunk), float both. */
void head_logits(const struct step *s, const struct step_rows *rows, float *logits, const float *x);

#endif
