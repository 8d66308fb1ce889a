#include "unit.h"

#include <errno.h>
#include <string.h>

static void sets_code_and_message(void **state)
{
    (void)state;
    struct err e;
    assert_int_equal(err_set(&e, ERR_FORMAT, "file %s, byte %d", "a.gguf", 12), ERR_FORMAT);
    assert_int_equal(e.code, ERR_FORMAT);
    assert_string_equal(e.message, "file a.gguf, byte 12");
}

static void adds_the_text_of_errno(void **state)
{
    (void)state;
    struct err e;
    assert_int_equal(err_set_errno(&e, ENOENT, "cannot open %s", "x"), ERR_IO);
    assert_string_equal(e.message, "cannot open x: No such file or directory");
}

static void wraps_in_context(void **state)
{
    (void)state;
    struct err e;
    err_set(&e, ERR_DATA, "inner");
    assert_int_equal(err_wrap(&e, "line %d", 3), ERR_DATA);
    assert_string_equal(e.message, "line 3: inner");
    assert_int_equal(err_wrap(&e, "%s", e.message), ERR_DATA); /* its own message as context */
}

static void cuts_long_messages_between_characters(void **state)
{
    (void)state;
    struct err e;
    char text[3 * sizeof e.message];
    for (size_t shift = 0; shift < 2; shift++) { /* two-byte letters on even and on odd offsets */
        memset(text, 'x', sizeof text);
        for (size_t i = shift; i + 2 < sizeof text; i += 2)
            memcpy(text + i, "\xC3\xA9", 2);
        text[sizeof text - 1] = '\0';
        for (int way = 0; way < 3; way++) {
            if (way == 0) {
                err_set(&e, ERR_IO, "%s", text);
            } else if (way == 1) {
                err_set_errno(&e, EIO, "%s", text);
            } else {
                err_set(&e, ERR_IO, "end");
                err_wrap(&e, "%s", text);
            }
            size_t length = strlen(e.message);
            assert_true(length < sizeof e.message && length > sizeof e.message - 8);
            assert_string_equal(e.message + length - 3, "...");
            assert_int_equal((unsigned char)e.message[length - 4], 0xA9); /* a whole letter before the dots */
        }
    }
}

static void knows_words_and_exit_statuses(void **state)
{
    (void)state;
    assert_string_equal(err_word(ERR_FORMAT), "format");
    assert_int_equal(err_exit_status(ERR_OK), 0);
    assert_int_equal(err_exit_status(ERR_USAGE), 2);
    assert_int_equal(err_exit_status(ERR_STOPPED), 75);
    for (int code = 1; code < ERR_CODE_COUNT; code++) {
        assert_true(strlen(err_word((enum err_code)code)) > 0);
        assert_int_not_equal(err_exit_status((enum err_code)code), 0);
    }
}

static void things_get_another_name(void **state)
{
    (void)state;
    struct err e;
    err_set(&e, ERR_IO, "cannot move ab/x to ab/y: ab");
    err_rename(&e, "ab", "longer");
    assert_string_equal(e.message, "cannot move longer/x to longer/y: longer");
    err_rename(&e, "none", "");
    assert_string_equal(e.message, "cannot move longer/x to longer/y: longer");
    memset(e.message, 'a', sizeof e.message - 1);
    e.message[sizeof e.message - 1] = '\0';
    err_rename(&e, "a", "bc");
    assert_int_equal(strlen(e.message), sizeof e.message - 1);
    assert_string_equal(e.message + sizeof e.message - 5, "c...");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(things_get_another_name),
                                       cmocka_unit_test(sets_code_and_message),
                                       cmocka_unit_test(adds_the_text_of_errno),
                                       cmocka_unit_test(wraps_in_context),
                                       cmocka_unit_test(cuts_long_messages_between_characters),
                                       cmocka_unit_test(knows_words_and_exit_statuses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
