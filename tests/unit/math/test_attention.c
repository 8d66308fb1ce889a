#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "attention_fixture.h"

static const uint32_t mixed[] = {0, 1, 1, 4, 21, 84, 148, 213, 214, 344};
enum { MIXED = sizeof mixed / sizeof *mixed - 1 };

/* More than one tile of keys (700), more than two segments (1130), the ends of neither filled. */
static const uint32_t lengthy[] = {0, 63, 763, 763, 1893, 1958};
enum { LENGTHY = sizeof lengthy / sizeof *lengthy - 1 };

static void test_matches_reference(void **state)
{
    (void)state;
    static const size_t shapes[][3] = {{1, 1, 2},   {4, 4, 16}, {6, 2, 10}, {9, 3, 64},
                                       {10, 1, 32}, {4, 1, 80}, {2, 1, 128}};
    for (int isa = CPU_PORTABLE; isa <= (int)cpu_isa_best(); isa++)
        FOR_EACH_TYPE(type) for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        {
            struct fixture f;
            fixture_init(&f, *type, shapes[i][0], shapes[i][1], shapes[i][2], mixed, MIXED);
            f.shape.kern = kern_for((enum cpu_isa)isa);
            check_against_reference(&f);
            fixture_release(&f);
        }
}

/* By way of the tiles' own plain kernels, which a processor of any kind can run. */
static void test_plain_tiles_match_reference(void **state)
{
    (void)state;
    static const uint32_t offsets[] = {0, 1, 66, 166};
    FOR_EACH_TYPE(type)
    {
        struct fixture f;
        fixture_init(&f, *type, 3, 1, 32, offsets, 3);
        f.shape.kern = &kern_reference;
        check_against_reference(&f);
        fixture_release(&f);
    }
}

static void test_long_examples_match_reference(void **state)
{
    (void)state;
    static const size_t shapes[][3] = {{3, 1, 16}, {8, 1, 8}, {2, 2, 12}};
    FOR_EACH_TYPE(type) for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
    {
        struct fixture f;
        fixture_init(&f, *type, shapes[i][0], shapes[i][1], shapes[i][2], lengthy, LENGTHY);
        check_against_reference(&f);
        fixture_release(&f);
    }
}

/* The same of heads that the kernels of tiles take. */
static void test_long_example_of_wide_heads_matches_reference(void **state)
{
    (void)state;
    static const uint32_t offsets[] = {0, 3, 563};
    FOR_EACH_TYPE(type)
    {
        struct fixture f;
        fixture_init(&f, *type, 3, 1, 32, offsets, 2);
        check_against_reference(&f);
        fixture_release(&f);
    }
}

/* Windows on both sides of the sizes of blocks (64), of a part's queries and of tiles (512); 2,000 bites nowhere. */
static const size_t windows[] = {1, 2, 15, 63, 64, 65, 100, 448, 512, 513, 700, 2000};
enum { WINDOWS = sizeof windows / sizeof *windows };

/* With a window of 70, queries 576 to 639 are a block of which only the first six see keys of the first segment. */
static const uint32_t two_segments[] = {0, 640};

static void check_limited(enum dtype type, const struct kern *kern, const size_t shape[3],
                          const uint32_t *offsets, size_t examples, size_t window, float cap)
{
    struct fixture f;
    fixture_init(&f, type, shape[0], shape[1], shape[2], offsets, examples);
    f.shape.kern = kern;
    f.shape.window = window;
    f.shape.cap = cap;
    check_against_reference(&f);
    fixture_release(&f);
}

static void test_windows_match_reference(void **state)
{
    (void)state;
    static const uint32_t long_enough[] = {0, 5, 565};
    static const size_t narrow[] = {2, 1, 4}, wide[] = {3, 1, 32};
    FOR_EACH_TYPE(type)
    {
        for (size_t i = 0; i < WINDOWS; i++)
            check_limited(*type, NULL, narrow, long_enough, 2, windows[i], 0);
        check_limited(*type, NULL, narrow, lengthy, LENGTHY, 100, 0);
        check_limited(*type, NULL, narrow, lengthy, LENGTHY, 600, 0);
        check_limited(*type, NULL, wide, mixed, MIXED, 50, 0); /* by the processor's own kernels of tiles */
        check_limited(*type, NULL, wide, mixed, MIXED, 70, 0);
        check_limited(*type, NULL, wide, two_segments, 1, 70, 0);
    }
}

