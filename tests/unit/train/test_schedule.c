/* The learning rate at known steps. */
#include "unit.h"

#include <math.h>

#include "train/schedule.h"

static void check(const struct schedule *s, const double *rates, size_t count)
{
    for (size_t k = 0; k < count; k++)
        if (!(fabs(schedule_rate(s, k) - rates[k]) < 1e-15))
            fail_msg("schedule %d, step %zu: %.17g, expected %.17g", (int)s->shape, k, schedule_rate(s, k),
                     rates[k]);
}

/* After the warmup: what get_linear_ and get_cosine_schedule_with_warmup of transformers give. */
static void shapes_are_as_known(void **state)
{
    (void)state;
    check(&(struct schedule){SCHEDULE_CONSTANT, 2, 0, 2, 6}, (double[]){1, 2, 2, 2, 2, 2, 2}, 7);
    check(&(struct schedule){SCHEDULE_LINEAR, 2, 0, 2, 6}, (double[]){1, 2, 2, 1.5, 1, 0.5, 0}, 7);
    check(&(struct schedule){SCHEDULE_LINEAR, 2, 0, 0, 4}, (double[]){2, 1.5, 1, 0.5, 0}, 5);
    double r = sqrt(0.5);
    check(&(struct schedule){SCHEDULE_COSINE, 2, 0, 0, 4}, (double[]){2, 1 + r, 1, 1 - r, 0}, 5);
    check(&(struct schedule){SCHEDULE_COSINE, 2, 0, 3, 7}, (double[]){2. / 3, 4. / 3, 2, 2, 1 + r, 1, 1 - r, 0},
          8);
}

/* What get_cosine_with_min_lr_schedule_with_warmup of transformers gives for min_lr 0.5: its factor is
 * shape (1 - m) + m with m = min_lr / lr. */
static void rates_end_at_the_floor(void **state)
{
    (void)state;
    struct err e;
    double r = sqrt(0.5);
    check(&(struct schedule){SCHEDULE_COSINE, 2, 0.5, 0, 4},
          (double[]){2, 0.5 + 0.75 * (1 + r), 1.25, 0.5 + 0.75 * (1 - r), 0.5, 0.5}, 6);
    check(&(struct schedule){SCHEDULE_LINEAR, 2, 0.5, 2, 5}, (double[]){1, 2, 2, 1.5, 1, 0.5}, 6);
    check(&(struct schedule){SCHEDULE_CONSTANT, 2, 0.5, 0, 2}, (double[]){2, 2, 2}, 3);
    assert_error(schedule_check(&(struct schedule){SCHEDULE_COSINE, 1, 2, 0, 4}, &e), &e, ERR_USAGE,
                 "--min-learning-rate 2 is above --learning-rate 1");
}

static void all_warmup_is_fine(void **state)
{
    (void)state;
    struct err e;
    struct schedule s = {SCHEDULE_COSINE, 1, 0, 4, 4};
    assert_ok(schedule_check(&s, &e), &e);
    check(&s, (double[]){0.25, 0.5, 0.75, 1, 0}, 5);
}

static void impossible_ones_are_refused(void **state)
{
    (void)state;
    struct err e;
    assert_error(schedule_check(&(struct schedule){SCHEDULE_COSINE, 1, 0, 5, 4}, &e), &e, ERR_USAGE,
                 "--warmup-steps 5");
}

/* 4 steps of 4 end at a linear rate of 0.5. Twice as many would have 1 at step 5. */
static void a_moved_end_is_no_surprise(void **state)
{
    (void)state;
    struct err e;
    const struct schedule then = {SCHEDULE_LINEAR, 2, 0, 0, 4}, longer = {SCHEDULE_LINEAR, 2, 0, 0, 8};
    assert_ok(schedule_go_on(&longer, &then, 3, false, &e), &e); /* it was not over: stretched */
    assert_ok(schedule_go_on(&then, &then, 4, false, &e), &e);
    assert_error(schedule_go_on(&longer, &then, 4, false, &e), &e, ERR_MISMATCH,
                 "its 4 steps, in which the learning rate went down to 0.5; as one of 8 steps it would go back up to "
                 "1. Say which is meant: --lr-schedule constant");
    assert_ok(schedule_go_on(&longer, &then, 4, true, &e), &e);
    const struct schedule constant = {SCHEDULE_CONSTANT, 2, 0, 0, 8}, held = {SCHEDULE_CONSTANT, 2, 0, 0, 4};
    assert_ok(schedule_go_on(&constant, &then, 4, false, &e), &e);
    assert_ok(schedule_go_on(&longer, &held, 4, false, &e), &e); /* from 2 down to 1 */
    const struct schedule warm = {SCHEDULE_COSINE, 2, 0, 4, 4}, after = {SCHEDULE_COSINE, 2, 0, 4, 8};
    assert_ok(schedule_go_on(&after, &warm, 4, false, &e), &e); /* the peak, and down from there */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_are_as_known),
        cmocka_unit_test(rates_end_at_the_floor),
        cmocka_unit_test(all_warmup_is_fine),
        cmocka_unit_test(impossible_ones_are_refused),
        cmocka_unit_test(a_moved_end_is_no_surprise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
