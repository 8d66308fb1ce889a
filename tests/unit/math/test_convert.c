/* Conversion to f32 and bf16 on each instruction set, against the plain code, bit by bit. */
#include "math/convert.h"

#include <math.h>
#include <stdlib.h>

#include "base/cpu.h"
#include "base/rng.h"
#include "math/expand.h"
#include "unit.h"

enum { ROWS = 12, COLUMNS = 1280, COUNT = ROWS * COLUMNS };

/* Any bytes are numbers of some type; scales that are no numbers are made ones. */
static unsigned char *make_matrix(enum dtype type)
{
    size_t bytes;
    struct err e;
    assert_ok(dtype_bytes(&bytes, type, COUNT, &e), &e);
    unsigned char *data = malloc(bytes);
    float *values = malloc(COUNT * sizeof *values);
    const struct dtype_info *t = dtype_info(type);
    struct rng_key key = rng_key_make(7, RNG_SAMPLE, (uint64_t)type);
    for (size_t i = 0; i < bytes; i++)
        data[i] = (unsigned char)rng_word(key, i);
    for (bool finite = false; !finite;) {
        finite = true;
        dtype_to_f32(values, type, data, COUNT);
        for (size_t i = 0; i < COUNT; i++)
            if (!isfinite(values[i])) {
                memset(data + i / t->block_elements * t->block_bytes, 0, t->block_bytes);
                finite = false;
            }
    }
    free(values);
    return data;
}

static void every_instruction_set_has_the_plain_bits(void **state)
{
    (void)state;
    static float plain[COUNT], wide[COUNT];
    static uint16_t narrow[COUNT];
    for (int type = 0; type < DTYPE_COUNT; type++) {
        unsigned char *data = make_matrix((enum dtype)type);
        dtype_to_f32(plain, (enum dtype)type, data, COUNT);
        for (int isa = CPU_PORTABLE; isa <= (int)cpu_isa_best(); isa++) {
            const struct expand *x = expand_for((enum cpu_isa)isa);
            memset(wide, 1, sizeof wide);
            x->to_f32(wide, (enum dtype)type, data, COUNT);
            assert_memory_equal(wide, plain, sizeof plain);
            x->to_bf16(narrow, wide, COUNT);
            for (size_t i = 0; i < COUNT; i++)
                assert_int_equal(narrow[i], dtype_f32_to_bf16(plain[i]));
        }
        free(data);
    }
}

static void rounding_is_to_nearest_even_and_nan_stays(void **state)
{
    (void)state;
    static const uint32_t bits[][2] = {{0x3f808000, 0x3f80}, {0x3f818000, 0x3f82}, {0x3f808001, 0x3f81},
                                       {0x7f7fffff, 0x7f80}, {0x7f800001, 0x7fc0}, {0xffc12345, 0xffc1},
                                       {0x00008000, 0x0000}, {0x00018000, 0x0002}, {0xff800000, 0xff80}};
    for (int isa = CPU_PORTABLE; isa <= (int)cpu_isa_best(); isa++)
        for (size_t i = 0; i < sizeof bits / sizeof *bits; i++) {
            const struct expand *x = expand_for((enum cpu_isa)isa);
            float value[37];
            uint16_t out[37];
            for (int k = 0; k < 37; k++)
                memcpy(&value[k], &bits[i][0], sizeof *value);
            x->to_bf16(out, value, 37);
            for (int k = 0; k < 37; k++)
                assert_int_equal(out[k], bits[i][1]);
        }
}

static void what_is_not_finite_is_found_anywhere(void **state)
{
    (void)state;
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    float x[70] = {0};
    uint16_t y[70] = {0};
    for (int isa = CPU_PORTABLE; isa <= (int)cpu_isa_best(); isa++) {
        const struct expand *table = expand_for((enum cpu_isa)isa);
        x[3] = 3.4e38F;
        assert_true(table->finite_f32(x, 70) && table->finite_bf16(y, 70));
        assert_true(table->finite_f32(x, 0) && table->finite_bf16(y, 0));
        for (size_t i = 0; i < 210; i++) {
            x[i / 3] = bad[i % 3];
            y[i / 3] = dtype_f32_to_bf16(bad[i % 3]);
            assert_false(table->finite_f32(x, 70) || table->finite_bf16(y, 70));
            x[i / 3] = y[i / 3] = 0;
        }
    }
}

/* Both halves of each head come together again, whichever rows are asked for. */
static void rows_are_put_in_order(void **state)
{
    (void)state;
    static float plain[COUNT], all[COUNT], some[COUNT];
    static const enum dtype types[] = {DTYPE_F32, DTYPE_F16, DTYPE_BF16, DTYPE_Q8_0, DTYPE_Q6_K};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        unsigned char *data = make_matrix(types[i]);
        const struct convert_matrix in = {
            .type = types[i], .data = data, .rows = ROWS, .columns = COLUMNS, .interleaved_head = 6};
        static const size_t order[] = {0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11};
        dtype_to_f32(plain, types[i], data, COUNT);
        convert_all(all, DTYPE_F32, &in);
        for (size_t row = 0; row < ROWS; row++)
            assert_memory_equal(all + row * COLUMNS, plain + order[row] * COLUMNS, COLUMNS * sizeof *all);
        convert_rows(some, DTYPE_F32, &in, 5, 4);
        assert_memory_equal(some, all + (size_t)5 * COLUMNS, (size_t)4 * COLUMNS * sizeof *all);
        assert_int_equal(convert_rows_checked(some, DTYPE_F32, &in, 2, 3), 5);
        assert_memory_equal(some, all + (size_t)2 * COLUMNS, (size_t)3 * COLUMNS * sizeof *all);
        assert_false(convert_is_copy(DTYPE_F32, &in));
        free(data);
    }
}

