#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/regex.h"

static bool full(const char *pattern, const char *text)
{
    struct err e;
    struct regex *r;
    struct regex_scratch *s;
    bool matches = false;
    assert_int_equal(regex_open(&r, pattern, strlen(pattern), REGEX_TEXT, &e), ERR_OK);
    assert_int_equal(regex_scratch_open(&s, &e), ERR_OK);
    assert_int_equal(regex_full_match(&matches, r, s, text, strlen(text), &e), ERR_OK);
    regex_scratch_close(s);
    regex_close(r);
    return matches;
}

/* Expectations are what Python's re.fullmatch answers. */
static void full_match_spans_the_whole_text(void **state)
{
    (void)state;
    assert_true(full(".*\\.(q|v)_proj", "model.layers.0.self_attn.q_proj"));
    assert_false(full("(q|v)_proj", "model.layers.0.self_attn.q_proj"));
    assert_false(full("model", "model.layers"));
    assert_true(full("a|ab", "ab")); /* the first alternative matches, but not all of it */
    assert_true(full("(a+?)(b?)", "aaab"));
    assert_true(full("", ""));
    assert_false(full("", "x"));
    assert_false(full("a$", "a\n"));
    assert_true(full("\\w+", "\xc3\xa4\xc3\xb6"));
    assert_true(full("(?P<layer>\\d+)", "12"));
}

static void syntaxes_differ(void **state)
{
    (void)state;
    const struct {
        enum regex_syntax syntax;
        const char *pattern;
        bool found;
    } cases[] = {
        {REGEX_TEXT, "^b$", false},   {REGEX_LINES, "^b$", true}, {REGEX_LITERAL, "^b$", false},
        {REGEX_TEXT, "a.b", false},   {REGEX_TEXT, "x.y", true},  {REGEX_LITERAL, "x.y", false},
        {REGEX_LITERAL, "x+y", true},
    };
    const char *text = "a\nb\nx+y";
    struct regex_scratch *s;
    struct err e;
    assert_int_equal(regex_scratch_open(&s, &e), ERR_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct regex *r;
        size_t start, end;
        bool found;
        assert_int_equal(regex_open(&r, cases[i].pattern, 3, cases[i].syntax, &e), ERR_OK);
        assert_int_equal(regex_find(&found, &start, &end, r, s, text, strlen(text), 0, &e), ERR_OK);
        assert_int_equal(found, cases[i].found);
        regex_close(r);
    }
    regex_scratch_close(s);
}

static void find_walks_over_a_text(void **state)
{
    (void)state;
    struct err e;
    struct regex *r;
    struct regex_scratch *s;
    const char *text = "caf\xc3\xa9 12 x";
    const char *pattern = "\\p{L}+|\\p{N}+";
    const size_t expected[][2] = {{0, 5}, {6, 8}, {9, 10}};
    assert_int_equal(regex_open(&r, pattern, strlen(pattern), REGEX_TEXT, &e), ERR_OK);
    assert_int_equal(regex_scratch_open(&s, &e), ERR_OK);
    bool found;
    size_t start, end = 0;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(regex_find(&found, &start, &end, r, s, text, strlen(text), end, &e), ERR_OK);
        assert_true(found);
        assert_int_equal(start, expected[i][0]);
        assert_int_equal(end, expected[i][1]);
    }
    assert_int_equal(regex_find(&found, &start, &end, r, s, text, strlen(text), end, &e), ERR_OK);
    assert_false(found);
    regex_scratch_close(s);
    regex_close(r);
}

static void bad_patterns_are_named(void **state)
{
    (void)state;
    struct err e;
    struct regex *r;
    assert_int_equal(regex_open(&r, "(q_proj", 7, REGEX_TEXT, &e), ERR_USAGE);
    assert_null(r);
    assert_non_null(strstr(e.message, "'(q_proj': at byte 7"));
    assert_int_equal(regex_open(&r, "\xff", 1, REGEX_TEXT, &e), ERR_USAGE);
}

static void bad_text_and_runaway_matches_are_errors(void **state)
{
    (void)state;
    struct err e;
    struct regex *r;
    struct regex_scratch *s;
    bool matches;
    assert_int_equal(regex_open(&r, "(x+x+)+y", 8, REGEX_TEXT, &e), ERR_OK);
    assert_int_equal(regex_scratch_open(&s, &e), ERR_OK);
    assert_int_equal(regex_full_match(&matches, r, s, "\xc3", 1, &e), ERR_DATA);
    char text[64];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = 'z';
    text[sizeof text - 2] = 'y';
    assert_int_equal(regex_full_match(&matches, r, s, text, sizeof text, &e), ERR_USAGE);
    assert_non_null(strstr(e.message, "limit"));
    regex_scratch_close(s);
    regex_close(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_match_spans_the_whole_text),
        cmocka_unit_test(syntaxes_differ),
        cmocka_unit_test(find_walks_over_a_text),
        cmocka_unit_test(bad_patterns_are_named),
        cmocka_unit_test(bad_text_and_runaway_matches_are_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
