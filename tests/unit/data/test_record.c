/* Where examples begin and end in lines and arrays, whole and in parts. */
#include "unit.h"

#include "data/examples/record.h"

static struct file_map map_of(const char *text)
{
    return (struct file_map){.data = (const unsigned char *)text, .size = strlen(text)};
}

/* All records of a part, with | between them; or the error. */
static void list(char *out, size_t size, const char *text, uint64_t begin, uint64_t end)
{
    const struct file_map map = map_of(text);
    struct record_cursor c = record_begin(&map, begin, end);
    struct record r;
    struct err e;
    bool found = true;
    out[0] = '\0';
    for (size_t used = 0; found;) {
        if (record_next(&r, &found, &c, &e)) {
            snprintf(out + used, size - used, "!%s", e.message);
            return;
        }
        if (found)
            used += (size_t)snprintf(out + used, size - used, "%s%.*s", used ? "|" : "", (int)r.length,
                                     text + r.offset);
    }
}

static void expect(const char *text, const char *records)
{
    char out[400];
    list(out, sizeof out, text, 0, strlen(text));
    assert_string_equal(out, records);
}

static void lines_are_as_they_stand(void **state)
{
    (void)state;
    expect("", "");
    expect("{1}\n{2}", "{1}|{2}");
    expect("\xEF\xBB\xBF{1}\r\n \t\r\n\n{2}\n", "{1}|{2}");
    expect("{1}\n[2]\n", "{1}|[2]"); /* told by the beginning */
}

static void elements_are_cut_at_their_commas(void **state)
{
    (void)state;
    expect("[]", "");
    expect(" [ \n ] \n", "");
    expect("\xEF\xBB\xBF \n[{\"a\": 1},\n {\"b\":\n[1, {\"c\": 2}]\n}\n]\n", "{\"a\": 1}|{\"b\":\n[1, {\"c\": 2}]\n}");
    expect("[\"],\\\"}\", 1,null]", "\"],\\\"}\"|1|null");
    expect("[\"\\\\\",{\"x\":\"[{\"}]", "\"\\\\\"|{\"x\":\"[{\"}");
}

static void what_is_no_whole_array_is_named(void **state)
{
    (void)state;
    expect("[", "!element 1: the file ends without the ] of its array: it is cut off");
    expect("[1", "!element 1: the file ends without the ] of its array: it is cut off");
    expect("[1,{\"a\": \"]", "1!element 2: the file ends without the ] of its array: it is cut off");
    expect("[1,\"\\", "1!element 2: the file ends without the ] of its array: it is cut off");
    expect("[1,2,", "1|2!element 3: the file ends without the ] of its array: it is cut off");
    expect("[1,]", "1!element 2 is empty: there is a comma too many");
    expect("[,1]", "!element 1 is empty: there is a comma too many");
    expect("[1] [2]", "!something follows the ] of the array, at byte 4");
    expect("[1,2]\n{3}", "1!something follows the ] of the array, at byte 6");
}

/* Wherever the borders lie, each record is in one part, in order. */
static void parts_make_up_the_whole(void **state)
{
    (void)state;
    static const char *const texts[] = {"{1}\n\n{22}\r\n{333}\n", " [ {\"a\": [1, 2]} ,\n\"]\" , 3]\n", "[]", "[1]"};
    for (size_t t = 0; t < sizeof texts / sizeof *texts; t++) {
        const size_t size = strlen(texts[t]);
        char whole[400], part[400];
        list(whole, sizeof whole, texts[t], 0, size);
        for (size_t a = 0; a <= size; a++)
            for (size_t b = a; b <= size; b++) {
                char sum[1200] = "";
                const size_t borders[] = {0, a, b, size};
                for (int p = 0; p < 3; p++) {
                    list(part, sizeof part, texts[t], borders[p], borders[p + 1]);
                    if (*part)
                        snprintf(sum + strlen(sum), sizeof sum - strlen(sum), "%s%s", *sum ? "|" : "", part);
                }
                assert_string_equal(sum, whole);
            }
    }
}

static void elements_are_numbered(void **state)
{
    (void)state;
    struct file_map map = map_of("[{}, {} ,3]");
    assert_int_equal(record_number(&map, 1), 1);
    assert_int_equal(record_number(&map, 5), 2);
    assert_int_equal(record_number(&map, 9), 3);
    map = map_of("{}\n{}\n");
    assert_int_equal(record_number(&map, 3), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_as_they_stand),
        cmocka_unit_test(elements_are_cut_at_their_commas),
        cmocka_unit_test(what_is_no_whole_array_is_named),
        cmocka_unit_test(parts_make_up_the_whole),
        cmocka_unit_test(elements_are_numbered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
