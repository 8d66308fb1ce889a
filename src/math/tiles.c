#include "tiles.h"

#include <assert.h>

#ifdef KERN_HAVE_X86
extern const struct tiles tiles_avx512_f32, tiles_avx512_bf16;
#endif

const struct tiles *tiles_for(const struct kern *kern, enum dtype type)
{
    assert(type == DTYPE_F32 || type == DTYPE_BF16);
    if (kern == &kern_reference)
        return type == DTYPE_F32 ? &tiles_reference_f32 : &tiles_reference_bf16;
#ifdef KERN_HAVE_X86
    if (kern == kern_for(CPU_AVX512)) {
        if (type == DTYPE_F32)
            return &tiles_avx512_f32;
        if (cpu_has_bf16() && !cpu_has_amx())
            return &tiles_avx512_bf16;
    }
#endif
    return NULL;
}
