#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cpu.h"
#include "base/prof.h"

static void spend(double seconds)
{
    for (double end = cpu_seconds() + seconds; cpu_seconds() < end;)
        ;
}

static double sum(const double seconds[PROF_COUNT])
{
    double total = 0;
    for (int i = 0; i < PROF_COUNT; i++)
        total += seconds[i];
    return total;
}

static void phases_add_up_to_the_time(void **state)
{
    (void)state;
    double seconds[PROF_COUNT];
    double before = cpu_seconds();
    prof_take(seconds);
    double begun = cpu_seconds();
    assert_int_equal(prof_enter(PROF_NORMS), PROF_OTHER);
    spend(0.02);
    assert_int_equal(prof_enter(PROF_ATTENTION), PROF_NORMS);
    spend(0.01);
    assert_int_equal(prof_enter(PROF_NORMS), PROF_ATTENTION);
    spend(0.01);
    assert_int_equal(prof_enter(PROF_OTHER), PROF_NORMS);
    double ended = cpu_seconds();
    prof_take(seconds);
    double after = cpu_seconds();
    assert_true(seconds[PROF_NORMS] >= 0.03 && seconds[PROF_ATTENTION] >= 0.01);
    assert_true(seconds[PROF_HEAD] == 0);
    double rounding = 1e-9;
    assert_true(sum(seconds) <= after - before + rounding && sum(seconds) >= ended - begun - rounding);
}

static void taking_leaves_nothing_and_goes_on(void **state)
{
    (void)state;
    double seconds[PROF_COUNT];
    prof_enter(PROF_HEAD);
    prof_take(seconds);
    spend(0.01);
    prof_take(seconds);
    assert_true(seconds[PROF_HEAD] >= 0.01 && sum(seconds) == seconds[PROF_HEAD]);
    assert_int_equal(prof_enter(PROF_OTHER), PROF_HEAD);
}

static void *other_thread(void *seconds)
{
    prof_enter(PROF_OPTIMIZER);
    spend(0.01);
    prof_take(seconds);
    return NULL;
}

static void threads_do_not_mix(void **state)
{
    (void)state;
    double mine[PROF_COUNT], other[PROF_COUNT];
    pthread_t thread;
    prof_take(mine);
    assert_int_equal(pthread_create(&thread, NULL, other_thread, other), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    prof_take(mine);
    assert_true(other[PROF_OPTIMIZER] >= 0.01 && mine[PROF_OPTIMIZER] == 0);
    assert_true(mine[PROF_OTHER] >= 0.01);
}

static void names_differ(void **state)
{
    (void)state;
    for (int i = 0; i < PROF_COUNT; i++)
        for (int j = 0; j < i; j++)
            assert_string_not_equal(prof_name((enum prof_phase)i), prof_name((enum prof_phase)j));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(phases_add_up_to_the_time),
        cmocka_unit_test(taking_leaves_nothing_and_goes_on),
        cmocka_unit_test(threads_do_not_mix),
        cmocka_unit_test(names_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
