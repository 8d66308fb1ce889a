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

#endif
