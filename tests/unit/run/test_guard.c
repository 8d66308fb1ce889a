/* Which steps are skipped, and what is remembered of them. */
#include "unit.h"

#include <math.h>

#include "base/log.h"
#include "run/guard.h"

static double noise(uint64_t i)
{
    return (double)(i * 2654435761U % 1000) / 1000 - 0.5;
}

static struct guard after(uint64_t losses, double sigma)
{
    struct guard g = {0};
    for (uint64_t i = 1; i <= losses; i++)
        assert_false(
            guard_is_spike(&g, &(struct guard_options){.spike_sigma = sigma}, i, 2 + 0.1 * noise(i)));
    return g;
}

static void the_window_is_a_mean_and_a_deviation(void **state)
{
    (void)state;
    struct guard g = after(1000, 0);
    assert_true(fabs(g.mean - 2) < 0.02);
    assert_true(fabs(sqrt(g.variance) - 0.1 / sqrt(12)) < 0.01);
    assert_int_equal(g.losses, 1000);
}

static void spikes_are_skipped_once_there_is_something_to_hold_them_against(void **state)
{
    (void)state;
    const struct guard_options on = {.spike_sigma = 4}, off = {0};
    struct guard early = after(GUARD_TRUSTED - 1, 4), late = after(GUARD_TRUSTED, 4);
    assert_false(guard_is_spike(&early, &on, 20, 100));
    assert_true(guard_is_spike(&late, &on, 21, 100));
    assert_int_equal(late.spikes, 1);
    assert_int_equal(guard_steps_taken(&late, 21), 20);
    assert_true(late.mean < 2.05); /* it hardly moved the window */
    assert_false(guard_is_spike(&late, &on, 22, 2));
    assert_false(guard_is_spike(&late, &on, 23, -100)); /* downwards is no spike */
    struct guard g = after(500, 0);
    assert_false(guard_is_spike(&g, &off, 501, 100));
}

static void a_lasting_change_gets_through(void **state)
{
    (void)state;
    const struct guard_options on = {.spike_sigma = 3};
    struct guard g = after(200, 100);
    uint64_t skipped = 0;
    while (skipped < 1000 && guard_is_spike(&g, &on, 201 + skipped, 5))
        skipped++;
    assert_in_range(skipped, 1, 200);
}

static void only_numbers_gone_wrong_are_forgiven_and_not_for_ever(void **state)
{
    (void)state;
    const struct guard_options two = {.nonfinite_max = 2}, none = {0};
    struct guard g = {0};
    struct err e;
    err_set(&e, ERR_NUMERIC, "step 7: the loss is not finite");
    assert_int_equal(guard_forgive(&g, &none, ERR_NUMERIC, &e), ERR_NUMERIC);
    assert_int_equal(guard_forgive(&g, &two, ERR_NUMERIC, &e), ERR_OK);
    err_set(&e, ERR_IO, "no");
    assert_int_equal(guard_forgive(&g, &two, ERR_IO, &e), ERR_IO);
    err_set(&e, ERR_NUMERIC, "step 8: the loss is not finite");
    assert_int_equal(guard_forgive(&g, &two, ERR_NUMERIC, &e), ERR_OK);
    assert_int_equal(g.nonfinite, 2);
    assert_int_equal(guard_forgive(&g, &two, ERR_NUMERIC, &e), ERR_NUMERIC);
    assert_non_null(strstr(e.message, "used up: step 8: the loss"));
    assert_int_equal(guard_steps_taken(&g, 10), 8);
}

int main(void)
{
    log_set_speaking(false);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_window_is_a_mean_and_a_deviation),
        cmocka_unit_test(spikes_are_skipped_once_there_is_something_to_hold_them_against),
        cmocka_unit_test(a_lasting_change_gets_through),
        cmocka_unit_test(only_numbers_gone_wrong_are_forgiven_and_not_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
