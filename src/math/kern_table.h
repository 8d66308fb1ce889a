/*
 * The rows of a table of kernels that are the same in each: for its two element types, of functions named
 * <member>_f32 and <member>_bf16.
 */
#ifndef MPILORA_MATH_KERN_TABLE_H
#define MPILORA_MATH_KERN_TABLE_H

#include "math/kern.h"

#define KERN_TYPED(type, bytes)                                                                              \
    {                                                                                                        \
        .size = (bytes), .rmsnorm_forward = rmsnorm_forward_##type, .rmsnorm_apply = rmsnorm_apply_##type,   \
        .rmsnorm_backward = rmsnorm_backward_##type, .rope = rope_##type,                                    \
        .swiglu_forward = swiglu_forward_##type, .swiglu_backward = swiglu_backward_##type,                  \
        .cross_entropy = cross_entropy_##type, .dropout = dropout_##type, .add_bias = add_bias_##type,       \
        .add = add_##type, .to_f32 = to_f32_##type, .from_f32 = from_f32_##type,                             \
        .from_f32_row = from_f32_row_##type, .attend_softmax = attend_softmax_##type,                        \
        .attend_gradient = attend_gradient_##type, .attend_finish = attend_finish_##type,                    \
        .attend_delta = attend_delta_##type,                                                                 \
    }

#define KERN_BOTH_TYPES .f32 = KERN_TYPED(f32, sizeof(float)), .bf16 = KERN_TYPED(bf16, sizeof(uint16_t))

/* The members of struct kern for f32 alone. */
static void rmsnorm_forward(float *y, float *rstd, const float *x, const float *w, size_t n, size_t D,
                            float eps)
{
    rmsnorm_forward_f32(y, NULL, rstd, x, w, n, D, eps);
}

static void rmsnorm_apply(float *y, const float *x, const float *rstd, const float *w, size_t n, size_t D)
{
    rmsnorm_apply_f32(y, x, rstd, w, n, D);
}

static void rmsnorm_backward(float *dx, const float *dy, const float *x, const float *rstd, const float *w,
                             size_t n, size_t D)
{
    rmsnorm_backward_f32(dx, NULL, dy, x, rstd, w, n, D);
}

static void rope(float *x, size_t ld, const int32_t *positions, const float *cos, const float *sin, size_t n,
                 size_t heads, size_t head_dim, float sign)
{
    rope_f32(x, ld, positions, cos, sin, n, heads, head_dim, sign);
}

static void swiglu_forward(float *y, const float *gu, size_t n, size_t F)
{
    swiglu_forward_f32(y, gu, n, F);
}

static void swiglu_backward(float *dgu, float *y, const float *dy, const float *gu, size_t n, size_t F)
{
    if (y)
        swiglu_forward_f32(y, gu, n, F);
    swiglu_backward_f32(dgu, dy, gu, n, F);
}

static void cross_entropy(double *loss, int32_t *best, float *logits, size_t ld, const int32_t *targets,
                          size_t n, size_t V, float dscale)
{
    cross_entropy_f32(loss, best, logits, ld, logits, ld, targets, n, V, dscale);
}

static void dropout(float *y, const float *x, struct rng_key key, const uint64_t *samples,
                    const int32_t *positions, size_t n, size_t D, float p)
{
    dropout_f32(y, x, key, samples, positions, n, D, p);
}

static void add_bias(float *y, size_t ld, const float *bias, size_t n, size_t D)
{
    add_bias_f32(y, ld, bias, n, D);
}

#define KERN_F32_ALONE                                                                                       \
    .rmsnorm_forward = rmsnorm_forward, .rmsnorm_apply = rmsnorm_apply,                                      \
    .rmsnorm_backward = rmsnorm_backward, .rope = rope, .swiglu_forward = swiglu_forward,                    \
    .swiglu_backward = swiglu_backward, .cross_entropy = cross_entropy, .dropout = dropout,                  \
    .add_bias = add_bias

#endif
