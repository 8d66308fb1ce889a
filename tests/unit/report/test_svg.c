/* Plots: what is drawn, what is left out and said, ticks that a person would choose, text that cannot break
 * out. */
#include "unit.h"

#include <math.h>
#include <stdlib.h>

#include "report/markup.h"
#include "report/svg.h"
#include "report/svg_scale.h"

static size_t count(const char *text, const char *piece)
{
    size_t n = 0;
    for (; (text = strstr(text, piece)); text += strlen(piece))
        n++;
    return n;
}

static char *draw(const struct svg_plot *plot)
{
    struct str out = {0};
    struct err e;
    assert_ok(svg_append_plot(&out, plot, &e), &e);
    return out.data;
}

static char *draw_one(const struct svg_axis x, const struct svg_axis y, const double *xs, const double *ys,
                      size_t n)
{
    const struct svg_series series = {.name = "only", .x = xs, .y = ys, .count = n};
    return draw(&(struct svg_plot){
        .id = "p", .title = "t", .description = "d", .x = x, .y = y, .series = &series, .count = 1});
}

static void expect_tick(const char *svg, const char *label)
{
    char piece[64];
    snprintf(piece, sizeof piece, ">%s</text>", label);
    if (!strstr(svg, piece))
        fail_msg("no tick '%s' in %s", label, svg);
}

static void every_point_is_drawn_once(void **state)
{
    (void)state;
    const double x[] = {1, 2, 3, 4}, y[] = {4, 3, NAN, 1};
    char *svg = draw_one((struct svg_axis){.title = "step"}, (struct svg_axis){.title = "loss"}, x, y, 4);
    assert_non_null(strstr(svg, "data-series=\"only\" data-points=\"3\""));
    assert_int_equal(count(svg, "only: "), 3);
    assert_non_null(strstr(svg, "only: 3 at 2<"));
    const char *line =
        strstr(strstr(svg, "data-series"), "class=\"line\" d=\""); /* the gap breaks the line */
    assert_non_null(line);
    size_t moves = 0;
    for (line = strchr(line, 'M'); *line != '"'; line++)
        moves += *line == 'M';
    assert_int_equal(moves, 2);
    free(svg);
}

/* Numbers at the ends of what a double holds: no arithmetic leaves them, each coordinate is a number. */
static void extreme_values_have_places_or_none(void **state)
{
    (void)state;
    static const double values[] = {0,    5e-324, -5e-324, 1e-305, 1,      1 + 1e-15,
                                    1e15, 1e300,  -1e300,  1e305,  -1e308, 1e308};
    enum { VALUES = sizeof values / sizeof *values };
    for (size_t i = 0; i < VALUES; i++)
        for (size_t k = 0; k < VALUES; k++)
            for (unsigned kind = 0; kind < 16; kind++) {
                const double x[] = {1, 2}, y[] = {values[i], values[k]};
                const struct svg_axis axis = {.title = "y",
                                              .scale = kind & 1 ? SVG_LOG : SVG_LINEAR,
                                              .whole = kind & 2,
                                              .zero = kind & 4,
                                              .exact = kind & 8};
                char *svg = draw_one((struct svg_axis){.title = "x"}, axis, x, y, 2);
                if (strstr(svg, "nan") || strstr(svg, "inf"))
                    fail_msg("%g and %g on an axis of kind %u: %s", values[i], values[k], kind, svg);
                assert_true(fabs(values[k]) > 1e300 || values[k] < 0 ||
                            (kind & 1 && values[k] != 0 && values[k] < 1e-300) || strstr(svg, "only: "));
                free(svg);
            }
}

static void long_series_are_lines(void **state)
{
    (void)state;
    double x[500], y[500], low[500], high[500];
    for (int i = 0; i < 500; i++) {
        x[i] = i;
        y[i] = sin(i / 30.0);
        low[i] = y[i] - 1;
        high[i] = y[i] + 1;
    }
    const struct svg_series series = {.name = "s", .x = x, .y = y, .low = low, .high = high, .count = 500};
    char *svg = draw(&(struct svg_plot){.id = "p",
                                        .title = "t",
                                        .description = "d",
                                        .x = {.title = "x"},
                                        .y = {.title = "y"},
                                        .series = &series,
                                        .count = 1});
    assert_non_null(strstr(svg, "data-points=\"500\""));
    assert_int_equal(count(svg, "class=\"mark\""), 1); /* the legend's */
    assert_int_equal(count(svg, "class=\"band\""), 1);
    expect_tick(svg, "−2");
    expect_tick(svg, "400");
    free(svg);
}

