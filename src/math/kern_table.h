/*
 * The entries that all tables of kernels have in common: for both element types, with functions named <member>_f32
 * and <member>_bf16.
 */
#ifndef MPILORA_MATH_KERN_TABLE_H
#define MPILORA_MATH_KERN_TABLE_H

#include "math/kern.h"

#define KERN_TYPED(type, bytes)                                                                              \
    {                                                                                                        \
        .size = (bytes), .rmsnorm_forward = rmsnorm_forward_##type, .rmsnorm_apply = rmsnorm_apply_##type,   \
        .rmsnorm_backward = rmsnorm_backward_##type,                                                         \
        .rmsnorm_heads_forward = rmsnorm_heads_forward_##type,                                               \
        .rmsnorm_heads_backward = rmsnorm_heads_backward_##type,                                             \
        .layernorm_forward = layernorm_forward_##type, .layernorm_apply = layernorm_apply_##type,            \
        .layernorm_backward = layernorm_backward_##type, .rope = rope_##type,                                \
        .rope_pairs = rope_pairs_##type,                                                                     \
        .gated = {[ACT_SILU] = {silu_gated_forward_##type, silu_gated_backward_##type},                      \
                  [ACT_GELU] = {gelu_gated_forward_##type, gelu_gated_backward_##type},                      \
                  [ACT_GELU_TANH] = {gelu_tanh_gated_forward_##type, gelu_tanh_gated_backward_##type},       \
                  [ACT_RELU2] = {relu2_gated_forward_##type, relu2_gated_backward_##type}},                  \
        .plain = {[ACT_SILU] = {silu_forward_##type, silu_backward_##type},                                  \
                  [ACT_GELU] = {gelu_forward_##type, gelu_backward_##type},                                  \
                  [ACT_GELU_TANH] = {gelu_tanh_forward_##type, gelu_tanh_backward_##type},                   \
                  [ACT_RELU2] = {relu2_forward_##type, relu2_backward_##type}},                              \
        .xielu_forward = xielu_forward_##type, .xielu_backward = xielu_backward_##type,                      \
        .cross_entropy = cross_entropy_##type, .dropout = dropout_##type, .add_bias = add_bias_##type,       \
        .add = add_##type, .to_f32 = to_f32_##type, .from_f32 = from_f32_##type,                             \
        .from_f32_row = from_f32_row_##type, .attend_softmax = attend_softmax_##type,                        \
        .attend_gradient = attend_gradient_##type, .attend_finish = attend_finish_##type,                    \
        .attend_delta = attend_delta_##type,                                                                 \
    }

#define KERN_BOTH_TYPES .f32 = KERN_TYPED(f32, sizeof(float)), .bf16 = KERN_TYPED(bf16, sizeof(uint16_t))

#endif
