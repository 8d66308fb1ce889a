#include "unit.h"

#include <stdlib.h>

#include "base/yaml.h"

static enum err_code read_text(struct yaml_map *map, struct arena *arena, const char *text, struct err *e)
{
    return yaml_read(map, arena, "run.yaml", text, strlen(text), e);
}

static void reads_scalars_and_sequences(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct yaml_map map;
    struct err e;
    assert_ok(read_text(&map, &arena,
                        "# a run\n"
                        "model: path/to model # why\n"
                        "\"data\": [a.jsonl, 'it''s', \"b\\tc\"]\n"
                        "rate: 2e-4\n"
                        "\n"
                        "more:\n"
                        "  - one\n"
                        "  - two\n"
                        "folded: first\n"
                        "  second\n"
                        "none:\n"
                        "tilde: ~\n"
                        "quoted: '~'\n"
                        "empty: []\n",
                        &e),
              &e);
    assert_int_equal(map.count, 9);
    const struct yaml_entry *entry = map.entries;
    assert_string_equal(entry[0].key, "model");
    assert_int_equal(entry[0].line, 2);
    assert_false(entry[0].is_sequence);
    assert_int_equal(entry[0].count, 1);
    assert_string_equal(entry[0].values[0].text, "path/to model");
    assert_string_equal(entry[1].key, "data");
    assert_true(entry[1].is_sequence);
    assert_int_equal(entry[1].count, 3);
    assert_string_equal(entry[1].values[1].text, "it's");
    assert_string_equal(entry[1].values[2].text, "b\tc");
    assert_string_equal(entry[2].values[0].text, "2e-4");
    assert_int_equal(entry[3].line, 6);
    assert_int_equal(entry[3].values[1].line, 8);
    assert_string_equal(entry[3].values[1].text, "two");
    assert_string_equal(entry[4].values[0].text, "first second");
    assert_string_equal(entry[5].values[0].text, "");
    assert_string_equal(entry[6].values[0].text, "");
    assert_string_equal(entry[7].values[0].text, "~");
    assert_true(entry[8].is_sequence);
    assert_int_equal(entry[8].count, 0);
    arena_release(&arena);
}

static void reads_many_entries_and_none(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct yaml_map map;
    struct err e;
    struct str text = {0};
    for (int i = 0; i < 300; i++)
        assert_ok(str_appendf(&text, &e, "key%d: [%d, x]\n", i, i), &e);
    assert_ok(read_text(&map, &arena, text.data, &e), &e);
    assert_int_equal(map.count, 300);
    for (int i = 0; i < 300; i++) {
        assert_int_equal(map.entries[i].line, i + 1);
        assert_int_equal(atoi(map.entries[i].values[0].text), i);
    }
    static const char *const empty[] = {"", "# nothing\n", "---\n", "{}\n", "---\n...\n", "\xEF\xBB\xBF"};
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        assert_ok(read_text(&map, &arena, empty[i], &e), &e);
        assert_int_equal(map.count, 0);
    }
    assert_ok(read_text(&map, &arena,
                        "\xEF\xBB\xBF"
                        "a: 1\r\nb: 2\r\n",
                        &e),
              &e);
    assert_string_equal(map.entries[0].key, "a");
    assert_string_equal(map.entries[1].values[0].text, "2");
    str_release(&text);
    arena_release(&arena);
}

static void refuses_the_rest_with_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *place;
    } bad[] = {
        {"a: 1\nb:\n  c: 2\n", "run.yaml:3: a mapping inside"},
        {"a: 1\nb: {c: 2}\n", "run.yaml:2: a mapping inside"},
        {"a:\n  - [1]\n", "run.yaml:2: a sequence may hold"},
        {"a:\n  - b: 1\n", "run.yaml:2: a sequence may hold"},
        {"a: &x 1\nb: *x\n", "run.yaml:1: anchors"},
        {"a: 1\nb: *x\n", "run.yaml:2: aliases"},
        {"a: !!str 1\n", "run.yaml:1: anchors and tags"},
        {"a: &x [1]\n", "run.yaml:1: anchors"},
        {"&x a: 1\n", "run.yaml:1: anchors"},
        {"--- &x\na: 1\n", "run.yaml:1: anchors"},
        {"- a\n- b\n", "run.yaml:1: expected"},
        {"just text\n", "run.yaml:1: expected"},
        {"a: 1\n---\nb: 2\n", "run.yaml:2: a second document"},
        {"[a]: 1\n", "run.yaml:1: a key"},
        {"a: \"b\\0c\"\n", "run.yaml:1: a value holds a zero"},
        {"a: 1\n b: 2\n", "run.yaml:2: not valid YAML"},
        {"a: [1, 2\n", "run.yaml:2: not valid YAML"},
        {"a: \"b\n", "run.yaml:2: not valid YAML"},
        {"a: 1\n\tb: 2\n", "run.yaml:2: not valid YAML"},
        {"a: \xC3(\n", "run.yaml: byte 4: not YAML text"},
        {"a: \x01\n", "run.yaml: byte 3: not YAML text"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct arena arena = {0};
        struct yaml_map map;
        struct err e;
        assert_error(read_text(&map, &arena, bad[i].text, &e), &e, ERR_USAGE, bad[i].place);
        arena_release(&arena);
    }
}

