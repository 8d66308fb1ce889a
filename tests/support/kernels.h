/*
 * For tests of kernels: every instruction set of this processor, held against the oracle. Include
 * after cmocka.h.
 */
#ifndef MPILORA_TESTS_KERNELS_H
#define MPILORA_TESTS_KERNELS_H

#include "math/gemm.h"
#include "math/kern.h"
#include "numbers.h"

/* Runs what follows with `k` set to the kernels of each instruction set that this processor has. */
#define FOR_EACH_ISA(k)                                                                                      \
    for (int isa_ = CPU_PORTABLE; isa_ <= (int)cpu_isa_best(); isa_++)                                       \
        for (const struct kern *k = kern_for((enum cpu_isa)isa_); k; k = NULL)

/* Are products of bf16 the reference's loops here: slow, and the same on any number of threads? */
static inline bool bf16_is_plain(void)
{
    return !gemm_has_bf16() || cpu_isa_best() < CPU_AVX512;
}

static inline void check_near(const char *what, const struct kern *k, const float *x, const float *expected,
                              size_t count, double allowed)
{
    double distance = numbers_distance(x, expected, count);
    if (!(distance <= allowed))
        fail_msg("%s of %s: distance %g over %zu numbers, allowed %g", what, k->name, distance, count,
                 allowed);
}

#endif
