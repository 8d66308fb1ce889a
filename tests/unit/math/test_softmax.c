#include <float.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "../../../src/math/isa/vec_exp.h"
#include "kernels.h"

static const size_t widths[] = {1, 3, 17, 64, 576, 1031};
enum { WIDTHS = sizeof widths / sizeof *widths, ROWS = 37 };

/* Distance in units of the last place of the correctly rounded result, over all exponents of the argument. */
static void test_exp_is_accurate(void **state)
{
    (void)state;
    double worst = 0;
    for (uint64_t i = 0; i < UINT64_C(1) << 32; i += 1499) {
        union vec_word x = {.u = (uint32_t)i};
        double exact = exp((double)x.f);
        float got = vec_exp(x.f), rounded = (float)exact;
        if (isnan(x.f)) {
            assert_true(isnan(got));
        } else if (isinf(rounded) || rounded == 0) {
            assert_true(got == rounded);
        } else {
            double ulp = (double)nextafterf(rounded, INFINITY) - (double)rounded;
            worst = fmax(worst, fabs((double)got - exact) / ulp);
        }
    }
    assert_true(worst < 1.1);
    assert_true(vec_exp(0) == 1 && vec_exp(-0.0F) == 1);
    assert_true(vec_exp(INFINITY) == INFINITY && vec_exp(-INFINITY) == 0 && isnan(vec_exp(NAN)));
    assert_true(vec_exp(88.7F) < INFINITY && vec_exp(88.8F) == INFINITY);
    assert_true(vec_exp(-103) > 0 && vec_exp(-104) == 0);
}

static void test_tanh_is_accurate(void **state)
{
    (void)state;
    double worst = 0;
    for (uint64_t i = 0; i < UINT64_C(1) << 32; i += 1499) {
        union vec_word x = {.u = (uint32_t)i};
        double exact = tanh((double)x.f);
        float got = vec_tanh(x.f), rounded = (float)exact;
        if (isnan(x.f)) {
            assert_true(isnan(got));
        } else if (fabsf(rounded) >= FLT_MIN) {
            double ulp = (double)nextafterf(fabsf(rounded), INFINITY) - fabs((double)rounded);
            worst = fmax(worst, fabs((double)got - exact) / ulp);
        }
    }
    if (worst >= 1.5)
        fail_msg("%g ulp", worst);
    assert_true(vec_tanh(0) == 0 && vec_tanh(INFINITY) == 1 && vec_tanh(-INFINITY) == -1);
}

/* In f32, the gradient over the logits. */
static void cross_entropy(const struct kern *k, double *loss, int32_t *best, float *logits, size_t ld,
                          const int32_t *targets, size_t n, size_t V, float dscale)
{
    float scales[ROWS];
    assert_true(n <= ROWS);
    for (size_t row = 0; row < n; row++)
        scales[row] = dscale;
    k->f32.cross_entropy(loss, best, logits, ld, logits, ld, targets, n, V, dscale != 0 ? scales : NULL, 0);
}

static void check_cross_entropy(const struct kern *k, size_t V, float scale)
{
    size_t ld = V + 3, count = ROWS * ld;
    float *x = numbers_new(count, scale, 1);
    int32_t targets[ROWS], best[ROWS], best2[ROWS];
    double loss[ROWS], loss2[ROWS];
    for (size_t row = 0; row < ROWS; row++) {
        targets[row] = (int32_t)(row * 5 % V);
        x[row * ld + row * 131 % V] = x[row * ld + (V - 1 - row % V)] = 6 * scale; /* a tie */
    }
    float *x2 = numbers_copy(x, count), *kept = numbers_copy(x, count);
    cross_entropy(k, loss, best, x, ld, targets, ROWS, V, 0);
    assert_memory_equal(x, kept, count * sizeof(float));
    cross_entropy(&kern_reference, loss2, best2, x2, ld, targets, ROWS, V, 0.25F);
    for (int with_gradient = 0; with_gradient < 2; with_gradient++) {
        for (size_t row = 0; row < ROWS; row++) {
            assert_true(fabs(loss[row] - loss2[row]) <= 1e-6 * (1 + fabs(loss2[row])));
            assert_int_equal(best[row], best2[row]);
        }
        if (!with_gradient)
            cross_entropy(k, loss, best, x, ld, targets, ROWS, V, 0.25F);
    }
    check_near("cross_entropy", k, x, x2, count, 1e-6);
    cross_entropy(k, loss, NULL, kept, ld, targets, ROWS, V, 0);
    free(x);
    free(x2);
    free(kept);
}

