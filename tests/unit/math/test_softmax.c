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
    k->cross_entropy(loss, best, x, ld, targets, ROWS, V, 0);
    assert_memory_equal(x, kept, count * sizeof(float));
    kern_reference.cross_entropy(loss2, best2, x2, ld, targets, ROWS, V, 0.25F);
    for (int with_gradient = 0; with_gradient < 2; with_gradient++) {
        for (size_t row = 0; row < ROWS; row++) {
            assert_true(fabs(loss[row] - loss2[row]) <= 1e-6 * (1 + fabs(loss2[row])));
            assert_int_equal(best[row], best2[row]);
        }
        if (!with_gradient)
            k->cross_entropy(loss, best, x, ld, targets, ROWS, V, 0.25F);
    }
    check_near("cross_entropy", k, x, x2, count, 1e-6);
    k->cross_entropy(loss, NULL, kept, ld, targets, ROWS, V, 0);
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
        k->cross_entropy(&loss, NULL, dx, V, &target, 1, V, 2);
        for (size_t i = 0; i < V; i++) {
            float kept = x[i];
            x[i] = kept + 0x1p-9F;
            double span = (double)x[i];
            kern_reference.cross_entropy(&high, NULL, x, V, &target, 1, V, 0);
            x[i] = kept - 0x1p-9F;
            span -= (double)x[i];
            kern_reference.cross_entropy(&low, NULL, x, V, &target, 1, V, 0);
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
    k->cross_entropy(&loss, &best, x, V, &target, 1, V, dscale);
    assert_in_range(best, 0, V - 1);
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
                assert_false(isfinite(loss_with(k, places[i], INFINITY, dscale, &gradient)));
                double loss = loss_with(k, places[i], -INFINITY, dscale, &gradient);
                assert_true(places[i] == 3 ? loss == INFINITY : isfinite(loss) && isfinite(gradient));
                loss = loss_with(k, places[i], 1e4F, dscale, &gradient);
                assert_true(places[i] == 3 ? loss == 0 : fabs(loss - 1e4) < 10);
                loss = loss_with(k, places[i], -1e4F, dscale, &gradient);
                assert_true(places[i] == 3 ? loss > 1e4 : loss > 0 && loss < 20);
            }
        }
    }
}

static void test_attention_rows(void **state)
{
    (void)state;
    static const size_t firsts[] = {0, 1, 64, 200};
    FOR_EACH_ISA(k) for (size_t i = 0; i < sizeof firsts / sizeof *firsts; i++)
    {
        size_t first = firsts[i], rows = 29, ld = first + rows + 4, count = rows * ld;
        float *s = numbers_new(count, 9, 1), *d = numbers_new(count, 1, 2), *lse = numbers_new(rows, 1, 3);
        float *s2 = numbers_copy(s, count), *d2 = numbers_copy(d, count), *raw = numbers_copy(s, count);
        float *delta = numbers_new(rows, 1, 4), *lse2 = numbers_new(rows, 1, 5);
        k->softmax_causal(s, ld, lse, rows, first, 0.5F);
        kern_reference.softmax_causal(s2, ld, lse2, rows, first, 0.5F);
        check_near("softmax_causal", k, s, s2, count, 2e-6);
        check_near("lse", k, lse, lse2, rows, 1e-6);
        memcpy(s, raw, count * sizeof(float));
        memcpy(s2, raw, count * sizeof(float));
        k->softmax_causal_backward(s, d, ld, lse2, delta, rows, first, 0.5F);
        kern_reference.softmax_causal_backward(s2, d2, ld, lse2, delta, rows, first, 0.5F);
        check_near("probabilities", k, s, s2, count, 4e-6);
        check_near("softmax_causal_backward", k, d, d2, count, 4e-6);
        k->row_dots(lse, raw, ld, d2, ld, rows, first + 3);
        kern_reference.row_dots(lse2, raw, ld, d2, ld, rows, first + 3);
        check_near("row_dots", k, lse, lse2, rows, 2e-6);
        float *all[] = {s, d, lse, s2, d2, raw, delta, lse2};
        for (size_t a = 0; a < sizeof all / sizeof *all; a++)
            free(all[a]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exp_is_accurate),        cmocka_unit_test(test_cross_entropy),
        cmocka_unit_test(test_cross_entropy_gradient), cmocka_unit_test(test_cross_entropy_extremes),
        cmocka_unit_test(test_attention_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
