/* Compiled once per instruction set as `expand_isa_<KERN_ISA>`; vectorising is left to the compiler. */
#include "math/expand.h"
#include "../quant_blocks.h"

#define JOIN_(a, b) a##b
#define JOIN(a, b)  JOIN_(a, b)

static void to_f32(float *out, enum dtype type, const void *in, size_t count)
{
    quant_to_f32(out, type, in, count);
}

static void to_bf16(uint16_t *restrict out, const float *restrict in, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t bits, nan;
        memcpy(&bits, &in[i], sizeof bits);
        nan = bits >> 16 | 0x40;
        bool is_nan = (bits & 0x7fffffff) > 0x7f800000;
        bits = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
        out[i] = (uint16_t)(is_nan ? nan : bits);
    }
}

static bool finite_f32(const float *x, size_t count)
{
    uint32_t bad = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        bad |= (bits & 0x7f800000) == 0x7f800000;
    }
    return !bad;
}

static bool finite_bf16(const uint16_t *x, size_t count)
{
    uint16_t bad = 0;
    for (size_t i = 0; i < count; i++)
        bad |= (uint16_t)((x[i] & 0x7f80) == 0x7f80);
    return !bad;
}

extern const struct expand JOIN(expand_isa_, KERN_ISA);
const struct expand JOIN(expand_isa_, KERN_ISA) = {to_f32, to_bf16, finite_f32, finite_bf16};