static void zero_has_a_place_on_a_logarithmic_axis(void **state)
{
    (void)state;
    const double x[] = {0, 1, 2, 3}, y[] = {0, 1e-6, 1e-1, -1};
    char *svg = draw_one((struct svg_axis){.title = "step", .whole = true},
                         (struct svg_axis){.title = "norm", .scale = SVG_LOG}, x, y, 4);
    assert_non_null(strstr(svg, "data-points=\"3\"")); /* all but the negative one */
    assert_non_null(strstr(svg, "only: 0 at 0<"));
    expect_tick(svg, "0");
    expect_tick(svg, "10⁻⁶");
    assert_null(strstr(svg, "nan"));
    assert_null(strstr(svg, "inf"));
    free(svg);
}

static void ticks_are_round(void **state)
{
    (void)state;
    const double x[] = {0, 7}, y[] = {1.234, 1.678};
    char *svg =
        draw_one((struct svg_axis){.title = "step", .whole = true}, (struct svg_axis){.title = "y"}, x, y, 2);
    expect_tick(svg, "1.3");
    expect_tick(svg, "1.6");
    expect_tick(svg, "6");
    assert_null(strstr(svg, ">0.5</text>")); /* steps are whole */
    free(svg);
    const double rates[] = {1e-4, 2e-3}, loss[] = {2, 2};
    svg = draw_one((struct svg_axis){.title = "rate", .scale = SVG_LOG}, (struct svg_axis){.title = "y"},
                   rates, loss, 2);
    expect_tick(svg, "10⁻³");
    expect_tick(svg, "2·10⁻⁴");
    free(svg);
    const double ranks[] = {2, 8, 64};
    svg = draw_one((struct svg_axis){.title = "rank", .scale = SVG_LOG, .exact = true},
                   (struct svg_axis){.title = "y"}, ranks, ranks, 3);
    expect_tick(svg, "64");
    assert_null(strstr(svg, ">5</text>"));
    expect_tick(svg, "8");
    free(svg);
    const double sides[] = {-1e-300, 1e300}; /* an extreme span ends, and stays finite */
    svg = draw_one((struct svg_axis){.title = "x"}, (struct svg_axis){.title = "y"}, sides, sides, 2);
    assert_non_null(strstr(svg, "data-points=\"2\""));
    assert_null(strstr(svg, "nan"));
    free(svg);
}

static void nothing_is_said_to_be_nothing(void **state)
{
    (void)state;
    char *svg = draw(&(struct svg_plot){.id = "p",
                                        .title = "t",
                                        .description = "d",
                                        .x = {.title = "x", .scale = SVG_LOG},
                                        .y = {.title = "y"},
                                        .level_name = "base",
                                        .level = 2});
    assert_non_null(strstr(svg, "nothing was measured"));
    assert_non_null(strstr(svg, ">base</text>"));
    free(svg);
}

static void text_cannot_break_out(void **state)
{
    (void)state;
    struct str out = {0};
    struct err e;
    assert_ok(markup_append_text(&out, "<b a=\"1\" c='2'>&\x01\xff\xc3\xa9", &e), &e);
    assert_string_equal(out.data,
                        "&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt;&amp;\xef\xbf\xbd\xef\xbf\xbd\xc3\xa9");
    str_release(&out);
    const double x[] = {1}, y[] = {1};
    const struct svg_series series = {.name = "\"/><script>", .x = x, .y = y, .count = 1};
    char *svg = draw(&(struct svg_plot){.id = "p",
                                        .title = "<t>",
                                        .description = "&",
                                        .x = {.title = "<x>"},
                                        .y = {.title = "<y>"},
                                        .series = &series,
                                        .count = 1});
    assert_null(strstr(svg, "<script"));
    assert_null(strstr(svg, "<t>"));
    assert_null(strstr(svg, "<x>"));
    free(svg);
}

