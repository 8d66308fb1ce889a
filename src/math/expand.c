#include "math/expand.h"

extern const struct expand expand_isa_portable;
#ifdef KERN_HAVE_X86
extern const struct expand expand_isa_avx2, expand_isa_avx512;
#endif

const struct expand *expand_for(enum cpu_isa isa)
{
#ifdef KERN_HAVE_X86
    if (isa == CPU_AVX512)
        return &expand_isa_avx512;
    if (isa == CPU_AVX2)
        return &expand_isa_avx2;
#endif
    (void)isa;
    return &expand_isa_portable;
}
