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
};

static const struct {
    const char *bytes;
    size_t length;
    enum format format;
    const char *what;
} right[] = {
    {BYTES("\x40\0\0\0\0\0\0\0{\"a\""), FORMAT_SAFETENSORS, "a safetensors file"},
    {BYTES("GGUF\x03\0\0\0"), FORMAT_GGUF, "a GGUF file"},
    {BYTES("{\"error\": \"Not Found\"}\n"), FORMAT_TEXT, "this is text"},
    {BYTES("\x89HDF\r\n\x1a\n"), FORMAT_HDF5, "an HDF5 file"},
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
    assert_true(strncmp(e.message, "a/file: an HDF5 file is wanted here, and this is ", 49) == 0);
}

static void one_format_for_another_is_named(void **state)
{
    (void)state;
    struct err e;
    for (int wanted = FORMAT_TEXT; wanted <= FORMAT_HDF5; wanted++)
        for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
            assert_int_equal(format_is((enum format)wanted, right[i].bytes, right[i].length),
                             right[i].format == (enum format)wanted);
            if (right[i].format == (enum format)wanted)
                assert_ok(format_expect((enum format)wanted, right[i].bytes, right[i].length, "f", &e), &e);
            else
                assert_error(format_expect((enum format)wanted, right[i].bytes, right[i].length, "f", &e), &e,
                             ERR_FORMAT, right[i].what);
        }
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
        cmocka_unit_test(all_else_passes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
