/* The best evaluation: which counts, and for how long none was better. */
#include "unit.h"

#include <math.h>

#include "run/best.h"

static const char some[FILE_HASH_SIZE] = "00112233445566778899aabbccddeeff",
                  others[FILE_HASH_SIZE] = "10112233445566778899aabbccddeeff";

static void the_lowest_is_kept(void **state)
{
    (void)state;
    struct best b = {0};
    assert_true(best_take(&b, 3, 2.0, true, some));
    assert_false(best_take(&b, 6, 2.0, true, some)); /* as good is not better */
    assert_false(best_take(&b, 6, 1.0, true, some)); /* a step is evaluated once */
    assert_false(best_is_stale(&b, 2));
    assert_false(best_take(&b, 7, 3.0, false, some)); /* a shorter run's last step */
    assert_int_equal(b.worse, 1);
    assert_false(best_take(&b, 9, NAN, true, some));
    assert_true(b.step == 3 && b.loss == 2.0 && b.worse == 2 && b.seen == 9);
    assert_true(best_is_stale(&b, 2));
    assert_false(best_is_stale(&b, 3));
    assert_false(best_is_stale(&b, 0)); /* without --early-stop */
    assert_true(best_take(&b, 12, 1.5, true, some));
    assert_true(b.step == 12 && b.worse == 0);
    assert_false(best_is_stale(&b, 1));
}

static void nothing_is_better_than_no_number(void **state)
{
    (void)state;
    struct best b = {0};
    assert_false(best_take(&b, 1, INFINITY, true, some));
    assert_false(best_take(&b, 2, NAN, true, some));
    assert_true(b.step == 0 && b.worse == 2);
    assert_true(best_take(&b, 3, 100, true, some));
}

static void the_next_one_counts_when_it_is_forgotten(void **state)
{
    (void)state;
    struct best b = {0};
    best_take(&b, 1, 1, true, some);
    best_take(&b, 2, 2, true, some);
    best_forget(&b);
    assert_int_equal(b.worse, 1);
    assert_true(best_take(&b, 3, 3, true, some));
    assert_false(best_take(&b, 4, 4, true, some));
    assert_true(best_take(&b, 5, 5, true, others)); /* which cannot be compared */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_lowest_is_kept),
        cmocka_unit_test(nothing_is_better_than_no_number),
        cmocka_unit_test(the_next_one_counts_when_it_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
