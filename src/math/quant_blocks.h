/*
 * Converts every element type to f32. The reference (quant.c) and the builds for each instruction set
 * (isa/expand_isa.c) compile this file and give the same bits; so no compiler may fuse a product and a sum into one
 * rounding. The quantised layouts are those of ggml (ggml-common.h); d and m are IEEE half-precision floats,
 * numbers are little-endian. The bytes come from files and may have any alignment.
 */
#ifndef MPILORA_MATH_QUANT_BLOCKS_H
#define MPILORA_MATH_QUANT_BLOCKS_H

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "math/dtype.h"

#define SMALL 32  /* numbers in a block of the legacy types */
#define SUPER 256 /* numbers in a super-block of the k types */

static inline uint16_t load_u16(const unsigned char *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t load_u32(const unsigned char *p)
{
    return load_u16(p) | (uint32_t)load_u16(p + 2) << 16;
}

static inline float load_half(const unsigned char *p)
{
    return dtype_f16_to_f32(load_u16(p));
}

static void f16_to_f32(float *restrict out, const unsigned char *restrict in, size_t count)
{
    for (size_t i = 0; i < count; i++)
        out[i] = load_half(in + 2 * i);
}

static void bf16_to_f32(float *restrict out, const unsigned char *restrict in, size_t count)
{
    for (size_t i = 0; i < count; i++)
        out[i] = dtype_bf16_to_f32(load_u16(in + 2 * i));
}

/*
 * q8_0     0   2                              34
 *          | d | q0 | q1 | ...          | q31 |        x[i] = d * q[i], q signed
 */
static void q8_0_block(float *restrict out, const unsigned char *restrict block)
{
    float d = load_half(block);
    for (int i = 0; i < SMALL; i++)
        out[i] = d * (float)(int8_t)block[2 + i];
}

/*
 * q4_0     0   2                              18
 *          | d | nibbles of x[0..15] low, x[16..31] high |        x[i] = d * (q[i] - 8)
 * q4_1     0   2   4                          20
 *          | d | m | nibbles as above         |                   x[i] = d * q[i] + m
 */
static void q4_0_block(float *restrict out, const unsigned char *restrict block)
{
    float d = load_half(block);
    for (int i = 0; i < SMALL / 2; i++) {
        out[i] = d * (float)((block[2 + i] & 15) - 8);
        out[i + SMALL / 2] = d * (float)((block[2 + i] >> 4) - 8);
    }
}

static void q4_1_block(float *restrict out, const unsigned char *restrict block)
{
    float d = load_half(block), m = load_half(block + 2);
    for (int i = 0; i < SMALL / 2; i++) {
        out[i] = d * (float)(block[4 + i] & 15) + m;
        out[i + SMALL / 2] = d * (float)(block[4 + i] >> 4) + m;
    }
}

/*
 * q5_0     0   2         6                    22
 *          | d | 32 bits | nibbles as in q4_0 |     bit i of the 32 is bit 4 of q[i]; x[i] = d * (q[i] - 16)
 * q5_1     0   2   4         8                24
 *          | d | m | 32 bits | nibbles        |     x[i] = d * q[i] + m
 */
static void q5_block(float *restrict out, const unsigned char *restrict bits, float d, int offset, float m)
{
    uint32_t high = load_u32(bits);
    for (int i = 0; i < SMALL / 2; i++) {
        int low = (bits[4 + i] & 15) | (int)(high >> i & 1) << 4;
        int upper = (bits[4 + i] >> 4) | (int)(high >> (i + SMALL / 2) & 1) << 4;
        out[i] = d * (float)(low - offset) + m;
        out[i + SMALL / 2] = d * (float)(upper - offset) + m;
    }
}

static void q5_0_block(float *restrict out, const unsigned char *restrict block)
{
    q5_block(out, block + 2, load_half(block), 16, 0);
}

static void q5_1_block(float *restrict out, const unsigned char *restrict block)
{
    q5_block(out, block + 4, load_half(block), 0, load_half(block + 2));
}

/*
 * The 12 bytes of scales of q4_k and q5_k: 8 scales s and 8 minima m of 6 bits, one each for 32 numbers.
 *
 *   byte j = 0..3     | s[j+4] bits 5,4 | s[j] bits 5..0 |
 *   byte j+4          | m[j+4] bits 5,4 | m[j] bits 5..0 |
 *   byte j+8          | m[j+4] bits 3..0 | s[j+4] bits 3..0 |
 */
static void unpack_scales(unsigned char s[8], unsigned char m[8], const unsigned char packed[12])
{
    for (int j = 0; j < 4; j++) {
        s[j] = packed[j] & 63;
        m[j] = packed[j + 4] & 63;
        s[j + 4] = (unsigned char)((packed[j + 8] & 15) | (packed[j] >> 6) << 4);
        m[j + 4] = (unsigned char)((packed[j + 8] >> 4) | (packed[j + 4] >> 6) << 4);
    }
}

/*
 * q4_k     0   2      4           16                                144
 *          | d | dmin | 12 scales | 4 x 32 bytes                    |
 *   bytes 32j..32j+31: low nibbles are x[64j..64j+31] (scale 2j), high ones x[64j+32..64j+63] (scale 2j+1)
 *   x = d * s * q - dmin * m
 */
static void q4_k_block(float *restrict out, const unsigned char *restrict block)
{
    float d = load_half(block), dmin = load_half(block + 2);
    unsigned char s[8], m[8];
    unpack_scales(s, m, block + 4);
    for (size_t j = 0; j < 4; j++) {
        const unsigned char *q = block + 16 + 32 * j;
        float *x = out + 64 * j;
        float scale0 = d * (float)s[2 * j], min0 = dmin * (float)m[2 * j];
        float scale1 = d * (float)s[2 * j + 1], min1 = dmin * (float)m[2 * j + 1];
        for (int i = 0; i < 32; i++) {
            x[i] = scale0 * (float)(q[i] & 15) - min0;
            x[i + 32] = scale1 * (float)(q[i] >> 4) - min1;
        }
    }
}

/*
 * q5_k     0   2      4           16               48               176
 *          | d | dmin | 12 scales | 32 bytes h     | 4 x 32 bytes   |
 *   low four bits as in q4_k; bit 2j of h[i] is bit 4 of x[64j+i], bit 2j+1 that of x[64j+32+i]
 */
static void q5_k_block(float *restrict out, const unsigned char *restrict block)
{
    float d = load_half(block), dmin = load_half(block + 2);
    const unsigned char *h = block + 16;
    unsigned char s[8], m[8];
    unpack_scales(s, m, block + 4);
    for (size_t j = 0; j < 4; j++) {
        const unsigned char *q = block + 48 + 32 * j;
        float *x = out + 64 * j;
        float scale0 = d * (float)s[2 * j], min0 = dmin * (float)m[2 * j];
        float scale1 = d * (float)s[2 * j + 1], min1 = dmin * (float)m[2 * j + 1];
        for (int i = 0; i < 32; i++) {
            int low = (q[i] & 15) | (h[i] >> (2 * j) & 1) << 4;
            int upper = (q[i] >> 4) | (h[i] >> (2 * j + 1) & 1) << 4;
            x[i] = scale0 * (float)low - min0;
            x[i + 32] = scale1 * (float)upper - min1;
        }
    }
}

/*
 * q6_k     0                128           192               208 210
 *          | 2 x 64 bytes l | 2 x 32 h    | 16 signed scales | d |
 *   half n holds x[128n..128n+127], as four runs of 32, run k = 0..3:
 *   low bits: l[i] & 15 (k=0), l[i+32] & 15 (k=1), l[i] >> 4 (k=2), l[i+32] >> 4 (k=3); high two: h[i] >> 2k
 *   x = d * scale * (q - 32), one scale for 16 numbers
 */
static void q6_k_block(float *restrict out, const unsigned char *restrict block)
{
    float d = load_half(block + 208);
    for (size_t n = 0; n < 2; n++) {
        const unsigned char *l = block + 64 * n, *h = block + 128 + 32 * n, *scales = block + 192 + 8 * n;
        for (size_t run = 0; run < 8; run++) { /* 16 numbers, half a run of 32 */
            const size_t k = run / 2;
            const int low_shift = (int)k / 2 * 4, high_shift = 2 * (int)k;
            const unsigned char *low = l + 32 * (k & 1) + 16 * (run & 1), *high = h + 16 * (run & 1);
            float *x = out + 128 * n + 16 * run, scale = d * (float)(int8_t)scales[run];
            for (int i = 0; i < 16; i++) {
                int q = (low[i] >> low_shift & 15) | (high[i] >> high_shift & 3) << 4;
                x[i] = scale * (float)(q - 32);
            }
        }
    }
}

static inline void quant_to_f32(float *restrict out, enum dtype type, const void *restrict in, size_t count)
{
    const struct dtype_info *t = dtype_info(type);
    const unsigned char *bytes = in;
    assert(count % t->block_elements == 0);
    switch (type) {
    case DTYPE_F32:
        if (count)
            memcpy(out, in, count * sizeof *out);
        return;
    case DTYPE_F16:
        f16_to_f32(out, bytes, count);
        return;
    case DTYPE_BF16:
        bf16_to_f32(out, bytes, count);
        return;
#define BLOCKS(code, block)                                                                                  \
    case DTYPE_##code:                                                                                       \
        for (size_t i = 0; i < count / t->block_elements; i++)                                               \
            block(out + i * t->block_elements, bytes + i * t->block_bytes);                                  \
        return;
        BLOCKS(Q8_0, q8_0_block)
        BLOCKS(Q4_0, q4_0_block)
        BLOCKS(Q4_1, q4_1_block)
        BLOCKS(Q5_0, q5_0_block)
        BLOCKS(Q5_1, q5_1_block)
        BLOCKS(Q4_K, q4_k_block)
        BLOCKS(Q5_K, q5_k_block)
        BLOCKS(Q6_K, q6_k_block)
#undef BLOCKS
    case DTYPE_COUNT:
        break;
    }
    assert(false && "a type of dtype.def");
}

#endif
