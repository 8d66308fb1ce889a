/* Compressed files against the libraries' own compressors: what comes out, and what is said of damage. */
#include "unit.h"

#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include "io/unpack.h"
#include "scratch.h"

SCRATCH_OF_GROUP(folder, open_folder, close_folder)

enum { SIZE = 700001 }; /* of the text: several chunks */

static char *make_text(void)
{
    char *text = malloc(SIZE);
    assert_non_null(text);
    for (unsigned i = 0, x = 1; i < SIZE; i++) {
        x = x * 1103515245u + 12345u;
        text[i] = (char)('a' + (x >> 24) % 17);
    }
    return text;
}

static size_t compress_as(enum unpack_kind kind, unsigned char *out, size_t room, const char *text, size_t length)
{
    if (kind == UNPACK_ZSTD) {
        size_t size = ZSTD_compress(out, room, text, length, 3);
        assert_false(ZSTD_isError(size));
        return size;
    }
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (z_const Bytef *)(uintptr_t)text;
    z.avail_in = (uInt)length;
    z.next_out = out;
    z.avail_out = (uInt)room;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return room - z.avail_out;
}

static enum err_code expand(const void *bytes, size_t length, enum unpack_kind expected, struct str *out,
                            struct err *e)
{
    const char *from = scratch_path(&folder, "packed"), *to = scratch_path(&folder, "expanded");
    struct file_in f;
    enum unpack_kind kind;
    remove(to);
    assert_ok(file_write_atomic(from, bytes, length, e), e);
    assert_ok(file_in_open(&f, from, e), e);
    assert_ok(unpack_recognise(&kind, &f, e), e);
    assert_int_equal(kind, expected);
    enum err_code code = unpack_file(to, &f, kind, e);
    file_in_close(&f);
    assert_int_equal(file_exists(to), code == ERR_OK);
    if (!code)
        assert_ok(file_read_all(out, to, SIZE * 4, e), e);
    return code;
}

static void all_comes_out(void **state)
{
    (void)state;
    char *text = make_text();
    unsigned char *packed = malloc(2 * SIZE);
    struct str out = {0};
    struct err e;
    for (enum unpack_kind kind = UNPACK_GZIP; kind <= UNPACK_ZSTD; kind++) {
        static const size_t sizes[] = {0, 1, 1 << 18, SIZE};
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            size_t length = compress_as(kind, packed, 2 * SIZE, text, sizes[i]);
            assert_ok(expand(packed, length, kind, &out, &e), &e);
            assert_int_equal(out.length, sizes[i]);
            assert_memory_equal(out.data, text, sizes[i]);
        }
        /* Two files, one after the other. */
        size_t first = compress_as(kind, packed, SIZE, text, 10);
        size_t second = compress_as(kind, packed + first, SIZE, text + 10, 90);
        assert_ok(expand(packed, first + second, kind, &out, &e), &e);
        assert_int_equal(out.length, 100);
        assert_memory_equal(out.data, text, 100);
    }
    str_release(&out);
    free(packed);
    free(text);
}

static void damage_is_named(void **state)
{
    (void)state;
    char *text = make_text();
    unsigned char *packed = malloc(2 * SIZE);
    struct str out = {0};
    struct err e;
    for (enum unpack_kind kind = UNPACK_GZIP; kind <= UNPACK_ZSTD; kind++) {
        size_t length = compress_as(kind, packed, 2 * SIZE, text, 3000);
        for (size_t cut = kind == UNPACK_GZIP ? 2 : 4; cut < length; cut += 7)
            assert_error(expand(packed, cut, kind, &out, &e), &e, ERR_FORMAT,
                         "is cut off: it does not end with the file");
        packed[length] = 'x'; /* after the end */
        assert_error(expand(packed, length + 1, kind, &out, &e), &e, ERR_FORMAT, "packed: ");
    }
    size_t length = compress_as(UNPACK_GZIP, packed, 2 * SIZE, text, 3000);
    packed[length / 2] ^= 1;
    assert_error(expand(packed, length, UNPACK_GZIP, &out, &e), &e, ERR_FORMAT, "damaged gzip data before byte");
    length = compress_as(UNPACK_ZSTD, packed, 2 * SIZE, text, 3000);
    packed[5] ^= 0x80;
    assert_error(expand(packed, length, UNPACK_ZSTD, &out, &e), &e, ERR_FORMAT, "packed: ");
    /* A window of 2 GiB is more memory than data may claim. */
    static const unsigned char wide[] = {0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0x00, 0x00};
    assert_error(expand(wide, sizeof wide, UNPACK_ZSTD, &out, &e), &e, ERR_FORMAT, "compress it again without --long");
    free(packed);
    free(text);
    str_release(&out);
}

static void other_files_are_left_alone(void **state)
{
    (void)state;
    static const char *const others[] = {"", "\x1f", "{}", "\x28\xb5\x2f"};
    struct err e;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        const char *path = scratch_path(&folder, "other");
        struct file_in f;
        enum unpack_kind kind;
        assert_ok(file_write_atomic(path, others[i], strlen(others[i]), &e), &e);
        assert_ok(file_in_open(&f, path, &e), &e);
        assert_ok(unpack_recognise(&kind, &f, &e), &e);
        assert_int_equal(kind, UNPACK_NONE);
        file_in_close(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_comes_out),
        cmocka_unit_test(damage_is_named),
        cmocka_unit_test(other_files_are_left_alone),
    };
    return cmocka_run_group_tests(tests, open_folder, close_folder);
}