static void test_cross_entropy(void **state)
{
    (void)state;
    FOR_EACH_ISA(k)
    {
        for (size_t i = 0; i < WIDTHS; i++)
            check_cross_entropy(k, widths[i], 2);
        check_cross_entropy(k, 4999, 1);
        check_cross_entropy(k, 4999, 1e4F);
    }
}

static void test_cross_entropy_gradient(void **state)
{
    (void)state;
    enum { V = 21 };
    float *x = numbers_new(V, 1, 1);
    int32_t target = 7;
    FOR_EACH_ISA(k)
    {
        float dx[V];
        double loss, high, low;
        memcpy(dx, x, sizeof dx);
        cross_entropy(k, &loss, NULL, dx, V, &target, 1, V, 2);
        for (size_t i = 0; i < V; i++) {
            float kept = x[i];
            x[i] = kept + 0x1p-9F;
            double span = (double)x[i];
            cross_entropy(&kern_reference, &high, NULL, x, V, &target, 1, V, 0);
            x[i] = kept - 0x1p-9F;
            span -= (double)x[i];
            cross_entropy(&kern_reference, &low, NULL, x, V, &target, 1, V, 0);
            x[i] = kept;
            assert_true(fabs(2 * (high - low) / span - (double)dx[i]) < 1e-5);
        }
    }
    free(x);
}

static double loss_with(const struct kern *k, size_t at, float value, float dscale, float *gradient)
{
    enum { V = 2500 };
    float *x = numbers_new(V, 1, 1);
    int32_t target = 3, best;
    double loss;
    x[at] = value;
    cross_entropy(k, &loss, &best, x, V, &target, 1, V, dscale);
    assert_true(best >= 0 && best < V);
    *gradient = x[V / 2];
    free(x);
    return loss;
}

static void test_cross_entropy_extremes(void **state)
{
    (void)state;
    FOR_EACH_ISA(k)
    {
        static const size_t places[] = {0, 3, 17, 1024, 2499};
        float gradient;
        for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
            for (float dscale = 0; dscale <= 1; dscale++) {
                assert_true(isnan(loss_with(k, places[i], NAN, dscale, &gradient)));
                assert_true(dscale == 0 || isnan(gradient));
                double loss = loss_with(k, places[i], INFINITY, dscale, &gradient);
                assert_true(!isfinite(loss));
                loss = loss_with(k, places[i], -INFINITY, dscale, &gradient);
                assert_true(places[i] == 3 ? loss == INFINITY : isfinite(loss) && isfinite(gradient));
                loss = loss_with(k, places[i], 1e4F, dscale, &gradient);
                assert_true(places[i] == 3 ? loss == 0 : fabs(loss - 1e4) < 10);
                loss = loss_with(k, places[i], -1e4F, dscale, &gradient);
                assert_true(places[i] == 3 ? loss > 1e4 : loss > 0 && loss < 20);
            }
        }
    }
}

/* 2^x over the range that softmax has, in units of the last place. */
static void test_exp2_is_accurate(void **state)
{
    (void)state;
    double worst = 0;
    for (float x = -126; x <= 1; x += 0x1.3p-13F) {
        double exact = exp2((double)x);
        float rounded = (float)exact;
        double ulp = (double)nextafterf(rounded, INFINITY) - (double)rounded;
        worst = fmax(worst, fabs((double)vec_exp2(x) - exact) / ulp);
    }
    assert_true(worst < 2.2);
    for (float x = 0; x >= -126; x--)
        assert_true(vec_exp2(x) == ldexpf(1, (int)x));
    assert_true(vec_exp2(-126.01F) == 0 && vec_exp2(-INFINITY) == 0 && isnan(vec_exp2(NAN)));
}

/* A tile of either type: `count` numbers of it as floats. */
static float *reals(const struct kern_typed *k, const void *x, size_t count)
{
    float *y = numbers_new(count, 1, 1);
    k->to_f32(y, x, count);
    return y;
}