static void heads_come_together(void **state)
{
    (void)state;
    static float plain[COUNT], all[COUNT];
    unsigned char *data = make_matrix(DTYPE_Q8_0);
    static const struct {
        struct convert_heads heads;
        size_t order[ROWS];
    } cases[] = {{{8, 2, 1}, {0, 1, 2, 3, 8, 10, 4, 5, 6, 7, 9, 11}},
                 {{2, 1, 3}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}},
                 {{2, 2, 2}, {0, 1, 4, 5, 8, 9, 2, 3, 6, 7, 10, 11}}};
    dtype_to_f32(plain, DTYPE_Q8_0, data, COUNT);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct convert_matrix in = {
            .type = DTYPE_Q8_0, .data = data, .rows = ROWS, .columns = COLUMNS, .sorted = cases[i].heads};
        convert_all(all, DTYPE_F32, &in);
        for (size_t row = 0; row < ROWS; row++)
            assert_memory_equal(all + row * COLUMNS, plain + cases[i].order[row] * COLUMNS, COLUMNS * sizeof *all);
        assert_false(convert_is_copy(DTYPE_Q8_0, &in));
    }
    free(data);
}

/* Columns of the data are rows, whichever are asked for, more of them than are worked on at once. */
static void transposed_data_are_turned(void **state)
{
    (void)state;
    static float plain[COUNT], all[COUNT], some[COUNT];
    static uint16_t narrow[COUNT];
    static const enum dtype types[] = {DTYPE_F32, DTYPE_F16, DTYPE_BF16};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        unsigned char *data = make_matrix(types[i]);
        const struct convert_matrix in = {
            .type = types[i], .data = data, .rows = COLUMNS, .columns = ROWS, .transposed = true};
        dtype_to_f32(plain, types[i], data, COUNT);
        convert_all(all, DTYPE_F32, &in);
        convert_all(narrow, DTYPE_BF16, &in);
        for (size_t k = 0; k < COUNT; k++) {
            assert_true(all[k] == plain[k % ROWS * COLUMNS + k / ROWS]);
            assert_int_equal(narrow[k], dtype_f32_to_bf16(all[k]));
        }
        convert_rows(some, DTYPE_F32, &in, 5, 1100);
        assert_memory_equal(some, all + (size_t)5 * ROWS, (size_t)1100 * ROWS * sizeof *all);
        assert_false(convert_is_copy(types[i], &in));
        free(data);
    }
    const struct convert_matrix in = {
        .type = DTYPE_F32, .data = plain, .rows = COLUMNS, .columns = ROWS, .transposed = true};
    plain[3 * COLUMNS + 1100] = plain[2 * COLUMNS + 1200] = NAN;
    assert_int_equal(convert_rows_checked(some, DTYPE_F32, &in, 0, COLUMNS), 1100);
    assert_int_equal(convert_rows_checked(NULL, DTYPE_F32, &in, 1101, 100), 1200);
    assert_int_equal(convert_rows_checked(NULL, DTYPE_BF16, &in, 5, 1000), 1005);
}

static void the_first_bad_row_is_told(void **state)
{
    (void)state;
    static float x[COUNT], out[COUNT];
    const struct convert_matrix in = {.type = DTYPE_F32, .data = x, .rows = ROWS, .columns = COLUMNS};
    assert_true(convert_is_copy(DTYPE_F32, &in) && !convert_is_copy(DTYPE_BF16, &in));
    x[7 * COLUMNS + COLUMNS - 1] = NAN;
    x[9 * COLUMNS] = INFINITY;
    for (int to = 0; to < 2; to++) {
        enum dtype type = to ? DTYPE_BF16 : DTYPE_F32;
        assert_int_equal(convert_rows_checked(out, type, &in, 0, ROWS), 7);
        assert_int_equal(convert_rows_checked(NULL, type, &in, 8, 4), 9);
        assert_int_equal(convert_rows_checked(NULL, type, &in, 0, 7), 7);
        assert_int_equal(convert_rows_checked(out, type, &in, 10, 2), 12);
    }
    x[7 * COLUMNS + COLUMNS - 1] = x[9 * COLUMNS] = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_instruction_set_has_the_plain_bits),
        cmocka_unit_test(rounding_is_to_nearest_even_and_nan_stays),
        cmocka_unit_test(what_is_not_finite_is_found_anywhere),
        cmocka_unit_test(rows_are_put_in_order),
        cmocka_unit_test(heads_come_together),
        cmocka_unit_test(transposed_data_are_turned),
        cmocka_unit_test(the_first_bad_row_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
