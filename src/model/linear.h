/*
 * A group of linear layers with their adapters. Internal to the model.
 */
#ifndef MPILORA_MODEL_LINEAR_H
#define MPILORA_MODEL_LINEAR_H

#include "step.h"

/*
 * y[n, rows of the group] = x W^T + bias + scaling * (dropout(x) A^T) B^T, x in reals. Groups inside of a
 * branch give reals; those that end one (ATTN_OUT, MLP_OUT) add to the residual stream y, float; the head gives
 * float. Keeps scaling * x A^T.
 */
void linear_forward(const struct step *s, const struct step_rows *rows, size_t layer, enum linear_group g,
                    void *y, const void *x);

/* Only scaling * x A^T of the group. */
void linear_recompute_low(const struct step *s, const struct step_rows *rows, size_t layer,
                          enum linear_group g, const void *x);

/* Adds to the gradients of the group's A and B; dx[n, columns] (NULL: not wanted) = gradient of x. dy[n, ld]
 * in reals. `x` is not read when nothing of the group is adapted. */
void linear_backward(const struct step *s, const struct step_rows *rows, size_t layer, enum linear_group g,
                     float *dx, const void *dy, size_t ld, const void *x);

/* Whether a linear layer of the group is adapted. */
bool linear_is_adapted(const struct step *s, size_t layer, enum linear_group g);

#endif
