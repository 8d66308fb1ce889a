/* Splitting text. Each split was checked against the `tokenizers` library. */
#include "base/limits.h"
#include "data/tokenizer/bytelevel.h"
#include "data/tokenizer/pattern.h"
#include "data/tokenizer/pretok.h"
#include "data/tokenizer/unicode.h"
#include "unit.h"

#include <stdlib.h>

#define LAST                                                                                                 \
    {                                                                                                        \
        .kind = PRETOK_BYTE_LEVEL                                                                            \
    }

static struct pretok_step split(const char *pattern, enum pretok_behaviour behaviour, bool invert,
                                bool literal)
{
    return (struct pretok_step){.kind = PRETOK_SPLIT,
                                .pattern = {.text = pattern, .length = strlen(pattern), .literal = literal},
                                .behaviour = behaviour,
                                .invert = invert};
}

/* Splits and compares with the pieces, which are written with | between them. */
static void check(const struct pretok_step *steps, size_t count, const char *text, const char *expected)
{
    struct pretok_work work = {0};
    struct pretok *p;
    struct str joined = {0};
    struct err e;
    const struct mapped_view view = {.text = text, .length = strlen(text)};
    assert_ok(pretok_open(&p, steps, count, &e), &e);
    for (int pass = 0; pass < 2; pass++) { /* the second time with used working memory */
        assert_ok(pretok_split(&work, p, &view, &e), &e);
        str_clear(&joined);
        for (size_t i = 0; i < work.count; i++) {
            assert_true(work.pieces[i].start < work.pieces[i].end);
            assert_ok(str_appendf(&joined, &e, "%s%.*s", i > 0 ? "|" : "",
                                  (int)(work.pieces[i].end - work.pieces[i].start),
                                  work.view.text + work.pieces[i].start),
                      &e);
        }
        assert_string_equal(joined.data ? joined.data : "", expected);
    }
    str_release(&joined);
    pretok_work_release(&work);
    pretok_close(p);
}

static void check_split(const char *pattern, enum pretok_behaviour behaviour, bool invert, const char *text,
                        const char *expected)
{
    struct pretok_step steps[] = {split(pattern, behaviour, invert, false), LAST};
    check(steps, 2, text, expected);
}

static void behaviours(void **state)
{
    (void)state;
    const char *text = "the-final--countdown-";
    check_split("-", PRETOK_ISOLATED, false, text, "the|-|final|-|-|countdown|-");
    check_split("-", PRETOK_REMOVED, false, text, "the|final|countdown");
    check_split("-", PRETOK_REMOVED, true, text, "-|-|-|-");
    check_split("-", PRETOK_MERGED_WITH_PREVIOUS, false, text, "the-|final-|-|countdown-");
    check_split("-", PRETOK_MERGED_WITH_NEXT, false, text, "the|-final|-|-countdown|-");
    check_split("-", PRETOK_CONTIGUOUS, false, text, "the|-|final|--|countdown|-");
    check_split("-", PRETOK_MERGED_WITH_NEXT, true, text, "the-|final-|-|countdown-");
    check_split("(?=o)", PRETOK_ISOLATED, false, "foo bar", "f|o|o bar");
    check_split("x*", PRETOK_ISOLATED, false, "axxb", "a|xx|b");
    check_split("^a|b$", PRETOK_ISOLATED, false, "ab\nab", "a|b|\n|a|b"); /* lines, as in Ruby */
    check_split("-", PRETOK_ISOLATED, false, "", "");
}

static void literal_patterns(void **state)
{
    (void)state;
    struct pretok_step steps[] = {split(".*", PRETOK_ISOLATED, false, true), LAST};
    check(steps, 2, "a.*b.c", "a|.*|b.c");
}

