#include "unit.h"

#include <stdlib.h>

#include "base/str.h"

static void grows_and_stays_terminated(void **state)
{
    (void)state;
    struct str s = {0};
    struct err e;
    for (int i = 0; i < 1000; i++) {
        assert_ok(str_appendf(&s, &e, "%d,", i), &e);
        assert_int_equal(strlen(s.data), s.length);
    }
    assert_true(str_starts_with(s.data, "0,1,2,"));
    assert_true(str_ends_with(s.data, ",998,999,"));
    assert_int_equal(s.length, 10 * 2 + 90 * 3 + 900 * 4);
    str_clear(&s);
    assert_string_equal(s.data, "");
    assert_ok(str_append(&s, "a\0b", 3, &e), &e);
    assert_int_equal(s.length, 3);
    assert_memory_equal(s.data, "a\0b\0", 4);
    assert_ok(str_append(&s, NULL, 0, &e), &e);
    str_release(&s);
    assert_null(s.data);
}

static void reserve_keeps_content_and_pointer(void **state)
{
    (void)state;
    struct str s = {0};
    struct err e;
    assert_ok(str_append(&s, "abc", 3, &e), &e);
    assert_ok(str_reserve(&s, 10000, &e), &e);
    char *data = s.data;
    char chunk[9997];
    memset(chunk, 'x', sizeof chunk);
    assert_ok(str_append(&s, chunk, sizeof chunk, &e), &e);
    assert_ptr_equal(s.data, data);
    assert_memory_equal(s.data, "abcx", 4);
    assert_error(str_reserve(&s, SIZE_MAX, &e), &e, ERR_MEMORY, "more than");
    assert_error(str_append(&s, chunk, SIZE_MAX - 5, &e), &e, ERR_MEMORY, "more than");
    assert_int_equal(s.length, 10000); /* untouched by failures */
    str_release(&s);
}

static void measures_distance(void **state)
{
    (void)state;
    assert_int_equal(str_distance("", ""), 0);
    assert_int_equal(str_distance("abc", ""), 3);
    assert_int_equal(str_distance("kitten", "sitting"), 3);
    assert_int_equal(str_distance("sitting", "kitten"), 3);
    assert_int_equal(str_distance("saturday", "sunday"), 3);
    assert_int_equal(str_distance("ab", "ba"), 1);
    assert_int_equal(str_distance("xaby", "xbay"), 1);
    assert_int_equal(str_distance("abcd", "badc"), 2);
    char word[300];
    memset(word, 'a', sizeof word);
    word[sizeof word - 1] = '\0';
    assert_int_equal(str_distance(word, "a"), STR_DISTANCE_MAX + 1);
    assert_int_equal(str_distance("a", word), STR_DISTANCE_MAX + 1);
    word[STR_DISTANCE_MAX] = '\0';
    assert_int_equal(str_distance(word, "a"), STR_DISTANCE_MAX - 1);
}

static void finds_the_nearest_word(void **state)
{
    (void)state;
    static const char *const words[] = {"learning-rate", "lora-rank", "seed", "epochs"};
    assert_string_equal(str_nearest("lerning-rate", words, 4), "learning-rate");
    assert_string_equal(str_nearest("lora_rank", words, 4), "lora-rank");
    assert_string_equal(str_nearest("sede", words, 4), "seed"); /* a swap is one slip */
    assert_null(str_nearest("soad", words, 4));                 /* two in four letters are another word */
    assert_string_equal(str_nearest("sead", words, 4), "seed");
    assert_null(str_nearest("banana", words, 4));
    assert_null(str_nearest("", words, 4));
    assert_null(str_nearest("x", (const char *const[]){"y"}, 1)); /* nothing in common */
    assert_null(str_nearest("seed", NULL, 0));
}

