/*
 * Expands numbers from files to f32 or bf16: one table of functions per instruction set, compiled from the same
 * source. They run on the calling thread and give the same bits as dtype_to_f32() and dtype_f32_to_bf16().
 */
#ifndef MPILORA_MATH_EXPAND_H
#define MPILORA_MATH_EXPAND_H

#include <stdbool.h>

#include "base/cpu.h"
#include "math/dtype.h"

struct expand {
    /* out[0..count) = the numbers at `in`; count is a multiple of the type's block_elements */
    void (*to_f32)(float *out, enum dtype type, const void *in, size_t count);
    void (*to_bf16)(uint16_t *out, const float *in, size_t count);
    /* Is there no NaN and no infinity? */
    bool (*finite_f32)(const float *x, size_t count);
    bool (*finite_bf16)(const uint16_t *x, size_t count);
};

/* The table for an instruction set, which the processor must have. */
const struct expand *expand_for(enum cpu_isa isa);

#endif
