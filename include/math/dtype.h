/*
 * The element types of tensors in files and in memory, as one table (dtype.def).
 *
 * Plain types have 1 element per block. Quantised types are GGUF's: `block_elements` numbers share one block
 * of `block_bytes` bytes; a row's length must be a multiple of block_elements.
 */
#ifndef MPILORA_MATH_DTYPE_H
#define MPILORA_MATH_DTYPE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"

enum dtype {
#define DTYPE(code, name, safetensors, ggml, elements, bytes) DTYPE_##code,
#include "math/dtype.def"
#undef DTYPE
    DTYPE_COUNT
};

struct dtype_info {
    const char *name;        /* "f32", "q4_1", ... */
    const char *safetensors; /* "F32", or NULL where safetensors has no such type */
    int ggml;                /* type number in GGUF, or -1 */
    size_t block_elements, block_bytes;
};

const struct dtype_info *dtype_info(enum dtype type);

/* DTYPE_COUNT if there is no such type. */
enum dtype dtype_from_safetensors(const char *name);
enum dtype dtype_from_ggml(uint32_t number);

/* GGUF's name for a type number, also for types that this program does not read (for the error message); "?" if
 * unknown. */
const char *dtype_ggml_name(uint32_t number);

/* Bytes of `elements` numbers; ERR_FORMAT if they do not fill whole blocks or the product overflows. */
enum err_code dtype_bytes(size_t *bytes, enum dtype type, uint64_t elements, struct err *e);

/* out[0..count) = the numbers at `in` as f32; count is a multiple of block_elements. Plain code, the reference for
 * expand.h. */
void dtype_to_f32(float *out, enum dtype type, const void *in, size_t count);

/* Inline, so that the compiler can vectorise loops over them. */
static inline float dtype_f16_to_f32(uint16_t bits)
{
    /* Shift exponent and fraction into place and multiply by 2^112, the difference of the biases: subnormal
     * halves come out right because the product normalises them. Infinity and NaN get the largest exponent.
     */
    const uint32_t rebias_bits = 0x77800000, special = (bits & 0x7c00) == 0x7c00 ? 0x7f800000 : 0;
    uint32_t wide = (uint32_t)(bits & 0x7fff) << 13;
    float rebias, x;
    memcpy(&rebias, &rebias_bits, sizeof rebias);
    memcpy(&x, &wide, sizeof x);
    x *= rebias;
    memcpy(&wide, &x, sizeof wide);
    wide |= special | (uint32_t)(bits & 0x8000) << 16;
    memcpy(&x, &wide, sizeof x);
    return x;
}

static inline float dtype_bf16_to_f32(uint16_t bits)
{
    uint32_t wide = (uint32_t)bits << 16;
    float x;
    memcpy(&x, &wide, sizeof x);
    return x;
}

/* Rounds to nearest even; NaN stays NaN. NaN is tested as a float, because GCC then uses only 32-bit lanes.
 */
static inline uint16_t dtype_f32_to_bf16(float x)
{
    uint32_t bits;
    float rounded;
    memcpy(&bits, &x, sizeof bits);
    bits += 0x7fff + (bits >> 16 & 1);
    memcpy(&rounded, &bits, sizeof rounded);
    rounded = x != x ? x + x : rounded; /* x + x is the quiet NaN, whose first fraction bit is set */
    memcpy(&bits, &rounded, sizeof bits);
    return (uint16_t)(bits >> 16);
}

uint16_t dtype_f32_to_f16(float x); /* round to nearest even */

/* Rounds to a type of one element per block once, to nearest even; an overflow becomes an infinity. */
void dtype_from_f64(void *out, enum dtype type, const double *in, size_t count);

#endif
