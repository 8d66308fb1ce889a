#include "math/dtype.h"

#include <string.h>

static const struct dtype_info table[DTYPE_COUNT] = {
#define DTYPE(code, name, safetensors, ggml, elements, bytes) {name, safetensors, ggml, elements, bytes},
#include "math/dtype.def"
#undef DTYPE
};

const struct dtype_info *dtype_info(enum dtype type)
{
    return &table[type];
}

enum dtype dtype_from_safetensors(const char *name)
{
    int i = 0;
    while (i < DTYPE_COUNT && (!table[i].safetensors || strcmp(table[i].safetensors, name) != 0))
        i++;
    return (enum dtype)i;
}

enum dtype dtype_from_ggml(uint32_t number)
{
    int i = 0;
    while (i < DTYPE_COUNT && (table[i].ggml < 0 || (uint32_t)table[i].ggml != number))
        i++;
    return (enum dtype)i;
}

const char *dtype_ggml_name(uint32_t number)
{
    enum dtype type = dtype_from_ggml(number);
    if (type != DTYPE_COUNT)
        return table[type].name;
    static const char *const others[] = {
        [9] = "q8_1",     [10] = "q2_k",  [11] = "q3_k",   [15] = "q8_k",  [16] = "iq2_xxs", [17] = "iq2_xs",
        [18] = "iq3_xxs", [19] = "iq1_s", [20] = "iq4_nl", [21] = "iq3_s", [22] = "iq2_s",   [23] = "iq4_xs",
        [24] = "i8",      [25] = "i16",   [26] = "i32",    [27] = "i64",   [28] = "f64",     [29] = "iq1_m",
        [34] = "tq1_0",   [35] = "tq2_0", [39] = "mxfp4",  [40] = "nvfp4", [41] = "q1_0",
    };
    if (number < sizeof others / sizeof others[0] && others[number])
        return others[number];
    return "?";
}

enum err_code dtype_bytes(size_t *bytes, enum dtype type, uint64_t elements, struct err *e)
{
    const struct dtype_info *t = &table[type];
    if (elements % t->block_elements != 0)
        return err_set(e, ERR_FORMAT, "%llu elements do not fill whole blocks of %zu, as type %s needs",
                       (unsigned long long)elements, t->block_elements, t->name);
    if (__builtin_mul_overflow(elements / t->block_elements, t->block_bytes, bytes))
        return err_set(e, ERR_FORMAT, "%llu elements of type %s: the size in bytes overflows",
                       (unsigned long long)elements, t->name);
    return ERR_OK;
}

uint16_t dtype_f32_to_f16(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    uint32_t magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000) /* NaN: quiet, its upper fraction bits kept */
        return (uint16_t)(sign | 0x7e00 | (magnitude >> 13 & 0x3ff));
    if (magnitude >= 0x477ff000) /* rounds to 65536 or more, or is infinite */
        return sign | 0x7c00;
    if (magnitude >= 0x38800000) { /* normal half */
        uint32_t odd = magnitude >> 13 & 1;
        return (uint16_t)(sign | (magnitude - 0x38000000 + 0xfff + odd) >> 13);
    }
    /* Subnormal half, in steps of 2^-24: adding 0.5, whose last fraction bit is 2^-24, makes the hardware
     * round. */
    float sum = 0.5f;
    float small;
    memcpy(&small, &magnitude, sizeof small);
    sum += small;
    uint32_t rounded;
    memcpy(&rounded, &sum, sizeof rounded);
    return (uint16_t)(sign | (rounded - 0x3f000000));
}

/* Rounds to odd: a number that f32 does not have becomes the neighbour whose last bit is 1. It is then on the same side
 * of every tie of a narrower type, so that rounding it once more gives what rounding `x` once would give. */
static float round_to_odd(double x)
{
    float nearest = (float)x;
    uint32_t bits;
    if (x != x || (double)nearest == x)
        return nearest;
    memcpy(&bits, &nearest, sizeof bits);
    bits -= nearest < 0 ? (double)nearest < x : (double)nearest > x;
    bits |= 1;
    memcpy(&nearest, &bits, sizeof nearest);
    return nearest;
}

void dtype_from_f64(void *out, enum dtype type, const double *in, size_t count)
{
    float *wide = out;
    uint16_t *narrow = out;
    for (size_t i = 0; i < count; i++) {
        const float odd = round_to_odd(in[i]);
        if (type == DTYPE_F32)
            wide[i] = (float)in[i];
        else
            narrow[i] = type == DTYPE_F16 ? dtype_f32_to_f16(odd) : dtype_f32_to_bf16(odd);
    }
}
