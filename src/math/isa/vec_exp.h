/*
 * exp and tanh for loops that the compiler vectorises: no calls, no branches, no tables.
 */
#ifndef MPILORA_MATH_ISA_VEC_EXP_H
#define MPILORA_MATH_ISA_VEC_EXP_H

#include <stdint.h>

#define LOG2_E 0x1.715476p+0F

union vec_word {
    float f;
    uint32_t u;
};

/*
 * e^x within 1.1 ulp over all floats; 0 below and +inf above the range, denormals in between, NaN for NaN.
 * x = n ln 2 + r with |r| <= ln 2 / 2; e^r = 1 + r + r^2 q(r), q of degree 4 fitted for the least relative
 * error (3e-9). 2^n is multiplied in as two factors, since n runs from -150 to 128.
 */
static inline __attribute__((always_inline)) float vec_exp(float x)
{
    const float ln2_high = 0x1.62e400p-1F, ln2_low = 0x1.7f7d1cp-20F;
    const float to_integer = 0x1.8p+23F; /* adding this rounds to an integer, kept in the low bits */
    x = x > 89.0F ? 89.0F : x;           /* both comparisons let NaN through */
    x = x < -104.0F ? -104.0F : x;
    union vec_word shifted = {.f = x * LOG2_E + to_integer};
    float whole = shifted.f - to_integer;
    float r = x - whole * ln2_high;
    r = r - whole * ln2_low;
    float q = 0x1.6a2256p-10F;
    q = q * r + 0x1.123b02p-7F;
    q = q * r + 0x1.5558f8p-5F;
    q = q * r + 0x1.555490p-3F;
    q = q * r + 0x1.fffffcp-2F;
    float e = (q * r) * r + r + 1.0F;
    int32_t n = (int32_t)(shifted.u - 0x4B400000U);
    int32_t half = n >> 1;
    union vec_word low = {.u = (uint32_t)(half + 127) << 23}, high = {.u = (uint32_t)(n - half + 127) << 23};
    return e * low.f * high.f;
}

/*
 * 2^x within 2.2 ulp for x in [-126, 127], 0 below, NaN for NaN; above 127 the result is meaningless. It is meant
 * for softmax, whose exponents are at most 0: with only one limit to check it takes half the time of vec_exp. x = n
 * + f with |f| <= 1/2; 2^f = 1 + f q(f), q of degree 4 fitted for the least relative error (1e-7), the coefficient
 * of the highest power first.
 */
static const float vec_exp2_to_integer = 0x1.8000fep+23F; /* rounds as above, and adds the exponent's bias */
static const float vec_exp2_q[5] = {0x1.5bda7ap-10F, 0x1.3ce8b0p-7F, 0x1.c6b6d8p-5F, 0x1.ebf9c2p-3F,
                                    0x1.62e42ap-1F};
static const float vec_exp2_least = -126.0F;

static inline __attribute__((always_inline)) float vec_exp2(float x)
{
    union vec_word shifted = {.f = x + vec_exp2_to_integer};
    float f = x - (shifted.f - vec_exp2_to_integer);
    float q = vec_exp2_q[0];
    q = q * f + vec_exp2_q[1];
    q = q * f + vec_exp2_q[2];
    q = q * f + vec_exp2_q[3];
    q = q * f + vec_exp2_q[4];
    union vec_word power = {.u = shifted.u << 23};
    float e = (q * f + 1.0F) * power.f;
    return x < vec_exp2_least ? 0.0F : e;
}

/*
 * tanh x within 1.3 ulp over all floats, NaN for NaN. Near 0, where 1 - 2 / (e^2x + 1) would cancel, x + x^3 p(x^2)
 * with p of degree 4 (coefficients of Cephes' tanhf, S. L. Moshier).
 */
static inline __attribute__((always_inline)) float vec_tanh(float x)
{
    float a = x < 0 ? -x : x, z = x * x;
    float p = -5.70498872745e-3F;
    p = p * z + 2.06390887954e-2F;
    p = p * z - 5.37397155531e-2F;
    p = p * z + 1.33314422036e-1F;
    p = p * z - 3.33332819422e-1F;
    float near = p * z * x + x;
    float far = 1.0F - 2.0F / (vec_exp(2.0F * a) + 1.0F);
    far = x < 0 ? -far : far;
    return a < 0.625F ? near : far;
}

/*
 * The distribution function of the normal distribution, (1 + erf(x / sqrt 2)) / 2, within 2e-7 of its value wherever
 * that is above 1e-37. By the Chebyshev fit to erfc of Press et al., Numerical Recipes, section 6.2.
 */
static inline __attribute__((always_inline)) float vec_normal(float x)
{
    float z = (x < 0 ? -x : x) * 0x1.6a09e6p-1F;
    float t = 1.0F / (1.0F + 0.5F * z);
    float p = 0.17087277F;
    p = p * t - 0.82215223F;
    p = p * t + 1.48851587F;
    p = p * t - 1.13520398F;
    p = p * t + 0.27886807F;
    p = p * t - 0.18628806F;
    p = p * t + 0.09678418F;
    p = p * t + 0.37409196F;
    p = p * t + 1.00002368F;
    float tail = 0.5F * t * vec_exp(p * t - 1.26551223F - z * z);
    return x < 0 ? tail : 1.0F - tail;
}

#endif
