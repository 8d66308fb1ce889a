/* Curves of any length in a fixed memory, and what is drawn of them. */
#include "unit.h"

#include <math.h>
#include <stdlib.h>

#include "report/curve.h"

static struct curve *new_curve(void)
{
    struct curve *c = calloc(1, sizeof *c);
    assert_non_null(c);
    return c;
}

/* The characters of a chart as text, one line a row; only of ASCII charts. */
static void expect_rows(const struct chart *chart, const char *const *rows)
{
    for (size_t y = 0; y < chart->rows; y++) {
        char text[CHART_COLUMNS + 1] = "";
        for (size_t x = 0; x < chart->columns; x++)
            text[x] = (char)chart->cells[y][x].character;
        assert_string_equal(text, rows[y]);
    }
}

static void sums_are_kept_at_any_length(void **state)
{
    (void)state;
    static const uint64_t lengths[] = {1, 7, CURVE_ROOM - 1, CURVE_ROOM, CURVE_ROOM + 1, 100003};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct curve *c = new_curve();
        double sum = 0, steps = 0, all = 0, all_steps = 0;
        uint64_t count = 0;
        for (uint64_t step = 1; step <= lengths[i]; step++) {
            const double value = sin((double)step);
            curve_add(c, step, value);
            all += value;
            all_steps += (double)step;
        }
        for (size_t k = 0; k < c->used; k++) {
            sum += c->ranges[k].sum;
            steps += c->ranges[k].step_sum;
            count += c->ranges[k].count;
            assert_true(!c->ranges[k].count ||
                        (uint64_t)(c->ranges[k].step_sum / (double)c->ranges[k].count) / c->width == k);
        }
        assert_int_equal(count, lengths[i]);
        assert_true(fabs(sum - all) < 1e-6 && steps == all_steps);
        assert_true(lengths[i] < CURVE_ROOM || c->used >= CURVE_ROOM / 2);
        free(c);
    }
}

static void a_falling_line(void **state)
{
    (void)state;
    struct curve *line = new_curve(), *none = new_curve();
    struct chart chart = {.columns = 8, .rows = 4, .ascii = true};
    for (uint64_t step = 1; step <= 8; step++)
        curve_add(line, step, 9.0 - (double)step);
    chart_draw(&chart, line, none);
    static const char *const rows[] = {"'.      ", "  '.    ", "    '.  ", "      '."};
    assert_true(chart.any && chart.first == 1 && chart.last == 8 && chart.low == 1 && chart.high == 8);
    expect_rows(&chart, rows);
    free(line);
    free(none);
}

/* A jump is one unbroken line, and a point of an evaluation stands on top of it. */
static void a_jump_and_a_mark(void **state)
{
    (void)state;
    struct curve *line = new_curve(), *marks = new_curve();
    struct chart chart = {.columns = 4, .rows = 3, .ascii = true};
    curve_add(line, 1, 0);
    curve_add(line, 2, 0);
    curve_add(line, 3, 5);
    curve_add(line, 4, 5);
    curve_add(marks, 4, 5);
    chart_draw(&chart, line, marks);
    static const char *const rows[] = {"  :o", " .' ", ".:  "};
    expect_rows(&chart, rows);
    assert_true(chart.cells[0][3].marked && !chart.cells[0][2].marked);
    free(line);
    free(marks);
}

/* In braille the dots of a cell are bits; here the left ones of the upper and the right ones of the lower cell. */
static void braille_has_eight_dots(void **state)
{
    (void)state;
    struct curve *line = new_curve(), *none = new_curve();
    struct chart chart = {.columns = 1, .rows = 2};
    curve_add(line, 1, 1);
    curve_add(line, 2, 0);
    chart_draw(&chart, line, none);
    assert_int_equal(chart.cells[0][0].character, 0x2800 + 0x01 + 0x02 + 0x04 + 0x40);
    assert_int_equal(chart.cells[1][0].character, 0x2800 + 0x08 + 0x10 + 0x20 + 0x80);
    free(line);
    free(none);
}

static void gaps_ends_and_nonsense(void **state)
{
    (void)state;
    struct curve *line = new_curve(), *none = new_curve();
    struct chart chart = {.columns = 5, .rows = 1, .ascii = true};
    chart_draw(&chart, line, none);
    assert_false(chart.any);
    static const char *const empty[] = {"     "}, *const flat[] = {"....."}, *const one[] = {".    "};
    expect_rows(&chart, empty);
    curve_add(line, 1, NAN);
    curve_add(line, 2, INFINITY);
    curve_add(line, 3, 1e300);
    chart_draw(&chart, line, none);
    assert_false(chart.any);
    curve_add(line, 7, 3);
    chart_draw(&chart, line, none);
    expect_rows(&chart, one);
    curve_add(line, UINT64_C(999999999999999), 3); /* the steps between them are bridged */
    chart_draw(&chart, line, none);
    expect_rows(&chart, flat);
    free(line);
    free(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_kept_at_any_length), cmocka_unit_test(a_falling_line),
        cmocka_unit_test(a_jump_and_a_mark),           cmocka_unit_test(braille_has_eight_dots),
        cmocka_unit_test(gaps_ends_and_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
