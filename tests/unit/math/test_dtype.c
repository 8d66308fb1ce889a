#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <math.h>
#include <cmocka.h>

#include "base/file.h"
#include "math/dtype.h"

static uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static void test_table_is_consistent(void **state)
{
    (void)state;
    for (int i = 0; i < DTYPE_COUNT; i++) {
        const struct dtype_info *t = dtype_info((enum dtype)i);
        assert_non_null(t->name);
        assert_true(t->block_elements >= 1 && t->block_bytes >= 2);
        assert_int_equal(dtype_from_ggml((uint32_t)t->ggml), i);
        assert_string_equal(dtype_ggml_name((uint32_t)t->ggml), t->name);
        if (t->safetensors)
            assert_int_equal(dtype_from_safetensors(t->safetensors), i);
    }
    assert_int_equal(dtype_from_ggml(16), DTYPE_COUNT);
    assert_int_equal(dtype_from_ggml(UINT32_MAX), DTYPE_COUNT);
    assert_int_equal(dtype_from_safetensors("I64"), DTYPE_COUNT);
    assert_int_equal(dtype_from_safetensors(""), DTYPE_COUNT);
    assert_string_equal(dtype_ggml_name(16), "iq2_xxs");
    assert_string_equal(dtype_ggml_name(4), "?");
    assert_string_equal(dtype_ggml_name(UINT32_MAX), "?");
}

static void test_bytes(void **state)
{
    (void)state;
    struct err e = {0};
    size_t bytes;
    assert_int_equal(dtype_bytes(&bytes, DTYPE_F32, 7, &e), ERR_OK);
    assert_int_equal(bytes, 28);
    assert_int_equal(dtype_bytes(&bytes, DTYPE_Q6_K, 512, &e), ERR_OK);
    assert_int_equal(bytes, 420);
    assert_int_equal(dtype_bytes(&bytes, DTYPE_Q4_1, 0, &e), ERR_OK);
    assert_int_equal(bytes, 0);
    assert_int_equal(dtype_bytes(&bytes, DTYPE_Q4_1, 33, &e), ERR_FORMAT);
    assert_non_null(strstr(e.message, "q4_1"));
    assert_int_equal(dtype_bytes(&bytes, DTYPE_F32, UINT64_MAX / 4 + 1, &e), ERR_FORMAT);
    assert_int_equal(dtype_bytes(&bytes, DTYPE_F32, UINT64_MAX / 4, &e), ERR_OK);
}

/* The value of a half by its definition, in double. */
static double half_value(uint16_t bits)
{
    int exponent = bits >> 10 & 31, fraction = bits & 1023;
    double magnitude = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
    return bits & 0x8000 ? -magnitude : magnitude;
}

static void test_every_half(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits < 65536; bits++) {
        float x = dtype_f16_to_f32((uint16_t)bits);
        if ((bits & 0x7c00) == 0x7c00 && (bits & 1023)) {
            assert_true(isnan(x));
            assert_true(isnan(dtype_f16_to_f32(dtype_f32_to_f16(x))));
            continue;
        }
        if ((bits & 0x7fff) == 0x7c00)
            assert_true(isinf(x) && !signbit(x) == !(bits & 0x8000));
        else
            assert_true(bits_of(x) == bits_of((float)half_value((uint16_t)bits)));
        assert_int_equal(dtype_f32_to_f16(x), bits);
    }
}

/* Between neighbours: just below, at and just above the midpoint, over all finite halves. */
static void test_half_rounds_to_nearest_even(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits < 0x7c00; bits++) {
        double next = bits == 0x7bff ? 65536.0 : half_value((uint16_t)(bits + 1));
        float middle = (float)((half_value((uint16_t)bits) + next) / 2);
        uint16_t even = (uint16_t)(bits + (bits & 1));
        assert_int_equal(dtype_f32_to_f16(middle), even);
        assert_int_equal(dtype_f32_to_f16(nextafterf(middle, 0)), bits);
        assert_int_equal(dtype_f32_to_f16(nextafterf(middle, INFINITY)), bits + 1);
        assert_int_equal(dtype_f32_to_f16(-middle), even | 0x8000);
    }
    assert_int_equal(dtype_f32_to_f16(1e30f), 0x7c00);
    assert_int_equal(dtype_f32_to_f16(1e-30f), 0);
}