static void digits(void **state)
{
    (void)state;
    struct pretok_step each[] = {{.kind = PRETOK_DIGITS, .individual_digits = true}, LAST};
    struct pretok_step runs[] = {{.kind = PRETOK_DIGITS}, LAST};
    check(each, 2, "a12\u0663\u00bd\u2167x", "a|1|2|\u0663|\u00bd|\u2167|x");
    check(runs, 2, "a12\u0663\u00bd\u2167x9", "a|12\u0663\u00bd\u2167|x|9");
}

static void byte_level(void **state)
{
    (void)state;
    struct pretok_step gpt2[] = {{.kind = PRETOK_BYTE_LEVEL, .use_regex = true}};
    struct pretok_step prefix[] = {split(",", PRETOK_ISOLATED, false, false),
                                   {.kind = PRETOK_BYTE_LEVEL, .add_prefix_space = true}};
    struct pretok_step behind[] = {LAST, split("\u0120", PRETOK_MERGED_WITH_NEXT, false, false)};
    check(gpt2, 1, "Hello  world's 12 \u2028", "Hello| | world|'s| 12| \u2028");
    check(gpt2, 1, "a\u180eb", "a|\u180e|b"); /* no space to Unicode */
    check(gpt2, 1, "a\u180e\u180e b", "a|\u180e\u180e| b");
    check(prefix, 2, "a, b\u00e9", " a| ,| b\u00e9");
    check(behind, 2, "a b c", "a| b| c"); /* U+0120 is the space, after ByteLevel */
}

static void case_is_folded(void **state)
{
    (void)state;
    check_split("(?i:'s|'ve)|'(?i:[sk]x)", PRETOK_ISOLATED, false, "a'Sb'\u017fc'VEd'\u212ax",
                "a|'S|b|'\u017f|c|'VE|d|'\u212ax");
}

static void inserted_spaces_stand_for_the_first_character(void **state)
{
    (void)state;
    struct pretok_step steps[] = {split(",", PRETOK_REMOVED, false, false),
                                  {.kind = PRETOK_BYTE_LEVEL, .add_prefix_space = true}};
    struct pretok_work work = {0};
    struct pretok *p;
    struct err e;
    assert_ok(pretok_open(&p, steps, 2, &e), &e);
    assert_ok(pretok_split(&work, p, &(struct mapped_view){.text = "\u00e9,b", .length = 4}, &e), &e);
    assert_int_equal(work.view.length, 5);
    const uint32_t start[] = {0, 0, 1, 3, 3}, end[] = {2, 1, 2, 4, 4};
    assert_memory_equal(work.view.start, start, sizeof start);
    assert_memory_equal(work.view.end, end, sizeof end);
    pretok_work_release(&work);
    pretok_close(p);
}

static void sequences_that_are_refused(void **state)
{
    (void)state;
    struct pretok_step late[] = {LAST, {.kind = PRETOK_METASPACE, .replacement = "_"}}, twice[] = {LAST, LAST},
                       many[PRETOK_MAX_STEPS + 1] = {LAST};
    struct pretok_step broken[] = {split("a(b", PRETOK_ISOLATED, false, false), LAST};
    struct pretok *p;
    struct err e;
    assert_error(pretok_open(&p, late, 2, &e), &e, ERR_UNSUPPORTED, "Metaspace");
    assert_error(pretok_open(&p, twice, 2, &e), &e, ERR_UNSUPPORTED, "2 ByteLevel");
    assert_error(pretok_open(&p, many, PRETOK_MAX_STEPS + 1, &e), &e, ERR_UNSUPPORTED, "in a row");
    assert_error(pretok_open(&p, broken, 2, &e), &e, ERR_UNSUPPORTED, "a(b");
    pretok_close(NULL);
}