/* Rounding to bf16 is 2^-9 of a number; the rest of the arithmetic is f32 in both types. */
static double allowed(const struct kern_typed *k, double f32)
{
    return k->size == sizeof(float) ? f32 : 0x1p-9 + f32;
}

static void check_reals(const char *what, const struct kern *table, const struct kern_typed *k, const void *x,
                        const void *expected, size_t count, double f32)
{
    float *a = reals(k, x, count), *b = reals(k, expected, count);
    check_near(what, table, a, b, count, allowed(k, f32));
    free(a);
    free(b);
}

enum { HEAD_DIM = 10, TILES = 3 };

/* Three tiles in turn, the last with the diagonal, as one softmax; the numbers grow, so that the maximum
 * does.
 */
static void check_attend_softmax(const struct kern *table, enum dtype type, size_t heads)
{
    const struct kern_typed *k = kern_typed(table, type), *r = kern_typed(&kern_reference, type);
    size_t queries = 32 * heads, keys = 64, count = queries * keys;
    float *max = numbers_new(queries, 0, 1), *sum = numbers_new(queries, 0, 1);
    float *out = numbers_new(queries * HEAD_DIM, 0, 1), *probs = numbers_new(count, 1, 9);
    for (size_t i = 0; i < queries; i++)
        max[i] = -INFINITY;
    float *max2 = numbers_copy(max, queries), *sum2 = numbers_copy(sum, queries);
    float *out2 = numbers_copy(out, queries * HEAD_DIM), *probs2 = numbers_copy(probs, count);
    for (size_t i = 0; i < TILES; i++) {
        struct attend_tile tile = {queries, keys, heads, i + 1 == TILES ? 32 : 1000, 0.5F};
        float *scores = numbers_new(count, (float)(3 * i + 3), i), *scores2 = numbers_copy(scores, count);
        bool in_place = type == DTYPE_F32 && i == 1;
        k->attend_softmax(in_place ? scores : probs, scores, max, sum, out, HEAD_DIM, &tile);
        r->attend_softmax(probs2, scores2, max2, sum2, out2, HEAD_DIM, &tile);
        check_reals("probabilities", table, k, in_place ? scores : probs, probs2, count, 4e-6);
        assert_memory_equal(max, max2, queries * sizeof(float));
        check_near("sum", table, sum, sum2, queries, 4e-6);
        for (size_t j = 0; j < queries * HEAD_DIM; j++) /* stands for the product with the values */
            out[j] = out2[j] = out2[j] + (float)(j % 7);
        free(scores);
        free(scores2);
    }
    check_near("out", table, out, out2, queries * HEAD_DIM, 4e-6);
    for (size_t i = 0; i < queries; i++) /* the last tile: row i sees keys 0 .. 32 + i / heads */
        for (size_t j = 33 + i / heads; j < keys; j++)
            assert_true(type == DTYPE_F32 ? probs[i * keys + j] == 0
                                          : ((const uint16_t *)probs)[i * keys + j] == 0);
    k->attend_finish(probs, out, sum, queries, HEAD_DIM);
    r->attend_finish(probs2, out2, sum2, queries, HEAD_DIM);
    check_reals("attend_finish", table, k, probs, probs2, queries * HEAD_DIM, 8e-6);
    float *all[] = {max, sum, out, probs, max2, sum2, out2, probs2};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

static void check_attend_gradient(const struct kern *table, enum dtype type, size_t heads, size_t first)
{
    const struct kern_typed *k = kern_typed(table, type), *r = kern_typed(&kern_reference, type);
    size_t queries = 32 * heads, keys = 64, count = queries * keys;
    struct attend_tile tile = {queries, keys, heads, first, 0.5F};
    float *scores = numbers_new(count, 9, 1), *dprobs = numbers_new(count, 1, 2);
    float *log2_sum = numbers_new(queries, 2, 3), *delta = numbers_new(queries, 1, 4);
    float *p = numbers_new(count, 1, 5), *d = numbers_new(count, 1, 6);
    float *p2 = numbers_new(count, 1, 5), *d2 = numbers_new(count, 1, 6);
    for (size_t i = 0; i < queries; i++)
        log2_sum[i] += 20; /* above all scores, as a sum over them is */
    r->attend_gradient(p2, d2, scores, dprobs, log2_sum, delta, &tile);
    k->attend_gradient(p, d, scores, dprobs, log2_sum, delta, &tile);
    check_reals("probabilities again", table, k, p, p2, count, 4e-6);
    check_reals("attend_gradient", table, k, d, d2, count, 4e-6);
    if (type == DTYPE_F32) {
        k->attend_gradient(scores, dprobs, scores, dprobs, log2_sum, delta, &tile);
        assert_memory_equal(scores, p, count * sizeof(float));
        assert_memory_equal(dprobs, d, count * sizeof(float));
    }
    float *all[] = {scores, dprobs, log2_sum, delta, p, d, p2, d2};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

static void check_attend_rows(const struct kern *table, enum dtype type)
{
    enum { HEADS = 3, COUNT = HEADS * 33 };
    const struct kern_typed *k = kern_typed(table, type), *r = kern_typed(&kern_reference, type);
    float *dout = numbers_new(COUNT, 1, 1), *x = numbers_new(COUNT, 1, 2), *out = numbers_new(COUNT, 1, 3);
    float *copy = numbers_new(COUNT, 1, 4), *copy2 = numbers_new(COUNT, 1, 5), delta[HEADS], delta2[HEADS];
    k->from_f32_row(out, x, COUNT);
    r->from_f32(copy2, x, COUNT);
    assert_memory_equal(out, copy2, COUNT * k->size);
    k->attend_delta(delta, copy, dout, out, HEADS, COUNT / HEADS);
    r->attend_delta(delta2, copy2, dout, out, HEADS, COUNT / HEADS);
    assert_memory_equal(copy, copy2, COUNT * k->size);
    check_near("delta", table, delta, delta2, HEADS, 2e-6);
    memcpy(copy, x, COUNT * sizeof(float));
    memcpy(copy2, x, COUNT * sizeof(float));
    table->attend_add(copy, 20, 0.3F, dout, 4, 17);
    kern_reference.attend_add(copy2, 20, 0.3F, dout, 4, 17);
    check_near("attend_add", table, copy, copy2, COUNT, 1e-6);
    assert_memory_equal(copy + 17, x + 17, 3 * sizeof(float));
    float *all[] = {dout, x, out, copy, copy2};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

static void test_attention_tiles(void **state)
{
    (void)state;
    static const enum dtype types[] = {DTYPE_F32, DTYPE_BF16};
    FOR_EACH_ISA(k) for (int type = 0; type < 2; type++)
    {
        for (size_t heads = 1; heads <= 3; heads++) {
            check_attend_softmax(k, types[type], heads);
            check_attend_gradient(k, types[type], heads, 0);
            check_attend_gradient(k, types[type], heads, 32);
            check_attend_gradient(k, types[type], heads, 500);
        }
        check_attend_rows(k, types[type]);
    }
}

/* A NaN or +inf among the scores that a query sees must reach its sum; one that it does not see must not. */
static void test_attention_tiles_show_nan(void **state)
{
    (void)state;
    FOR_EACH_ISA(k) for (int bad = 0; bad < 2; bad++)
    {
        struct attend_tile tile = {64, 64, 1, 0, 1};
        float scores[64 * 64] = {0}, max[64], sum[64] = {0}, out[64] = {0};
        for (size_t i = 0; i < 64; i++)
            max[i] = -INFINITY;
        scores[10 * 64 + 7] = scores[20 * 64 + 50] = bad ? INFINITY : NAN;
        k->f32.attend_softmax(scores, scores, max, sum, out, 1, &tile);
        for (size_t i = 0; i < 64; i++)
            assert_true(i == 10 ? isnan(sum[i]) : sum[i] == (float)(i + 1));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exp_is_accurate),        cmocka_unit_test(test_tanh_is_accurate),
        cmocka_unit_test(test_cross_entropy),          cmocka_unit_test(test_cross_entropy_gradient),
        cmocka_unit_test(test_cross_entropy_extremes), cmocka_unit_test(test_exp2_is_accurate),
        cmocka_unit_test(test_attention_tiles),        cmocka_unit_test(test_attention_tiles_show_nan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
