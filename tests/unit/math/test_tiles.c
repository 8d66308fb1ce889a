/*
 * The kernels of attention's tiles, for both element types, held against the oracle.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "math/kern.h"
#include "numbers.h"

#include "../../../src/math/tiles.h"

static const enum dtype types[] = {DTYPE_F32, DTYPE_BF16};

/* What is tested, and what it is held against: kernels for the registers of this processor, if it has them.
 */
struct subject {
    enum dtype type;
    const struct tiles *tiles, *reference;
    size_t element; /* bytes */
};

static bool subject_of(struct subject *s, enum dtype type)
{
    const struct tiles *tiles = tiles_for(kern_for(cpu_isa_best()), type);
    if (!tiles)
        print_message("no kernels of tiles in %s on this processor\n", dtype_info(type)->name);
    *s = (struct subject){type, tiles, tiles_for(&kern_reference, type), dtype_info(type)->block_bytes};
    return tiles != NULL;
}

#define FOR_EACH_SUBJECT(s)                                                                                  \
    for (const enum dtype *type_ = types; type_ < types + 2; type_++)                                        \
        for (struct subject s, *once_ = &s; once_ && subject_of(&s, *type_); once_ = NULL)

/* `count` normal numbers in the subject's type, on a line of the cache. */
static void *reals_new(const struct subject *s, size_t count, float scale, uint64_t seed)
{
    float *x = numbers_new(count, scale, seed);
    if (s->type == DTYPE_F32)
        return x;
    void *y = numbers_new(count, 0, 0);
    kern_reference.bf16.from_f32(y, x, count);
    free(x);
    return y;
}

static float *as_floats(const struct subject *s, const void *x, size_t count)
{
    float *y = numbers_new(count, 0, 0);
    dtype_to_f32(y, s->type, x, count);
    return y;
}

static double distance(const struct subject *s, const void *x, const void *reference, size_t count)
{
    float *a = as_floats(s, x, count), *b = as_floats(s, reference, count);
    double d = numbers_distance(a, b, count);
    free(a);
    free(b);
    return d;
}

/* Rows of the left operand go by six, columns by 64, 32 and 16: all remainders. Both ways to read A, B wider
 * than C, with and without adding. */
static void test_product(void **state)
{
    (void)state;
    static const size_t columns[] = {16, 32, 48, 64, 80, 96, 112, 128};
    FOR_EACH_SUBJECT(s)
    for (size_t m = 1; m <= 13; m++)
        for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
            for (int way = 0; way < 4; way++) {
                size_t n = columns[i], k = 5 + m, ldb = n + 16, e = s.tiles->word_elements;
                void *a = reals_new(&s, m * k * e, 1, 1), *b = reals_new(&s, k * ldb * e, 1, 2);
                float *c = numbers_new(m * n + 1, 1, 3), *expected = numbers_copy(c, m * n + 1);
                struct tiles_left left = {a, way & 1 ? 1 : k, way & 1 ? m : 1};
                s.tiles->product(m, n, k, left, b, ldb, way & 2, c);
                s.reference->product(m, n, k, left, b, ldb, way & 2, expected);
                assert_true(numbers_distance(c, expected, m * n) < 2e-6);
                assert_true(c[m * n] == expected[m * n]); /* what lies after is left alone */
                free(a);
                free(b);
                free(c);
                free(expected);
            }
}

static void test_layouts(void **state)
{
    (void)state;
    FOR_EACH_SUBJECT(s)
    for (size_t rows = 16; rows <= 64; rows += 16)
        for (size_t lines = 16; lines <= 64; lines += 16) {
            size_t columns = lines * s.tiles->word_elements, count = rows * columns;
            void *x = reals_new(&s, count, 1, 1), *y = reals_new(&s, count, 1, 2),
                 *z = reals_new(&s, count, 1, 3);
            s.tiles->transpose(y, x, rows, columns);
            s.reference->transpose(z, x, rows, columns);
            assert_memory_equal(y, z, count * s.element);
            const void *here = s.tiles->lines(y, x, rows, columns);
            assert_memory_equal(here, s.reference->lines(z, x, rows, columns), count * s.element);
            free(x);
            free(y);
            free(z);
        }
}

/* Where the diagonal crosses: not at all, at the first key, between keys and heads that do not divide. */
static const struct tiles_part parts[] = {
    {64, 1, 64, 0, 0.125F},  {2, 3, 0, 0, 0.125F},   {22, 3, 0, 0, 0.125F},   {44, 3, 0, 64, 0.125F},
    {64, 3, 0, 128, 0.125F}, {512, 4, 448, 0, 0.3F}, {86, 3, 42, 64, 0.125F}, {64, 1, 0, 0, 0.125F},
};
enum { PARTS = sizeof parts / sizeof *parts, HEAD_DIM = 64, KEYS_MAX = 512 };

