/* What a wrong file is, in words; and right ones pass. */
#include "unit.h"

#include "base/format.h"

#define BYTES(text) text, sizeof text - 1

static char tar[300];

static const struct {
    const char *bytes;
    size_t length;
    const char *what;
} wrong[] = {
    {BYTES("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n"), "Git LFS pointer"},
    {BYTES("\n <!DOCTYPE html><html>"), "a web page"},
    {BYTES("<HTML>"), "a web page"},
    {BYTES("PK\x03\x04\x14"), "a zip archive"},
    {BYTES("\x80\x02}q"), "a Python pickle"},
    {BYTES("\x80\x05\x95"), "a Python pickle"},
    {BYTES("\x1f\x8b\x08"), "gzip"},
    {BYTES("\x28\xb5\x2f\xfd\x04"), "zstd"},
    {BYTES("\xfd"
           "7zXZ"),
     "xz"},
    {BYTES("BZh9"), "bzip2"},
    {BYTES("7z\xbc\xaf\x27\x1c"), "7-Zip"},
    {tar, sizeof tar, "a tar archive"},
    {BYTES("PAR1"), "a Parquet file"},
    {BYTES("ARROW1"), "an Arrow file"},
    {BYTES("\x93NUMPY"), "a NumPy array"},
    {BYTES("SQLite format 3"), "an SQLite database"},
    {BYTES("%PDF-1.7"), "a PDF document"},
    {BYTES("\xFF\xFE{\0"), "UTF-16"},
    {BYTES("\xFE\xFF\0{"), "UTF-16"},
    {BYTES("{\0\"\0t\0"), "UTF-16"},
    {BYTES("\0{\0\"\0t"), "UTF-16"},
    {BYTES("\xFF\xFE\0\0{\0\0\0"), "UTF-32"},
    {BYTES("\0\0\xFE\xFF\0\0\0{"), "UTF-32"},
    {BYTES("{\0\0\0\"\0\0\0"), "UTF-32"},
    {BYTES("\0\0\0{\0\0\0\""), "UTF-32"},
};

#define IS(format) (1U << FORMAT_##format)
#define JSON       IS(TEXT) | IS(JSON)
#define TABLE      IS(TEXT) | IS(TEMPLATE)
#define PLAIN      IS(TEXT) | IS(JSON) | IS(TEMPLATE)

/* Right for some readers, and what all others say. */
static const struct {
    const char *bytes;
    size_t length;
    unsigned right;
    const char *what;
} right[] = {
    {BYTES("\x40\0\0\0\0\0\0\0{\"a\""), IS(SAFETENSORS), "this is a safetensors file"},
    {BYTES("GGUF\x03\0\0\0"), IS(GGUF), "this is a GGUF file"},
    {BYTES("\x89HDF\r\n\x1a\n"), IS(HDF5), "this is an HDF5 file"},
    {BYTES("{\"error\": \"Not Found\"}\n"), JSON, "this is JSON"},
    {BYTES("\xEF\xBB\xBF \r\n{ \"text\": \"\xC3\xA9\"}\n"), JSON, "this is JSON"},
    {BYTES("{}"), JSON, "this is JSON"},
    {BYTES("[\n  {\"a\": 1},"), JSON, "this is JSON"},
    {BYTES("[[1, 2]]"), JSON, "this is JSON"},
    {BYTES("[]"), JSON, "this is JSON"},
    {BYTES("{% for m in messages %}"), PLAIN, "this is text"},
    {BYTES("{{ bos_token }}"), PLAIN, "this is text"},
    {BYTES("[INST] {{ messages[0].content }} [/INST]"), PLAIN, "this is text"},
    {BYTES("[{{ role }}]"), PLAIN, "this is text"},
    {BYTES("{'prompt': 'a'}\n"), PLAIN, "this is text"},
    {BYTES("model: m\nseed: 1\n"), PLAIN, "this is text"},
    {BYTES("# data, with care\n{\"text\": \"a\"}\n"), PLAIN, "this is text"},
    {BYTES("\xC3\xA9t\xC3\xA9"), PLAIN, "this is text"},
    {BYTES("prompt,completion\na,b\n"), TABLE, "this is a table with commas (CSV)"},
    {BYTES("\xEF\xBB\xBF\"prompt\";\"completion\"\r\n\"a\";\"b\"\r\n"), TABLE, "(CSV)"},
    {BYTES("prompt\tcompletion\na\tb,c\n"), TABLE, "this is a table with tabs (TSV)"},
};

static void wrong_files_are_named(void **state)
{
    (void)state;
    struct err e;
    memcpy(tar + 257, "ustar", 5);
    for (int wanted = FORMAT_TEXT; wanted <= FORMAT_HDF5; wanted++)
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
            assert_error(format_expect((enum format)wanted, wrong[i].bytes, wrong[i].length, "a/file", &e),
                         &e, ERR_FORMAT, wrong[i].what);
    assert_non_null(strstr(e.message, "a/file: an HDF5 file, such as a checkpoint, is wanted here, and this is "));
}

static void one_format_for_another_is_named(void **state)
{
    (void)state;
    struct err e;
    for (int wanted = FORMAT_TEXT; wanted <= FORMAT_HDF5; wanted++)
        for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
            const bool is_right = right[i].right >> wanted & 1;
            assert_int_equal(format_is((enum format)wanted, right[i].bytes, right[i].length), is_right);
            if (is_right)
                assert_ok(format_expect((enum format)wanted, right[i].bytes, right[i].length, "f", &e), &e);
            else
                assert_error(format_expect((enum format)wanted, right[i].bytes, right[i].length, "f", &e), &e,
                             ERR_FORMAT, right[i].what);
        }
}

/* A long text is one wherever its first bytes are cut, and a long binary file is none. */
static void text_is_told_by_its_beginning(void **state)
{
    (void)state;
    char text[2 * FORMAT_BYTES];
    for (size_t shift = 0; shift < 3; shift++) {
        for (size_t i = 0; i < sizeof text; i++)
            text[i] = i < shift ? 'a' : "\xE2\x82\xAC"[(i - shift) % 3];
        assert_string_equal(format_name(text, sizeof text), "text");
    }
    text[FORMAT_BYTES - 9] = '\1';
    assert_string_equal(format_name(text, sizeof text), "of no format that is known here");
}

/* What is not known is left to its reader, however short. */
static void all_else_passes(void **state)
{
    (void)state;
    struct err e;
    static const char *const texts[] = {"{\"text\": \"a\"}", "[1]",  "",  "{", "\xEF\xBB\xBF{}",
                                        "\xC3\xA9",          "a: 1", "<", "BZ"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_ok(format_expect(FORMAT_TEXT, texts[i], strlen(texts[i]), "f", &e), &e);
    static const unsigned char zeros[64];
    for (size_t length = 0; length <= sizeof zeros; length++)
        assert_ok(format_expect(FORMAT_GGUF, zeros, length, "f", &e), &e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_files_are_named),
        cmocka_unit_test(one_format_for_another_is_named),
        cmocka_unit_test(text_is_told_by_its_beginning),
        cmocka_unit_test(all_else_passes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
