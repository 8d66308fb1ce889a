/* Classes of characters and normalisation forms, against Unicode's definitions. */
#include "data/tokenizer/unicode.h"
#include "unit.h"

#include <string.h>

static void check_form(struct unicode_form form, const char *text, const char *expected)
{
    const struct mapped_view view = {.text = text, .length = strlen(text)};
    struct mapped out = {0};
    struct err e;
    bool changed;
    assert_ok(unicode_normalize(&changed, &out, &view, form, &e), &e);
    assert_int_equal(changed, strcmp(text, expected) != 0);
    if (changed) {
        assert_int_equal(out.length, strlen(expected));
        assert_memory_equal(out.bytes, expected, out.length);
        uint32_t last = 0;
        for (size_t i = 0; i < out.length; i++) {
            assert_true(out.start[i] >= last && out.start[i] < out.end[i] && out.end[i] <= strlen(text));
            last = out.start[i];
        }
    }
    mapped_release(&out);
}

static void check_nfc(const char *text, const char *expected)
{
    check_form((struct unicode_form){.compose = true}, text, expected);
}

static void canonical_composition(void **state)
{
    (void)state;
    check_nfc("", "");
    check_nfc("plain, \u00e9 and \u6f22\uac01", "plain, \u00e9 and \u6f22\uac01");
    check_nfc("e\u0301e", "\u00e9e");
    check_nfc("\u212b\u2126", "\u00c5\u03a9");                             /* singletons */
    check_nfc("\u1100\u1161\u11a8 \uac00\u11a8", "\uac01 \uac01");         /* Hangul */
    check_nfc("a\u0323\u0307 a\u0307\u0323", "\u1ea1\u0307 \u1ea1\u0307"); /* order of marks */
    check_nfc("\u0915\u093c", "\u0915\u093c");                             /* excluded from composition */
    check_nfc("\u0958", "\u0915\u093c");
    check_nfc("\u0b47\u0b3e", "\u0b4b"); /* a vowel sign of class 0 */
    check_nfc("\u0301x", "\u0301x");
}

static void other_forms(void **state)
{
    (void)state;
    const struct unicode_form nfd = {0}, nfkd = {.compatibility = true},
                              nfkc = {.compose = true, .compatibility = true};
    check_form(nfd, "\u00e9\uac01x", "e\u0301\u1100\u1161\u11a8x");
    check_form(nfd, "\u1ea1\u0307", "a\u0323\u0307");
    check_form(nfd, "\ufb01\u00bd", "\ufb01\u00bd"); /* compatibility alone */
    check_form(nfkd, "\ufb01\u00e9\u00a0\u00bd", "fie\u0301 1\u20442");
    check_form(nfkc, "\ufb01e\u0301\uff21\u00b2", "fi\u00e9A2");
    check_form(nfkc, "\uff76\uff9e", "\u30ac");       /* a halfwidth sound mark combines with what is before */
    check_form(nfkc, "\u3131\u314f", "\uac00"); /* so do letters of Hangul */
    check_form(nfkc, "plain", "plain");
}

static void classes(void **state)
{
    (void)state;
    static const int32_t words[] = {'a', '_', '7', 0xE9, 0x24B6, 0x200D, 0x301, 0x6F22, 0x2160};
    static const int32_t others[] = {' ', '-', 0xBD, 0x2026, 0x1F600, 0x3000, 0x200B};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        assert_true(unicode_is_word(words[i]));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(unicode_is_word(others[i]));
    assert_true(unicode_is_space(0x85) && unicode_is_space(0x2009) && unicode_is_space('\v'));
    assert_false(unicode_is_space(0x180E) || unicode_is_space(0x200B) || unicode_is_space(0x1C));
}

static void columns_of_a_terminal(void **state)
{
    (void)state;
    static const int32_t one[] = {' ', 'a', '~', 0xE9, 0x416, 0x3B1, 0x2013, 0xFFFD},
                         two[] = {0x3042, 0x65E5, 0xAC01, 0xFF21, 0x1F600}, none[] = {0x301, 0x200D, 0xFE0F};
    for (size_t i = 0; i < sizeof one / sizeof *one; i++)
        assert_int_equal(unicode_width(one[i]), 1);
    for (size_t i = 0; i < sizeof two / sizeof *two; i++)
        assert_int_equal(unicode_width(two[i]), 2);
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_int_equal(unicode_width(none[i]), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(canonical_composition),
        cmocka_unit_test(other_forms),
        cmocka_unit_test(classes),
        cmocka_unit_test(columns_of_a_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