static void test_softmax(void **state)
{
    (void)state;
    enum { COUNT = KEYS_MAX * TILES_QUERIES };
    FOR_EACH_SUBJECT(s)
    for (size_t i = 0; i < PARTS; i++)
        for (int round = 0; round < 2;
             round++) { /* the first tile, and one more whose maxima are mostly smaller */
            size_t count = parts[i].keys * TILES_QUERIES;
            float *scores = numbers_new(COUNT, 6, 1), *max = numbers_new(TILES_QUERIES, round ? 2 : 0, 2);
            float *sum = numbers_new(TILES_QUERIES, 0, 3), *out = numbers_new(TILES_QUERIES * HEAD_DIM, 1, 4);
            for (size_t q = 0; q < TILES_QUERIES; q++) {
                max[q] = round ? 15 + max[q] : -INFINITY;
                sum[q] = round ? 3 : 0;
            }
            float *max2 = numbers_copy(max, TILES_QUERIES), *sum2 = numbers_copy(sum, TILES_QUERIES);
            float *out2 = numbers_copy(out, TILES_QUERIES * HEAD_DIM);
            void *probs = reals_new(&s, COUNT, 1, 5), *probs2 = reals_new(&s, COUNT, 1, 6);
            s.tiles->softmax(probs, scores, max, sum, out, HEAD_DIM, &parts[i]);
            s.reference->softmax(probs2, scores, max2, sum2, out2, HEAD_DIM, &parts[i]);
            assert_memory_equal(max, max2, TILES_QUERIES * sizeof(float));
            assert_true(numbers_distance(sum, sum2, TILES_QUERIES) < 2e-6);
            assert_true(numbers_distance(out, out2, TILES_QUERIES * HEAD_DIM) < 2e-6);
            assert_true(distance(&s, probs, probs2, count) < (s.type == DTYPE_F32 ? 2e-6 : 0x1p-8));
            if (s.type == DTYPE_F32) { /* in place */
                s.reference->softmax(probs2, scores, max2, sum2, out2, HEAD_DIM, &parts[i]);
                s.tiles->softmax(scores, scores, max, sum, out, HEAD_DIM, &parts[i]);
                assert_true(distance(&s, scores, probs2, count) < 2e-6);
            }
            void *all[] = {scores, max, sum, out, max2, sum2, out2, probs, probs2};
            for (size_t f = 0; f < sizeof all / sizeof *all; f++)
                free(all[f]);
        }
}

static void test_gradient(void **state)
{
    (void)state;
    enum { COUNT = KEYS_MAX * TILES_QUERIES };
    FOR_EACH_SUBJECT(s)
    for (size_t i = 0; i < PARTS; i++) {
        size_t count = parts[i].keys * TILES_QUERIES;
        double allowed = s.type == DTYPE_F32 ? 4e-6 : 0x1p-8;
        float *scores = numbers_new(COUNT, 6, 1), *dprobs = numbers_new(COUNT, 1, 2);
        float *log2_sum = numbers_new(TILES_QUERIES, 1, 3), *delta = numbers_new(TILES_QUERIES, 1, 4);
        void *x[6];
        for (uint64_t j = 0; j < 6; j++)
            x[j] = reals_new(&s, COUNT, 1, 5 + j);
        s.tiles->gradient(x[0], x[1], x[2], scores, dprobs, log2_sum, delta, &parts[i]);
        s.reference->gradient(x[3], x[4], x[5], scores, dprobs, log2_sum, delta, &parts[i]);
        assert_true(distance(&s, x[0], x[3], count) < allowed);
        assert_true(distance(&s, x[1], x[4], count) < allowed);
        if (s.type == DTYPE_BF16)
            assert_true(distance(&s, x[2], x[5], count) < allowed);
        for (int j = 0; j < 6; j++)
            free(x[j]);
        free(scores);
        free(dprobs);
        free(log2_sum);
        free(delta);
    }
}

/* What a key holds that queries do not see must not reach them, whatever it is. */
static void test_hidden_keys_do_not_show(void **state)
{
    (void)state;
    static const struct tiles_part part = {64, 1, 0, 0, 1};
    FOR_EACH_SUBJECT(s)
    {
        float scores[64 * TILES_QUERIES], max[TILES_QUERIES], sum[TILES_QUERIES] = {0};
        float *out = numbers_new(TILES_QUERIES * HEAD_DIM, 0, 1);
        void *probs = reals_new(&s, 64 * TILES_QUERIES, 1, 2);
        for (size_t key = 0; key < 64; key++)
            for (size_t q = 0; q < TILES_QUERIES; q++)
                scores[key * TILES_QUERIES + q] = key <= q ? 0 : q % 2 ? NAN : INFINITY;
        for (size_t q = 0; q < TILES_QUERIES; q++)
            max[q] = -INFINITY;
        s.tiles->softmax(probs, scores, max, sum, out, HEAD_DIM, &part);
        float *p = as_floats(&s, probs, 64 * TILES_QUERIES);
        size_t e = s.tiles->word_elements;
        for (size_t q = 0; q < TILES_QUERIES; q++) {
            assert_true(max[q] == 0 && sum[q] == (float)(q + 1));
            for (size_t key = 0; key < 64; key++)
                assert_true(p[(key / e * TILES_QUERIES + q) * e + key % e] == (key <= q ? 1 : 0));
        }
        free(out);
        free(probs);
        free(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_product),
        cmocka_unit_test(test_layouts),
        cmocka_unit_test(test_softmax),
        cmocka_unit_test(test_gradient),
        cmocka_unit_test(test_hidden_keys_do_not_show),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