static void compares_ends(void **state)
{
    (void)state;
    assert_true(str_starts_with("abc", ""));
    assert_true(str_starts_with("abc", "abc"));
    assert_false(str_starts_with("ab", "abc"));
    assert_true(str_ends_with("model.gguf", ".gguf"));
    assert_false(str_ends_with("gguf", ".gguf"));
}

/* Unicode's definition, written plainly: decode, then check the number. */
static size_t valid_prefix_slowly(const unsigned char *p, size_t length)
{
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    size_t at = 0;
    while (at < length) {
        size_t more = p[at] < 0x80       ? 0
                      : p[at] >> 5 == 6  ? 1
                      : p[at] >> 4 == 14 ? 2
                      : p[at] >> 3 == 30 ? 3
                                         : 9;
        if (more == 9 || at + more >= length)
            return at;
        uint32_t point = more ? p[at] & (0x3Fu >> more) : p[at];
        for (size_t i = 1; i <= more; i++) {
            if (p[at + i] >> 6 != 2)
                return at;
            point = point << 6 | (p[at + i] & 0x3Fu);
        }
        if (point < least[more] || point > 0x10FFFF || (point >= 0xD800 && point < 0xE000))
            return at;
        at += more + 1;
    }
    return at;
}

static void checks_utf8_like_the_definition(void **state)
{
    (void)state;
    unsigned char text[24];
    for (uint32_t lead = 0; lead < 256; lead++) /* every pair of first bytes, before and after plain text */
        for (uint32_t second = 0; second < 256; second++)
            for (uint32_t third = 0x7F; third <= 0xC0; third += 0x20) {
                memset(text, 'a', sizeof text);
                text[9] = (unsigned char)lead;
                text[10] = (unsigned char)second;
                text[11] = (unsigned char)third;
                text[12] = 0x80;
                for (size_t length = 9; length <= sizeof text; length += length < 14 ? 1 : 10)
                    assert_int_equal(str_utf8_valid_prefix(text, length), valid_prefix_slowly(text, length));
            }
    assert_int_equal(str_utf8_cut("ab", 2), 2);
    assert_int_equal(str_utf8_cut("abc", 2), 2);
    assert_int_equal(str_utf8_cut("a\xc3\xa9z", 2), 1);
    assert_int_equal(str_utf8_cut("a\xc3\xa9z", 3), 3);
    assert_int_equal(str_utf8_cut("\xf0\x9f\x98\x80!", 3), 0);
    assert_int_equal(str_utf8_valid_prefix("\xED\xA0\x80", 3), 0);          /* surrogate */
    assert_int_equal(str_utf8_valid_prefix("a\xC0\x80", 3), 1);             /* overlong zero */
    assert_int_equal(str_utf8_valid_prefix("\xF4\x90\x80\x80", 4), 0);      /* over U+10FFFF */
    assert_int_equal(str_utf8_valid_prefix("\xF0\x9F\x98\x80z", 5), 5);     /* an emoji */
    assert_int_equal(str_utf8_valid_prefix("abcdefgh\xF0\x9F\x98", 11), 8); /* cut short */
    assert_int_equal(str_utf8_valid_prefix("", 0), 0);
}

static void words_of_a_shell(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"a/b-c.jsonl", "a/b-c.jsonl"}, {"", "''"},      {"a b", "'a b'"},
                                           {"it's", "'it'\\''s'"},         {"$x", "'$x'"}, {"~", "'~'"},
                                           {"\303\244", "'\303\244'"},      {"*", "'*'"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err e;
        struct str s = {0};
        assert_ok(str_append_word(&s, cases[i][0], &e), &e);
        assert_string_equal(s.data, cases[i][1]);
        str_release(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(words_of_a_shell),
                                       cmocka_unit_test(grows_and_stays_terminated),
                                       cmocka_unit_test(reserve_keeps_content_and_pointer),
                                       cmocka_unit_test(measures_distance),
                                       cmocka_unit_test(finds_the_nearest_word),
                                       cmocka_unit_test(compares_ends),
                                       cmocka_unit_test(checks_utf8_like_the_definition)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
