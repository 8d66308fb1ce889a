#include "io_files.h"
#include "io/json.h"

#include <math.h>

static const char document[] =
    "{\"name\": \"llama\", \"layers\": 30, \"eps\": 1e-5, \"tied\": true, \"none\": null,\n"
    " \"list\": [1, \"two\", 3.5, {\"deep\": [[]]}], \"text\": \"a\\u00e9\\n\\ud83d\\ude00\"}";

static struct json *parse(const char *text)
{
    struct json *doc;
    struct err e;
    assert_ok(json_open_bytes(&doc, text, strlen(text), "test", &e), &e);
    return doc;
}

static void refuse(const char *text, size_t length, const char *message)
{
    struct json *doc;
    struct err e;
    assert_error(json_open_bytes(&doc, text, length, "data.jsonl:17", &e), &e, ERR_FORMAT, message);
    assert_non_null(strstr(e.message, "data.jsonl:17: line "));
    assert_null(doc);
}

static void test_values(void **state)
{
    (void)state;
    struct json *doc = parse(document);
    const struct json_value *root = json_root(doc);
    assert_int_equal(json_kind(root), JSON_KIND_OBJECT);
    assert_int_equal(json_count(root), 7);
    assert_string_equal(json_text(json_get(root, "name")), "llama");
    assert_int_equal(json_int(json_get(root, "layers"), -1), 30);
    assert_true(json_number(json_get(root, "layers"), -1) == 30.0);
    assert_true(json_number(json_get(root, "eps"), -1) == 1e-5);
    assert_int_equal(json_int(json_get(root, "eps"), -1), -1);
    assert_true(json_bool(json_get(root, "tied"), false));
    assert_true(json_bool(json_get(root, "layers"), true));
    assert_int_equal(json_kind(json_get(root, "none")), JSON_KIND_NULL);
    assert_int_equal(json_kind(json_get(root, "absent")), JSON_KIND_NONE);
    const struct json_value *list = json_get(root, "list");
    assert_int_equal(json_count(list), 4);
    assert_string_equal(json_kind_name(json_at(list, 0)), "an integer");
    assert_string_equal(json_text(json_at(list, 1)), "two");
    assert_string_equal(json_kind_name(json_at(list, 2)), "a real number");
    assert_null(json_at(list, 4));
    const struct json_value *text = json_get(root, "text");
    assert_string_equal(json_text(text), "a\xc3\xa9\n\xf0\x9f\x98\x80");
    assert_int_equal(json_text_length(text), 8);
    json_close(doc);
}

static void expect_written(const char *text, const char *written)
{
    struct json *doc = parse(text);
    struct str out = {0};
    struct err e;
    assert_ok(json_append_value(&out, json_root(doc), &e), &e);
    assert_string_equal(out.data, written);
    str_release(&out);
    json_close(doc);
}