/* By way of the tiles' own plain kernels. */
static void test_windows_of_plain_tiles_match_reference(void **state)
{
    (void)state;
    static const uint32_t offsets[] = {0, 1, 66, 166}, long_enough[] = {0, 540};
    static const size_t shape[] = {3, 1, 32};
    FOR_EACH_TYPE(type)
    {
        for (size_t i = 0; windows[i] < 166; i++)
            check_limited(*type, &kern_reference, shape, offsets, 3, windows[i], 0);
        check_limited(*type, &kern_reference, shape, long_enough, 1, 513, 0);
        check_limited(*type, &kern_reference, shape, two_segments, 1, 70, 0);
    }
}

/* Scores of up to some tens: a cap of 2 bends most of them, one of 50 hardly any. */
static void test_caps_match_reference(void **state)
{
    (void)state;
    static const size_t shape[] = {4, 2, 32};
    static const float caps[] = {2, 50};
    FOR_EACH_TYPE(type) for (size_t i = 0; i < 4; i++)
    {
        size_t window = i / 2 * 70;
        for (int isa = CPU_PORTABLE; isa <= (int)cpu_isa_best(); isa++)
            check_limited(*type, kern_for((enum cpu_isa)isa), shape, mixed, MIXED, window, caps[i % 2]);
        check_limited(*type, &kern_reference, shape, mixed, MIXED, window, caps[i % 2]);
    }
}

static void test_single_token_copies_value(void **state)
{
    (void)state;
    static const uint32_t offsets[] = {0, 1};
    struct fixture f;
    fixture_init(&f, DTYPE_F32, 4, 2, 8, offsets, 1);
    run(&f);
    for (size_t head = 0; head < 4; head++)
        assert_memory_equal(f.out + head * 8, f.qkv + (4 + 2 + head / 2) * 8, 8 * sizeof(float));
    for (size_t i = 0; i < (4 + 2) * 8; i++) /* softmax of one score does not depend on q and k */
        assert_true(fabsf(f.dqkv[i]) < 1e-6F);
    fixture_release(&f);
}

static void test_gradient_by_differences(void **state)
{
    (void)state;
    check_gradient_by_differences(0, 0, NULL);
    check_gradient_by_differences(4, 0, NULL);
    check_gradient_by_differences(0, 1, NULL);
}

static void test_threads_do_not_matter(void **state)
{
    (void)state;
    FOR_EACH_TYPE(type)
    {
        check_threads(*type, mixed, NULL, MIXED, 0);
        if (*type == DTYPE_BF16 && bf16_is_plain())
            continue;
        check_threads(*type, lengthy, NULL, LENGTHY, 0);
        check_threads(*type, lengthy, NULL, LENGTHY, 200);
    }
}

/* Each example of a pack alone, at another address and in another place: the same bits. */
static void check_examples_alone(enum dtype type, const uint32_t *all, size_t examples, size_t window)
{
    struct fixture pack;
    fixture_init(&pack, type, 6, 2, 64, all, examples);
    pack.shape.window = window;
    run(&pack);
    for (size_t e = 0; e < examples; e++) {
        uint32_t offsets[] = {0, all[e + 1] - all[e]};
        if (offsets[1] == 0)
            continue;
        struct fixture alone;
        fixture_init(&alone, type, 6, 2, 64, offsets, 1);
        alone.shape.window = window;
        memcpy(alone.qkv, pack.qkv + all[e] * pack.ld, alone.n * alone.ld * sizeof(float));
        memcpy(alone.dout, pack.dout + all[e] * pack.width, alone.n * alone.width * sizeof(float));
        run(&alone);
        assert_memory_equal(alone.out, pack.out + all[e] * pack.width, alone.n * alone.width * sizeof(float));
        assert_memory_equal(alone.dqkv, pack.dqkv + all[e] * pack.ld, alone.n * alone.ld * sizeof(float));
        for (size_t head = 0; head < 6; head++)
            assert_memory_equal(alone.lse + head * alone.n, pack.lse + head * pack.n + all[e],
                                alone.n * sizeof(float));
        fixture_release(&alone);
    }
    fixture_release(&pack);
}