static void patterns_that_are_refused(void **state)
{
    (void)state;
    static const char *const patterns[] = {
        "\\w",      "\\b",          "\\h",        "\\R",         "\\X",         "\\1",         "\\k<a>",
        "\\p{Han}", "\\p{Greek}",   "\\pL",       "\\",          "\\x41",       "\\u12",       "\\x{",
        "[a",       "[]",           "[^]",        "[a[bc]]",     "[a&&b]",      "[\\s-z]",     "(?i)",
        "(?m:a)",   "(?<n>a)",      "(*FAIL)",    "a)",          "a{1,3}+",     "a{2}?",       "{,3}",
        "a{x}",     "(?i:\\p{Lu})", "(?i:first)", "(?i:\u00e9)", "[[:alpha:]]", "(?#comment)", "(?x: a)",
        "\\A",      "\\z",          "\\G",        "[\\w]"};
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        struct str out = {0};
        struct err e;
        assert_error(pattern_translate(&out, patterns[i], strlen(patterns[i]), &e), &e, ERR_UNSUPPORTED,
                     "byte ");
        str_release(&out);
    }
}

/* A pattern may go back over the whole of a long text once; one that goes on for ever is stopped. */
static void runaway_patterns_are_stopped(void **state)
{
    (void)state;
    const size_t length = 3000000;
    struct pretok_work w = {0};
    struct pretok *p;
    struct err e;
    char *spaces = malloc(length);
    assert_non_null(spaces);
    memset(spaces, ' ', length);
    spaces[length - 1] = 'a';
    const struct pretok_step sound[] = {
        split("\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+|\\S+", PRETOK_ISOLATED, false, false), LAST};
    assert_ok(pretok_open(&p, sound, 2, &e), &e);
    assert_ok(pretok_split(&w, p, &(struct mapped_view){.text = spaces, .length = length}, &e), &e);
    assert_int_equal(w.count, 3);
    pretok_close(p);
    free(spaces);

    const struct pretok_step runaway[] = {split("(a+a+)+b", PRETOK_ISOLATED, false, false), LAST};
    assert_ok(pretok_open(&p, runaway, 2, &e), &e);
    const struct mapped_view many = {.text = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaacb", .length = 40};
    assert_error(pretok_split(&w, p, &many, &e), &e, ERR_DATA,
                 "the tokenizer's pattern fails on this text");
    pretok_close(p);
    pretok_work_release(&w);

    char long_pattern[LIMIT_SPLIT_PATTERN + 2];
    memset(long_pattern, 'a', sizeof long_pattern);
    long_pattern[sizeof long_pattern - 1] = '\0';
    const struct pretok_step large[] = {split(long_pattern, PRETOK_ISOLATED, false, false), LAST};
    assert_error(pretok_open(&p, large, 2, &e), &e, ERR_UNSUPPORTED, "at most 16384 are read");
}

static void alphabet_is_a_bijection(void **state)
{
    (void)state;
    bool seen[0x200] = {false};
    for (int byte = 0; byte < 256; byte++) {
        char text[2], back[2];
        size_t at = 0, count, size = bytelevel_encode(text, (unsigned char)byte);
        assert_true(bytelevel_decode(back, &count, text, size) && count == 1 &&
                    (unsigned char)back[0] == byte);
        int32_t c = unicode_next(text, &at);
        assert_true(at == size && c > ' ' && c < 0x144 && !seen[c]);
        seen[c] = true;
    }
    char out[8];
    size_t count;
    assert_false(bytelevel_decode(out, &count, " ", 1));
    assert_false(bytelevel_decode(out, &count, "\u0144", 2));
    assert_false(bytelevel_decode(out, &count, "\u6f22", 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(behaviours),
        cmocka_unit_test(literal_patterns),
        cmocka_unit_test(digits),
        cmocka_unit_test(byte_level),
        cmocka_unit_test(case_is_folded),
        cmocka_unit_test(inserted_spaces_stand_for_the_first_character),
        cmocka_unit_test(sequences_that_are_refused),
        cmocka_unit_test(patterns_that_are_refused),
        cmocka_unit_test(runaway_patterns_are_stopped),
        cmocka_unit_test(alphabet_is_a_bijection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