/* Of each kind of value and escape one, and mistakes next to them. */
static void test_plain_and_not(void **state)
{
    (void)state;
    expect_written(" [ 1 , -20,\t0, 123456789012345678 ]\n", "[1, -20, 0, 123456789012345678]");
    expect_written("{\"b\" : {} , \"a\":[ ],\"\": null}", "{\"b\": {}, \"a\": [], \"\": null}");
    expect_written("[true,false,null,\"\"]", "[true, false, null, \"\"]");
    expect_written("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\\"\\\\/\\b\\f\\n\\r\\t\"");
    expect_written("\"a\\u0041\\u00e9\\u20AC\\ud83d\\uDE00z\"", "\"aA\u00e9\u20ac\U0001f600z\"");
    expect_written("[-0, 1.5, 1e2, 1234567890123456789]", "[0, 1.5, 100.0, 1234567890123456789]");
    static const char *const wrong[] = {
        "[1,]",       "{\"a\":1,}",   "[01]",    "[-]",    "\"\\ud83d\"", "\"\\ude00\"",
        "\"\\u0000\"", "\"\\u12g4\"", "\"\\x\"", "[1 2]",  "{\"a\" 1}",   "{1:2}",
        "nul",        "truefalse",    "[1]]",    "",       "\"a\nb\"",    "\"\xff\"",
        "[\"a\"",     "{\"a\":}",     "{\"a\":1,\"a\":2}", "\"\xed\xa0\x80\"",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        refuse(wrong[i], strlen(wrong[i]), "not valid JSON");
}

/* A key that is there, one that is null and one that is missing; then each kind where another is wanted. */
static void test_fields(void **state)
{
    (void)state;
    struct err e;
    struct json *doc = parse(document);
    const struct json_fields f = {.object = json_root(doc), .file = "config.json"};
    const struct json_fields line = {
        .object = json_at(json_get(json_root(doc), "list"), 3), .part = "item 3", .code = ERR_DATA};
    size_t size = 0;
    double number = 0;
    bool flag = false;
    const char *text = NULL;
    const struct json_value *value;
    assert_ok(json_get_size(&size, &f, "layers", 7, &e), &e);
    assert_int_equal(size, 30);
    assert_ok(json_get_size(&size, &f, "none", 7, &e), &e);
    assert_int_equal(size, 7);
    assert_ok(json_need_size(&size, &f, "layers", &e), &e);
    assert_int_equal(size, 30);
    assert_ok(json_get_number(&number, &f, "eps", 7, &e), &e);
    assert_true(number == 1e-5);
    assert_ok(json_get_number(&number, &f, "layers", 7, &e), &e);
    assert_true(number == 30);
    assert_ok(json_get_number(&number, &f, "missing", 7, &e), &e);
    assert_true(number == 7);
    assert_ok(json_get_flag(&flag, &f, "tied", false, &e), &e);
    assert_true(flag);
    assert_ok(json_get_flag(&flag, &f, "missing", false, &e), &e);
    assert_false(flag);
    assert_ok(json_get_text(&text, &f, "name", "x", &e), &e);
    assert_string_equal(text, "llama");
    assert_ok(json_get_text(&text, &f, "none", "x", &e), &e);
    assert_string_equal(text, "x");
    assert_ok(json_need_text(&text, &f, "name", &e), &e);
    assert_string_equal(text, "llama");
    assert_ok(json_need_value(&value, &f, "list", JSON_KIND_ARRAY, &e), &e);
    assert_int_equal(json_count(value), 4);
    assert_ok(json_get_value(&value, &f, "none", JSON_KIND_OBJECT, &e), &e);
    assert_null(value);
    assert_error(json_get_size(&size, &f, "eps", 7, &e), &e, ERR_FORMAT,
                 "config.json: \"eps\" must be a whole number, not a real number");
    assert_error(json_get_number(&number, &f, "name", 7, &e), &e, ERR_FORMAT,
                 "config.json: \"name\" must be a number, not a string");
    assert_error(json_get_flag(&flag, &f, "layers", true, &e), &e, ERR_FORMAT,
                 "config.json: \"layers\" must be true or false, not an integer");
    assert_error(json_get_text(&text, &f, "list", "x", &e), &e, ERR_FORMAT,
                 "config.json: \"list\" must be a string, not an array");
    assert_error(json_get_value(&value, &f, "tied", JSON_KIND_OBJECT, &e), &e, ERR_FORMAT,
                 "config.json: \"tied\" must be an object, not true or false");
    assert_error(json_need_size(&size, &f, "missing", &e), &e, ERR_FORMAT,
                 "\"missing\" must be a whole number, not nothing");
    assert_error(json_need_text(&text, &line, "none", &e), &e, ERR_DATA,
                 "item 3: \"none\" must be a string, not nothing");
    assert_error(json_need_value(&value, &f, "none", JSON_KIND_ARRAY, &e), &e, ERR_FORMAT,
                 "config.json: \"none\" must be an array, not null");
    json_close(doc);
    doc = parse("{\"r\": -1}");
    assert_error(json_get_size(&size, &(struct json_fields){.object = json_root(doc)}, "r", 8, &e), &e,
                 ERR_FORMAT, "\"r\" must not be negative");
    json_close(doc);
}

static void test_nothing_is_harmless(void **state)
{
    (void)state;
    assert_int_equal(json_kind(NULL), JSON_KIND_NONE);
    assert_string_equal(json_kind_name(NULL), "nothing");
    assert_null(json_get(NULL, "x"));
    assert_null(json_at(NULL, 0));
    assert_null(json_text(NULL));
    assert_int_equal(json_count(NULL) + json_text_length(NULL), 0);
    assert_int_equal(json_int(NULL, 3), 3);
    assert_true(json_number(NULL, 0.5) == 0.5 && json_bool(NULL, true));
    assert_null(json_first(NULL).key);
    assert_null(json_root(NULL));
    json_close(NULL);
}

static void test_members_in_order(void **state)
{
    (void)state;
    enum { COUNT = 200000 };
    struct err e;
    struct str text = {0};
    for (int i = 0; i < COUNT; i++)
        assert_ok(str_appendf(&text, &e, "%s\"token %d\":%d", i ? "," : "{", i * 7919 % COUNT, i), &e);
    assert_ok(str_append(&text, "}", 1, &e), &e);
    struct json *doc = parse(text.data);
    int64_t at = 0;
    for (struct json_member m = json_first(json_root(doc)); m.key; m = json_next(m), at++) {
        assert_int_equal(json_int(m.value, -1), at);
        assert_int_equal(atol(m.key + 6), at * 7919 % COUNT);
    }
    assert_int_equal(at, COUNT);
    json_close(doc);
    str_release(&text);
}

static void test_refusals(void **state)
{
    (void)state;
    refuse("{\"a\":1,\"a\":2}", 13, "duplicate");
    refuse("{\"a\":\"x\\u0000y\"}", 16, "not valid JSON");
    refuse("{\"a\0b\":1}", 9, "not valid JSON");
    refuse("\n\n{\"a\" 1}", 9, "line 3");
    refuse("\"\xff\"", 3, "not valid JSON");
    refuse("\"\\ud800\"", 8, "not valid JSON");
    refuse("{} {}", 5, "not valid JSON");
    refuse("1e999", 5, "not valid JSON");
    refuse("NaN", 3, "not valid JSON");
    refuse("", 0, "not valid JSON");
    struct str deep = {0};
    struct err e;
    for (int i = 0; i < 100000; i++)
        assert_ok(str_append(&deep, "[", 1, &e), &e);
    refuse(deep.data, deep.length, "depth");
    str_release(&deep);
}

static void test_every_truncation_and_flip(void **state)
{
    (void)state;
    size_t length = sizeof document - 1;
    for (size_t cut = 0; cut < length; cut++)
        refuse(document, cut, "not valid JSON");
    for (size_t i = 0; i < length * 8; i++) {
        struct err e;
        struct json *doc;
        char *copy = malloc(length); /* exactly as long: a sanitizer sees any byte read beyond */
        assert_non_null(copy);
        memcpy(copy, document, length);
        copy[i / 8] ^= (char)(1 << i % 8);
        if (json_open_bytes(&doc, copy, length, "flip", &e) == ERR_OK)
            json_close(doc);
        free(copy);
    }
}

static void test_long_integers_are_reals(void **state)
{
    (void)state;
    struct json *doc = parse("{\"max\": 1000000000000000019884624838656, \"id\": 9223372036854775807,\n"
                             "\"low\": -9223372036854775809, \"text\": \"a \\\" 10000000000000000000000\",\n"
                             "\"real\": 1.0000000000000000000000000001, \"list\": [99999999999999999999]}");
    const struct json_value *root = json_root(doc);
    assert_int_equal(json_kind(json_get(root, "max")), JSON_KIND_REAL);
    assert_true(json_number(json_get(root, "max"), 0) == 1e30);
    assert_true(json_int(json_get(root, "id"), 0) == INT64_MAX);
    assert_true(json_number(json_get(root, "low"), 0) == -0x1p63);
    assert_string_equal(json_text(json_get(root, "text")), "a \" 10000000000000000000000");
    assert_true(json_number(json_at(json_get(root, "list"), 0), 0) == 1e20);
    json_close(doc);
}

static void test_file(void **state)
{
    (void)state;
    struct json *doc;
    struct err e;
    test_file_write(test_path("a.json"), document, sizeof document - 1);
    assert_ok(json_open_file(&doc, test_path("a.json"), 1 << 20, &e), &e);
    json_close(doc);
    assert_error(json_open_file(&doc, test_path("a.json"), 10, &e), &e, ERR_FORMAT, "a.json");
    assert_error(json_open_file(&doc, test_path("none.json"), 10, &e), &e, ERR_IO, "none.json");
    test_file_write(test_path("empty.json"), "", 0);
    assert_error(json_open_file(&doc, test_path("empty.json"), 10, &e), &e, ERR_FORMAT, "empty.json");
}

static void bytes_that_are_no_text_are_replaced(void **state)
{
    (void)state;
    struct err e;
    struct str out = {0};
    assert_ok(json_append_string(&out, "a\xff\xc3\xa9\xf0\x9f\x98", 7, &e), &e);
    assert_string_equal(out.data, "\"a\\ufffd\xc3\xa9\\ufffd\\ufffd\\ufffd\"");
    str_release(&out);
}

static void test_written_values_read_back(void **state)
{
    (void)state;
    static const double numbers[] = {0,    -0.0,       1, 0.1, 1.0 / 3, 5e-324, 1.7976931348623157e308,
                                     1e22, -123456.789};
    struct err e;
    struct str out = {0};
    char text[128];
    for (int i = 0; i < 127; i++)
        text[i] = (char)(i + 1);
    memcpy(text + 120, "\xc3\xa9\xf0\x9f\x98\x80", 6);
    assert_ok(str_append(&out, "[", 1, &e), &e);
    assert_ok(json_append_string(&out, text, 126, &e), &e);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        assert_ok(str_append(&out, ",", 1, &e), &e);
        assert_ok(json_append_real(&out, numbers[i], &e), &e);
    }
    assert_ok(str_append(&out, ",", 1, &e), &e);
    assert_ok(json_append_real(&out, NAN, &e), &e);
    assert_ok(str_append(&out, "]", 1, &e), &e);
    struct json *doc = parse(out.data);
    const struct json_value *root = json_root(doc);
    assert_int_equal(json_text_length(json_at(root, 0)), 126);
    assert_memory_equal(json_text(json_at(root, 0)), text, 126);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        assert_true(json_number(json_at(root, i + 1), 7) == numbers[i]);
    assert_int_equal(json_kind(json_at(root, json_count(root) - 1)), JSON_KIND_NULL);
    json_close(doc);
    str_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_plain_and_not),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_nothing_is_harmless),
        cmocka_unit_test(test_members_in_order),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_every_truncation_and_flip),
        cmocka_unit_test(test_long_integers_are_reals),
        cmocka_unit_test(test_file),
        cmocka_unit_test(bytes_that_are_no_text_are_replaced),
        cmocka_unit_test(test_written_values_read_back),
    };
    return cmocka_run_group_tests(tests, test_folder_make, test_folder_remove);
}