static void test_pack_equals_examples_alone(void **state)
{
    (void)state;
    FOR_EACH_TYPE(type)
    {
        check_examples_alone(*type, mixed, MIXED, 0);
        if (*type == DTYPE_F32 || !bf16_is_plain())
            check_examples_alone(*type, lengthy, LENGTHY, 0);
        check_examples_alone(*type, lengthy, LENGTHY, 200);
    }
}

static void test_pack_of_nothing(void **state)
{
    (void)state;
    static const uint32_t offsets[] = {0, 0, 0};
    struct fixture f;
    fixture_init(&f, DTYPE_BF16, 2, 1, 16, offsets, 2);
    run(&f);
    fixture_release(&f);
}

static void test_extreme_scores(void **state)
{
    (void)state;
    static const uint32_t offsets[] = {0, 70};
    struct fixture f;
    fixture_init(&f, DTYPE_F32, 2, 1, 16, offsets, 1);
    for (size_t i = 0; i < f.n * f.ld; i++)
        f.qkv[i] *= 100; /* scores of about +-1e4 * 4 */
    run(&f);
    float *out = numbers_copy(f.out, f.n * f.width), *lse = numbers_copy(f.lse, f.n * 2);
    attention_forward_reference(out, lse, f.qkv, f.ld, &f.shape);
    assert_true(numbers_distance(f.lse, lse, f.n * 2) < 1e-5);
    assert_true(numbers_distance(f.out, out, f.n * f.width) < 1e-2);
    assert_int_equal(kern_first_nonfinite(f.dqkv, f.n * f.ld), f.n * f.ld);
    free(out);
    free(lse);
    fixture_release(&f);
}

/* An example full of NaN between two others: those keep their bits. */
static void check_nan_stays_in_its_example_and_shows(size_t head_dim)
{
    enum { LENGTH = 70, WHOLE = 3 * LENGTH };
    static const uint32_t offsets[] = {0, LENGTH, 2 * LENGTH, WHOLE};
    FOR_EACH_TYPE(type)
    {
        struct fixture clean, f;
        fixture_init(&clean, *type, 4, 2, head_dim, offsets, 3);
        fixture_init(&f, *type, 4, 2, head_dim, offsets, 3);
        run(&clean);
        for (size_t i = LENGTH * f.ld; i < 2 * LENGTH * f.ld; i++)
            f.qkv[i] = NAN;
        run(&f);
        for (size_t token = 0; token < WHOLE; token++) {
            float *out = f.out + token * f.width, *dqkv = f.dqkv + token * f.ld;
            if (token / LENGTH == 1) {
                assert_int_equal(kern_first_nonfinite(out, f.width), 0);
                assert_int_equal(kern_first_nonfinite(dqkv, f.ld), 0);
                continue;
            }
            assert_memory_equal(out, clean.out + token * f.width, f.width * sizeof(float));
            assert_memory_equal(dqkv, clean.dqkv + token * f.ld, f.ld * sizeof(float));
        }
        fixture_release(&clean);
        fixture_release(&f);
    }
}

static void test_nan_stays_in_its_example_and_shows(void **state)
{
    (void)state;
    check_nan_stays_in_its_example_and_shows(8);
    check_nan_stays_in_its_example_and_shows(64);
}