/* Names beside points that lie close together, over a line: each is there, none on another or on a point. */
static void names_beside_points_are_apart(void **state)
{
    (void)state;
    enum { POINTS = 9, CHARACTER = 6, LINE = 10 };
    static const char *const names[POINTS] = {"first", "second",  "third",  "a fourth",   "fifth",
                                              "sixth", "seventh", "eighth", "and a ninth"};
    double x[POINTS], y[POINTS], left[POINTS], right[POINTS], bottom[POINTS];
    struct svg_series series[POINTS + 1];
    for (int i = 0; i < POINTS; i++) {
        x[i] = 1 + 0.02 * (i % 3);
        y[i] = 1 + 0.02 * (i / 3);
        series[i] = (struct svg_series){
            .name = names[i], .x = &x[i], .y = &y[i], .count = 1, .no_line = true, .beside = true};
    }
    series[POINTS] = (struct svg_series){.name = "line",
                                         .style = 1,
                                         .x = (const double[]){0, 2},
                                         .y = (const double[]){0, 2},
                                         .count = 2,
                                         .no_marks = true};
    char *svg = draw(&(struct svg_plot){.id = "p",
                                        .title = "headline",
                                        .description = "d",
                                        .x = {.title = "x"},
                                        .y = {.title = "y"},
                                        .series = series,
                                        .count = POINTS + 1,
                                        .alone = true});
    for (int i = 0; i < POINTS; i++) {
        char piece[64], anchor[8];
        double at;
        snprintf(piece, sizeof piece, "\">%s</text>", names[i]);
        const char *end = strstr(svg, piece), *begin = end;
        assert_non_null(end);
        assert_null(strstr(end + 1, piece)); /* not in the legend too */
        while (*begin != '<')
            begin--;
        assert_int_equal(sscanf(begin, "<text class=\"name\" x=\"%lf\" y=\"%lf\" text-anchor=\"%7[a-z]", &at,
                                &bottom[i], anchor),
                         3);
        double width = CHARACTER * (double)strlen(names[i]);
        left[i] = at - (*anchor == 's' ? 0 : *anchor == 'm' ? width / 2 : width);
        right[i] = left[i] + width;
        for (int k = 0; k < i; k++)
            if (left[i] < right[k] && left[k] < right[i] && fabs(bottom[i] - bottom[k]) < LINE)
                fail_msg("'%s' is on '%s'", names[i], names[k]);
    }
    assert_int_equal(count(svg, "<path class=\"mark\""), POINTS); /* none for the line, nor in the legend */
    assert_non_null(strstr(svg, ">headline</text>"));
    assert_non_null(strstr(svg, "prefers-color-scheme:dark"));
    assert_non_null(strstr(svg, "class=\"paper\""));
    free(svg);
}

/* Before each colour that is a variable, the same property stands with a plain one, for programs that do not
 * know variables and would draw black on black. */
static void plain_colours_come_first(void **state)
{
    (void)state;
    size_t variables = 0;
    for (const char *at = svg_style(); (at = strstr(at, "var(")); at++) {
        const char *property = at;
        while (property[-1] != ';' && property[-1] != '{')
            property--;
        size_t name = (size_t)(strchr(property, ':') - property) + 1, plain = name + strlen("#000000;");
        assert_true(property - svg_style() > (ptrdiff_t)plain);
        assert_memory_equal(property - plain, property, name);
        assert_int_equal(property[(ptrdiff_t)name - (ptrdiff_t)plain], '#');
        variables++;
    }
    assert_true(variables > 0);
}

static void numbers_are_short(void **state)
{
    (void)state;
    static const struct {
        double x;
        const char *text;
    } cases[] = {{0, "0"},       {1.25, "1.25"},       {1.2e-5, "1.2e-5"},
                 {3e10, "3e10"}, {-2e-300, "-2e-300"}, {0.00012345, "0.0001234"},
                 {NAN, "nan"},   {1234567, "1.235e6"}};
    char text[SVG_NUMBER_SIZE];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(svg_number(text, cases[i].x), cases[i].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(extreme_values_have_places_or_none),
        cmocka_unit_test(every_point_is_drawn_once),
        cmocka_unit_test(long_series_are_lines),
        cmocka_unit_test(zero_has_a_place_on_a_logarithmic_axis),
        cmocka_unit_test(ticks_are_round),
        cmocka_unit_test(nothing_is_said_to_be_nothing),
        cmocka_unit_test(text_cannot_break_out),
        cmocka_unit_test(names_beside_points_are_apart),
        cmocka_unit_test(plain_colours_come_first),
        cmocka_unit_test(numbers_are_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
