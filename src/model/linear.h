/*
 * A group of linear layers with their adapters. Internal to the model.
 */
#ifndef MPILORA_MODEL_LINEAR_H
#define MPILORA_MODEL_LINEAR_H

#include "step.h"

/*
 * y[n, ld], of which the rows of the group = x W^T + bias + scaling * (dropout(x) A^T) B^T, x in reals. The first
 * group of a branch writes y of type real; the last one (ATTN_OUT, MLP_OUT) adds to y, the residual stream, float; the
 * head writes float. Keeps scaling * x A^T (lora_down) for backward.
 */
void linear_forward(const struct step *s, const struct step_rows *rows, size_t layer, enum linear_group g,
                    void *y, size_t ld, const void *x);

/* Computes only scaling * x A^T of the group. */
void linear_recompute_low(const struct step *s, const struct step_rows *rows, size_t layer,
                          enum linear_group g, const void *x);

/* Adds to the gradients of the group's A and B; dx[n, columns] (NULL: not wanted) = gradient of x. dy is real [n,
 * ld]. `x` is not read if no layer of the group is adapted. */
void linear_backward(const struct step *s, const struct step_rows *rows, size_t layer, enum linear_group g,
                     float *dx, const void *dy, size_t ld, const void *x);

/* Is a linear layer of the group adapted? */
bool linear_is_adapted(const struct step *s, size_t layer, enum linear_group g);

#endif