static void test_bf16(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits < 65536; bits++) {
        float x = dtype_bf16_to_f32((uint16_t)bits);
        assert_true(bits_of(x) == bits << 16 || isnan(x));
        if (isnan(x))
            assert_true(isnan(dtype_bf16_to_f32(dtype_f32_to_bf16(x))));
        else
            assert_int_equal(dtype_f32_to_bf16(x), bits);
    }
    assert_int_equal(dtype_f32_to_bf16(1.00390625f), 0x3f80); /* 1 + 2^-8: a tie, to even */
    assert_int_equal(dtype_f32_to_bf16(1.01171875f), 0x3f82); /* 1 + 3 * 2^-8: a tie, to even */
    assert_int_equal(dtype_f32_to_bf16(nextafterf(1.00390625f, 2)), 0x3f81);
    assert_int_equal(dtype_f32_to_bf16(3.4028235e38f), 0x7f80); /* rounds to infinity */
    uint32_t nan_bits = 0x7f800001;
    float nan;
    memcpy(&nan, &nan_bits, sizeof nan);
    assert_true(isnan(dtype_bf16_to_f32(dtype_f32_to_bf16(nan))));
}

/* Values of random blocks of each type against those of the gguf package. */
static void test_golden_blocks(void **state)
{
    (void)state;
    struct err e = {0};
    struct file_map map;
    char path[4096];
    snprintf(path, sizeof path, "%s/quant.bin", getenv("GOLDEN"));
    assert_int_equal(file_map_open(&map, path, &e), ERR_OK);
    int types = 0;
    for (size_t at = 0; at < map.size; types++) {
        uint32_t head[4];
        assert_true(map.size - at >= sizeof head);
        memcpy(head, map.data + at, sizeof head);
        enum dtype type = dtype_from_ggml(head[0]);
        assert_true(type < DTYPE_COUNT);
        assert_int_equal(dtype_info(type)->block_bytes, head[2]);
        assert_int_equal(dtype_info(type)->block_elements, head[3]);
        size_t blocks = (size_t)head[1] * head[2], count = (size_t)head[1] * head[3];
        assert_true(map.size - at >= sizeof head + blocks + count * sizeof(float));
        const unsigned char *in = map.data + at + sizeof head;
        float *want = malloc(count * sizeof *want), *got = malloc(count * sizeof *got);
        assert_true(want && got);
        memcpy(want, in + blocks, count * sizeof *want);
        unsigned char *odd = malloc(blocks + 1); /* files promise no alignment */
        assert_non_null(odd);
        memcpy(odd + 1, in, blocks);
        dtype_to_f32(got, type, odd + 1, count);
        for (size_t i = 0; i < count; i++) /* the slack is for compilers that fuse d * q + m */
            if (!(got[i] == want[i] || fabsf(got[i] - want[i]) <= 1e-6f * fmaxf(fabsf(want[i]), 0.1f)))
                fail_msg("%s: number %zu is %.9g, not %.9g", dtype_info(type)->name, i, got[i], want[i]);
        free(odd);
        free(got);
        free(want);
        at += sizeof head + blocks + count * sizeof(float);
    }
    assert_int_equal(types, DTYPE_COUNT - 1); /* all but f32 */
    file_map_close(&map);
}

static void test_f32_is_copied(void **state)
{
    (void)state;
    unsigned char bytes[13];
    float in[3] = {1.5f, -0.0f, INFINITY}, out[3];
    memcpy(bytes + 1, in, sizeof in);
    dtype_to_f32(out, DTYPE_F32, bytes + 1, 3);
    assert_memory_equal(out, in, sizeof in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_is_consistent),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_every_half),
        cmocka_unit_test(test_half_rounds_to_nearest_even),
        cmocka_unit_test(test_bf16),
        cmocka_unit_test(test_golden_blocks),
        cmocka_unit_test(test_f32_is_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
