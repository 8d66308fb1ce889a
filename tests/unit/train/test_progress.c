/* The line of a step, as wide as there is room. */
#include "unit.h"

#include <string.h>

#include "train/progress.h"

static const struct metrics_row row = {
    .step = 13, .epoch = 0.65, .loss = 6.12671, .learning_rate = 1.97e-4, .grad_norm = 9.63};
static const struct metrics_row pairs = {.step = 13,
                                         .epoch = 0.65,
                                         .loss = 0.69212,
                                         .prefers = true,
                                         .rewards = {0.25, -0.125, 0.375, 0.8125},
                                         .eval_loss = 0.5,
                                         .eval_rewards = {-1, -2.5, 1.5, 0.875},
                                         .learning_rate = 1.97e-4,
                                         .grad_norm = 9.63};
static const struct progress fast = {.total = 160, .tokens = 6750, .busy = 10};

static void expect_of(const struct metrics_row *of, int columns, const char *line)
{
    char got[PROGRESS_LINE];
    struct progress p = fast;
    progress_format_step(got, &p, of, 11, columns > 0, columns);
    assert_string_equal(got, line);
}

static void expect(int columns, const char *line)
{
    expect_of(&row, columns, line);
}

static void fits_its_place(void **state)
{
    (void)state;
    expect(0, "step 13/160 loss 6.1267 epoch 0.65 lr 0.0002 norm 9.6 675 tokens/s 0:11 left");
    expect(120,
           "[##..................] step 13/160  loss 6.1267  epoch 0.65  lr 0.0002  norm 9.6  675 tokens/s  0:11 left");
    expect(80, "[##...........] step 13/160 loss 6.1267 epoch 0.65 lr 0.0002 norm 9.6 0:11 left");
    expect(20, "step 13 loss 6.1267 epoch 0.65 lr 0.0002 norm 9.6 0:11 left"); /* cut where it is printed */
}

static void has_the_rewards_of_pairs(void **state)
{
    (void)state;
    char line[PROGRESS_LINE];
    expect_of(&pairs, 0, "step 13/160 loss 0.6921 acc 0.81 margin 0.375 epoch 0.65 lr 0.0002 0:11 left");
    expect_of(&pairs, 160,
              "[##..................] step 13/160  loss 0.6921  accuracy 0.81  margin 0.375  epoch 0.65  lr 0.0002  "
              "norm 9.6  675 tokens/s  0:11 left");
    expect_of(&pairs, 80, "[##............] step 13 loss 0.6921 acc 0.81 margin 0.375 epoch 0.65 0:11 left");
    progress_format_evaluation(line, &pairs);
    assert_string_equal(line, "eval loss 0.5000  accuracy 0.875  margin 1.5");
    progress_format_evaluation(line, &row);
    assert_string_equal(line, "eval loss 0.0000");
}

static void never_wider_than_asked(void **state)
{
    (void)state;
    char line[PROGRESS_LINE];
    struct progress long_one = {.total = 5000000, .tokens = 123456789, .busy = 100};
    static const struct metrics_row late = {
        .step = 4999999, .epoch = 1234.56, .loss = 10.5, .learning_rate = 1.234e-5, .grad_norm = 0.1234};
    progress_format_step(line, &long_one, &late, 360000, false, 80);
    assert_true(strlen(line) <= 80);
    struct progress steady = fast;
    struct metrics_row sinking = pairs;
    sinking.rewards.margin = -12.3456;
    sinking.step = 49999;
    progress_format_step(line, &steady, &sinking, 360000, false, 80);
    assert_true(strlen(line) <= 80);
    for (int columns = 80; columns < 200; columns++) {
        progress_format_step(line, &long_one, &late, 360000, true, columns);
        assert_true(strlen(line) < (size_t)columns);
        assert_true(line[0] == '[' || columns < 90);
    }
}

/* Lines below one another do not change their form with every digit. */
static void does_not_flicker(void **state)
{
    (void)state;
    char line[PROGRESS_LINE];
    struct progress p = fast;
    progress_format_step(line, &p, &row, 11, false, 0);
    assert_null(strstr(line, "  "));
    p.total = 20;
    progress_format_step(line, &p, &row, 11, false, 0);
    assert_string_equal(line, "step 13/20 loss 6.1267 epoch 0.65 lr 0.0002 norm 9.6 675 tokens/s 0:11 left");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fits_its_place),
        cmocka_unit_test(has_the_rewards_of_pairs),
        cmocka_unit_test(never_wider_than_asked),
        cmocka_unit_test(does_not_flicker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