/* Cut at every byte, and with every byte replaced by some that mean something: no crash, and an answer. */
static void survives_damage(void **state)
{
    (void)state;
    static const char whole[] = "model: \"m\\n\"\ndata: [a, 'b']\nlist:\n  - x\n  - \xC3\xA9\nrate: 2e-4\n";
    static const char marks[] = "\0\n\t \"'[]{}:,-&*!|>%@#?\xC3\xFF";
    struct yaml_map map;
    struct err e;
    for (size_t length = 0; length < sizeof whole; length++) {
        struct arena arena = {0};
        enum err_code code = yaml_read(&map, &arena, "cut", whole, length, &e);
        assert_true(code == ERR_OK || code == ERR_USAGE);
        arena_release(&arena);
    }
    for (size_t at = 0; at + 1 < sizeof whole; at++)
        for (size_t k = 0; k < sizeof marks; k++) {
            struct arena arena = {0};
            char damaged[sizeof whole];
            memcpy(damaged, whole, sizeof whole);
            damaged[at] = marks[k];
            enum err_code code = yaml_read(&map, &arena, "damaged", damaged, sizeof whole - 1, &e);
            assert_true(code == ERR_OK || code == ERR_USAGE);
            arena_release(&arena);
        }
}

static void quotes_what_needs_it(void **state)
{
    (void)state;
    static const struct {
        const char *text, *written;
    } pairs[] = {
        {"cosine", "cosine"},
        {"a/b-c_d.jsonl", "a/b-c_d.jsonl"},
        {"/abs", "/abs"},
        {"./x", "./x"},
        {"../x", "../x"},
        {"", "\"\""},
        {"null", "\"null\""},
        {"True", "\"True\""},
        {"no", "\"no\""},
        {"12", "\"12\""},
        {".5", "\".5\""},
        {".inf", "\".inf\""},
        {"a b", "\"a b\""},
        {"a: b", "\"a: b\""},
        {"- x", "\"- x\""},
        {"say \"hi\"\\", "\"say \\\"hi\\\"\\\\\""},
        {"a\nb\tc", "\"a\\nb\\tc\""},
        {"q_proj,v_proj", "q_proj,v_proj"},
        {"\x01\x7F", "\"\\u0001\\u007F\""},
        {"\xC3\xA9", "\"\xC3\xA9\""},
        {"\xC2\x85", "\"\\u0085\""},
        {"\xE2\x80\xA8", "\"\\u2028\""},
        {"\xEF\xBB\xBF", "\"\\uFEFF\""},
        {"...", "\"...\""},
    };
    struct err e;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct str out = {0};
        assert_ok(yaml_append_string(&out, pairs[i].text, &e), &e);
        assert_string_equal(out.data, pairs[i].written);
        str_release(&out);
    }
    struct str out = {0};
    assert_error(yaml_append_string(&out, "a\xFF", &e), &e, ERR_USAGE, "byte 1");
    str_release(&out);
}

/* Every code point, in a scalar and in a sequence, comes back as it was. */
static void reads_back_what_it_wrote(void **state)
{
    (void)state;
    struct err e;
    for (uint32_t block = 0; block < 0x110000; block += 16) {
        char text[128];
        size_t length = 0;
        for (uint32_t c = block; c < block + 16; c++) {
            if (c == 0 || (c >= 0xD800 && c < 0xE000))
                continue;
            if (c >= 0x10000)
                text[length++] = (char)(0xF0 | c >> 18);
            if (c >= 0x800)
                text[length++] = (char)(c >= 0x10000 ? 0x80 | (c >> 12 & 0x3F) : 0xE0 | c >> 12);
            if (c >= 0x80)
                text[length++] = (char)(c >= 0x800 ? 0x80 | (c >> 6 & 0x3F) : 0xC0 | c >> 6);
            text[length++] = (char)(c < 0x80 ? c : 0x80 | (c & 0x3F));
        }
        text[length] = '\0';
        struct str out = {0};
        struct arena arena = {0};
        struct yaml_map map;
        assert_ok(str_appendf(&out, &e, "k: "), &e);
        assert_ok(yaml_append_string(&out, text, &e), &e);
        assert_ok(str_appendf(&out, &e, "\nl:\n  - "), &e);
        assert_ok(yaml_append_string(&out, text, &e), &e);
        assert_ok(read_text(&map, &arena, out.data, &e), &e);
        assert_int_equal(map.count, 2);
        assert_string_equal(map.entries[0].values[0].text, text);
        assert_string_equal(map.entries[1].values[0].text, text);
        arena_release(&arena);
        str_release(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_scalars_and_sequences),    cmocka_unit_test(reads_many_entries_and_none),
        cmocka_unit_test(refuses_the_rest_with_its_line), cmocka_unit_test(survives_damage),
        cmocka_unit_test(quotes_what_needs_it),           cmocka_unit_test(reads_back_what_it_wrote)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
