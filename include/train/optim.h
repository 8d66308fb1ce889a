/*
 * The optimizer: clipping by the global norm and AdamW, over the adapter's flat arrays.
 */
#ifndef MPILORA_TRAIN_OPTIM_H
#define MPILORA_TRAIN_OPTIM_H

#include <stdint.h>

#include "base/err.h"
#include "model/lora.h"

struct optim_options {
    double beta1, beta2, epsilon, weight_decay;
    double max_grad_norm; /* 0: no clipping */
    double ratio_b;       /* learning rate of B over that of A (LoRA+, arXiv 2402.12354); 1: the same */
};

/* 2-norm of the whole gradient [l->size], summed in double. ERR_NUMERIC if it is not finite; the message names the
 * module's matrix that has the first such value. */
enum err_code optim_grad_norm(double *norm, const struct lora_layout *l, const float *grads, struct err *e);

/* Does step number `step` (from 1): multiplies the gradient, whose norm is `grad_norm`, by max_grad_norm /
 * (grad_norm + 1e-6) if that is below 1, as torch.nn.utils.clip_grad_norm_; then AdamW (Loshchilov & Hutter 2019),
 * as torch.optim.AdamW. */
void optim_step(struct lora *l, struct lora_moments *moments, const float *grads,
                const struct optim_options *options, double grad_norm, double learning_rate, uint64_t step);

#endif