/* One NaN, in a key: all queries that see it show it. */
static void check_one_nan_shows(size_t head_dim)
{
    static const uint32_t offsets[] = {0, 70};
    FOR_EACH_TYPE(type)
    {
        struct fixture f;
        fixture_init(&f, *type, 2, 2, head_dim, offsets, 1);
        f.qkv[5 * f.ld + 2 * head_dim + 3] = NAN;
        run(&f);
        for (size_t token = 5; token < f.n; token++)
            assert_true(isnan(f.out[token * f.width]));
        assert_true(isnan(f.dqkv[69 * f.ld]));
        fixture_release(&f);
    }
}

static void test_one_nan_shows(void **state)
{
    (void)state;
    check_one_nan_shows(8);
    check_one_nan_shows(64);
}

/* Decoding position by position must give the rows of the whole forward. */
static void check_decode_matches_forward(size_t window, float cap)
{
    enum { N = 150, CAPACITY = 160, HD = 64 };
    static const uint32_t offsets[] = {0, N};
    for (int isa = CPU_PORTABLE; isa <= (int)cpu_isa_best(); isa++) {
        struct fixture f;
        fixture_init(&f, DTYPE_F32, 6, 2, HD, offsets, 1);
        f.shape.kern = kern_for((enum cpu_isa)isa);
        f.shape.window = window;
        f.shape.cap = cap;
        run(&f);
        float *keys = numbers_new(2 * CAPACITY * HD, NAN, 1),
              *values = numbers_new(2 * CAPACITY * HD, NAN, 1);
        for (size_t token = 0; token < N; token++) {
            const float *row = f.qkv + token * f.ld;
            for (size_t head = 0; head < 2; head++) {
                size_t at = (head * CAPACITY + token) * HD;
                memcpy(keys + at, row + (6 + head) * HD, HD * sizeof(float));
                memcpy(values + at, row + (8 + head) * HD, HD * sizeof(float));
            }
            float out[6 * HD];
            attention_decode(out, row, keys, values, token + 1, CAPACITY, &f.shape);
            assert_true(numbers_distance(out, f.out + token * f.width, 6 * HD) < 1e-5);
        }
        free(keys);
        free(values);
        fixture_release(&f);
    }
}

static void test_decode_matches_forward(void **state)
{
    (void)state;
    check_decode_matches_forward(0, 0);
    check_decode_matches_forward(40, 0);
    check_decode_matches_forward(0, 3);
}

static void test_scratch_is_linear(void **state)
{
    (void)state;
    FOR_EACH_TYPE(type)
    {
        struct attention_shape s = {.type = *type, .heads = 9, .kv_heads = 3, .head_dim = 64};
        for (size_t share = 0; share < 2; share++) { /* of the tokens that are a prefix */
            size_t base = attention_scratch_bytes(&s, 1024, share * 1024, 1024, 2),
                   twice = attention_scratch_bytes(&s, 2048, share * 2048, 2048, 2),
                   large = attention_scratch_bytes(&s, 32768, share * 32768, 32768, 2);
            assert_true(twice <= 2 * base && large <= 32 * base);
            assert_true(large < (size_t)32768 * (share ? 25000 : 10000));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matches_reference),
        cmocka_unit_test(test_plain_tiles_match_reference),
        cmocka_unit_test(test_long_examples_match_reference),
        cmocka_unit_test(test_long_example_of_wide_heads_matches_reference),
        cmocka_unit_test(test_windows_match_reference),
        cmocka_unit_test(test_windows_of_plain_tiles_match_reference),
        cmocka_unit_test(test_caps_match_reference),
        cmocka_unit_test(test_single_token_copies_value),
        cmocka_unit_test(test_gradient_by_differences),
        cmocka_unit_test(test_threads_do_not_matter),
        cmocka_unit_test(test_pack_equals_examples_alone),
        cmocka_unit_test(test_pack_of_nothing),
        cmocka_unit_test(test_extreme_scores),
        cmocka_unit_test(test_nan_stays_in_its_example_and_shows),
        cmocka_unit_test(test_one_nan_shows),
        cmocka_unit_test(test_decode_matches_forward),
        cmocka_unit_test(test_scratch_is_linear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
