#include "unit.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/rng.h"

/* The known answers that the authors publish with Random123 (philox4x32, 10 rounds). */
static void philox_known_answers(void **state)
{
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], expected[4];
    } answers[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        uint32_t out[4];
        struct rng_key key = {{answers[i].key[0], answers[i].key[1]}};
        rng_block(out, key, answers[i].counter);
        assert_memory_equal(out, answers[i].expected, sizeof out);
    }
}

static void fnv_known_answers(void **state)
{
    (void)state;
    assert_true(rng_hash("") == UINT64_C(0xcbf29ce484222325));
    assert_true(rng_hash("a") == UINT64_C(0xaf63dc4c8601ec8c));
    assert_true(rng_hash("foobar") == UINT64_C(0x85944171f73967e8));
}

static void keys_differ_in_each_part(void **state)
{
    (void)state;
    struct rng_key keys[] = {rng_key_make(1, RNG_LORA_A, 5),
                             rng_key_make(2, RNG_LORA_A, 5),
                             rng_key_make(1, RNG_LORA_B, 5),
                             rng_key_make(1, RNG_LORA_A, 6),
                             rng_key_make(UINT64_C(1) << 40 | 1, RNG_LORA_A, 5),
                             rng_key_make(1, RNG_LORA_A, UINT64_C(1) << 40 | 5)};
    size_t count = sizeof keys / sizeof *keys;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < i; k++)
            assert_memory_not_equal(&keys[i], &keys[k], sizeof keys[i]);
    struct rng_key again = rng_key_make(1, RNG_LORA_A, 5);
    assert_memory_equal(&keys[0], &again, sizeof again);
}

static void uniform_is_uniform(void **state)
{
    (void)state;
    struct rng_key key = rng_key_make(7, RNG_DROPOUT, 0);
    enum { COUNT = 400000, BINS = 20 };
    int bins[BINS] = {0};
    for (uint64_t i = 0; i < COUNT; i++) {
        float u = rng_uniform(key, i);
        assert_true(u >= 0.0f && u < 1.0f);
        assert_true(u == (float)(rng_word(key, i) >> 8) / 16777216.0f);
        bins[(int)(u * BINS)]++;
    }
    double expected = (double)COUNT / BINS, chi = 0;
    for (int i = 0; i < BINS; i++)
        chi += (bins[i] - expected) * (bins[i] - expected) / expected;
    assert_true(chi < 43.8); /* 19 degrees of freedom, p = 0.001 */
    assert_true(rng_word(key, 5) !=
                rng_word(key, (UINT64_C(1) << 34) + 5)); /* high bits of the index count */
}

static void normal_numbers_do_not_depend_on_chunks(void **state)
{
    (void)state;
    struct rng_key key = rng_key_make(3, RNG_LORA_A, rng_hash("model.layers.0.self_attn.q_proj"));
    float whole[103], part[103];
    uint64_t start = (UINT64_C(1) << 33) + 2;
    rng_fill_normal(whole, key, start, 103);
    for (size_t step = 1; step < 12; step++) {
        memset(part, 0, sizeof part);
        for (size_t at = 0; at < 103; at += step)
            rng_fill_normal(part + at, key, start + at, step < 103 - at ? step : 103 - at);
        assert_memory_equal(whole, part, sizeof whole);
    }
}

static double normal_cdf(double x)
{
    return 0.5 * erfc(-x / sqrt(2));
}

static int compare_floats(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void normal_numbers_are_normal(void **state)
{
    (void)state;
    enum { COUNT = 200000 };
    float *x = malloc(COUNT * sizeof *x);
    assert_non_null(x);
    rng_fill_normal(x, rng_key_make(11, RNG_LORA_A, 1), 0, COUNT);
    double mean = 0, square = 0, neighbours = 0;
    for (size_t i = 0; i < COUNT; i++) {
        mean += x[i] / COUNT;
        square += (double)x[i] * x[i] / COUNT;
        neighbours += i ? (double)x[i] * x[i - 1] / COUNT : 0;
    }
    assert_true(fabs(mean) < 4 / sqrt(COUNT));
    assert_true(fabs(square - 1) < 4 * sqrt(2.0 / COUNT));
    assert_true(fabs(neighbours) < 4 / sqrt(COUNT)); /* also the two numbers of one pair */
    qsort(x, COUNT, sizeof *x, compare_floats);
    double distance = 0; /* Kolmogorov and Smirnov */
    for (size_t i = 0; i < COUNT; i++)
        distance = fmax(distance, fabs(normal_cdf(x[i]) - ((double)i + 0.5) / COUNT));
    assert_true(distance * sqrt(COUNT) < 1.95); /* p = 0.001 */
    free(x);
}

static void permutes_every_count(void **state)
{
    (void)state;
    static bool seen[5000];
    for (uint64_t count = 1; count <= 5000; count += count < 70 ? 1 : 493) {
        struct rng_key key = rng_key_make(count, RNG_SHUFFLE, 0);
        memset(seen, 0, sizeof seen);
        for (uint64_t i = 0; i < count; i++) {
            uint64_t value = rng_permute(key, i, count);
            assert_true(value < count);
            assert_false(seen[value]);
            seen[value] = true;
        }
    }
    uint64_t huge = UINT64_C(0xFFFFFFFFFFFFFFF0);
    struct rng_key key = rng_key_make(1, RNG_SHUFFLE, 0);
    assert_true(rng_permute(key, 0, huge) < huge && rng_permute(key, huge - 1, huge) < huge);
}

/* Over many seeds each element comes to each place about equally often. */
static void permutations_are_even(void **state)
{
    (void)state;
    enum { COUNT = 6, SEEDS = 12000 };
    int places[COUNT][COUNT] = {0}, followed[COUNT][COUNT] = {0};
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct rng_key key = rng_key_make(seed, RNG_SHUFFLE, 0);
        uint64_t last = 0;
        for (uint64_t i = 0; i < COUNT; i++) {
            uint64_t value = rng_permute(key, i, COUNT);
            places[i][value]++;
            if (i)
                followed[last][value]++;
            last = value;
        }
    }
    double chi = 0, chi_followed = 0, expected = (double)SEEDS / COUNT;
    for (int i = 0; i < COUNT; i++)
        for (int k = 0; k < COUNT; k++) {
            chi += pow(places[i][k] - expected, 2) / expected;
            if (i != k)
                chi_followed += pow(followed[i][k] - expected, 2) / expected;
        }
    assert_true(chi < 52.6);          /* 25 degrees of freedom, p = 0.001 */
    assert_true(chi_followed < 59.7); /* at most 30 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_known_answers),
        cmocka_unit_test(fnv_known_answers),
        cmocka_unit_test(keys_differ_in_each_part),
        cmocka_unit_test(uniform_is_uniform),
        cmocka_unit_test(normal_numbers_do_not_depend_on_chunks),
        cmocka_unit_test(normal_numbers_are_normal),
        cmocka_unit_test(permutes_every_count),
        cmocka_unit_test(permutations_are_even),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
