#include "math/kern.h"

#include <assert.h>
#include <math.h>

extern const struct kern kern_isa_portable;
#ifdef KERN_HAVE_X86
extern const struct kern kern_isa_avx2, kern_isa_avx512;
#endif

const struct kern *kern_for(enum cpu_isa isa)
{
#ifdef KERN_HAVE_X86
    if (isa == CPU_AVX512)
        return &kern_isa_avx512;
    if (isa == CPU_AVX2)
        return &kern_isa_avx2;
#endif
    (void)isa;
    return &kern_isa_portable;
}

const struct kern_typed *kern_typed(const struct kern *k, enum dtype type)
{
    assert(type == DTYPE_F32 || type == DTYPE_BF16);
    return type == DTYPE_BF16 ? &k->bf16 : &k->f32;
}

size_t kern_first_nonfinite(const float *x, size_t count)
{
    enum { BLOCK = 1024 };
    for (size_t begin = 0; begin < count; begin += BLOCK) {
        size_t end = count - begin < BLOCK ? count : begin + BLOCK;
        /* x - x is 0 for a finite x and NaN otherwise: a cheap test of a whole block */
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (size_t i = begin; i < end; i++)
            sum += x[i] - x[i];
        if (sum == 0)
            continue;
        for (size_t i = begin; i < end; i++)
            if (!isfinite(x[i]))
                return i;
    }
    return count;
}
