#include "unit.h"

#include <stdlib.h>

#include "base/arena.h"
#include "io/store/safetensors.h"

/* A file of this header and so many bytes of data; exactly as long, so that a sanitizer sees any byte beyond.
 */
static enum err_code parse(struct safetensors *f, const char *header, size_t data_bytes, struct arena *a,
                           struct err *e)
{
    uint64_t length = strlen(header);
    size_t size = sizeof length + length + data_bytes;
    unsigned char *bytes = calloc(1, size);
    assert_non_null(bytes);
    memcpy(bytes, &length, sizeof length);
    memcpy(bytes + sizeof length, header, length);
    struct file_map map = {.data = bytes, .size = size};
    enum err_code code = safetensors_parse(f, &map, "x.safetensors", a, e);
    free(bytes); /* nothing is borrowed */
    return code;
}

static void refuse(const char *header, size_t data_bytes, const char *message)
{
    struct safetensors f;
    struct arena a = {0};
    struct err e;
    assert_error(parse(&f, header, data_bytes, &a, &e), &e, ERR_FORMAT, message);
    assert_non_null(strstr(e.message, "x.safetensors"));
    arena_release(&a);
}

static const char good[] = "{\"__metadata__\":{\"format\":\"pt\"},"
                           "\"b\":{\"dtype\":\"I64\",\"shape\":[2],\"data_offsets\":[24,40]},"
                           "\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
                           "\"none\":{\"dtype\":\"F16\",\"shape\":[0,7],\"data_offsets\":[40,40]},"
                           "\"one\":{\"dtype\":\"BF16\",\"shape\":[],\"data_offsets\":[40,42]}}   ";

static void test_reads_a_good_header(void **state)
{
    (void)state;
    struct safetensors f;
    struct arena a = {0};
    struct err e;
    assert_ok(parse(&f, good, 42, &a, &e), &e);
    assert_int_equal(f.count, 4);
    assert_int_equal(f.data_offset, 8 + sizeof good - 1);
    assert_string_equal(f.tensors[0].name, "a");
    assert_true(f.tensors[0].dims == 2 && f.tensors[0].shape[1] == 3 && f.tensors[0].elements == 6);
    assert_string_equal(f.tensors[1].type, "I64");
    assert_true(f.tensors[2].elements == 0 && f.tensors[3].elements == 1 && f.tensors[3].dims == 0);
    assert_true(f.tensors[3].begin == 40 && f.tensors[3].end == 42);
    assert_true(f.note_count == 1 && !strcmp(f.notes->key, "format") && !strcmp(f.notes->text, "pt"));
    assert_ok(parse(&f, "{}", 0, &a, &e), &e);
    assert_true(f.count == 0 && f.note_count == 0);
    arena_release(&a);
}

#define ONE(type, shape, offsets)                                                                            \
    "{\"t\":{\"dtype\":" type ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

static void test_refusals(void **state)
{
    (void)state;
    refuse("", 0, "JSON");
    refuse("[]", 0, "not a JSON object");
    refuse("{\"t\":3}", 0, "tensor t");
    refuse("{\"t\":{\"dtype\":\"F32\",\"shape\":[1]}}", 0, "tensor t");
    refuse("{\"__metadata__\":{\"a\":1}}", 0, "__metadata__");
    refuse("{\"__metadata__\":[]}", 0, "__metadata__");
    refuse(ONE("1", "[1]", "[0,4]"), 4, "tensor t");
    refuse(ONE("\"F32\"", "1", "[0,4]"), 4, "shape");
    refuse(ONE("\"F32\"", "[-1]", "[0,4]"), 4, "shape");
    refuse(ONE("\"F32\"", "[1.0]", "[0,4]"), 4, "shape");
    refuse(ONE("\"F32\"", "[18446744073709551616]", "[0,4]"), 4, "shape");
    refuse(ONE("\"F32\"", "[4611686018427387904,4611686018427387904]", "[0,4]"), 4, "shape");
    refuse(ONE("\"F32\"", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), 4, "shape");
    refuse(ONE("\"F32\"", "[1]", "[0,4,5]"), 4, "data_offsets");
    refuse(ONE("\"F32\"", "[1]", "[4,0]"), 4, "data_offsets");
    refuse(ONE("\"F32\"", "[1]", "[-4,0]"), 4, "data_offsets");
    refuse(ONE("\"F32\"", "[1]", "[0,\"4\"]"), 4, "data_offsets");
    refuse(ONE("\"F32\"", "[1]", "[0,4]"), 3, "truncated");
    refuse(ONE("\"F32\"", "[1]", "[0,9223372036854775807]"), 4, "truncated");
    refuse(ONE("\"F32\"", "[1]", "[0,4]"), 5, "after the last tensor");
    refuse(ONE("\"F32\"", "[1]", "[4,8]"), 8, "no tensor");
    refuse("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
           "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[3,7]}}",
           7, "b overlaps tensor a");
    refuse("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
           "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[5,9]}}",
           9, "no tensor");
    refuse("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
           "\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[4,8]}}",
           8, "duplicate");
}

static void test_header_length(void **state)
{
    (void)state;
    static const uint64_t lengths[] = {3, 100000001, INT64_MAX, UINT64_MAX, UINT64_MAX - 7};
    struct safetensors f;
    struct arena a = {0};
    struct err e;
    unsigned char bytes[10] = {0};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        memcpy(bytes, &lengths[i], sizeof lengths[i]);
        struct file_map map = {.data = bytes, .size = sizeof bytes};
        assert_error(safetensors_parse(&f, &map, "x.safetensors", &a, &e), &e, ERR_FORMAT, "header");
    }
    for (size_t size = 0; size < 8; size++) {
        struct file_map map = {.data = size ? bytes : NULL, .size = size};
        assert_error(safetensors_parse(&f, &map, "x.safetensors", &a, &e), &e, ERR_FORMAT, "too few");
    }
    arena_release(&a);
}

static void test_every_truncation_and_flip(void **state)
{
    (void)state;
    struct safetensors f;
    struct err e;
    char header[sizeof good];
    for (size_t data = 0; data < 42; data++)
        refuse(good, data, "truncated");
    for (size_t i = 0; i < (sizeof good - 1) * 8; i++) {
        struct arena a = {0};
        memcpy(header, good, sizeof good);
        header[i / 8] ^= (char)(1 << i % 8);
        if (parse(&f, header, 42, &a, &e) == ERR_OK)
            for (size_t t = 0; t < f.count; t++)
                assert_true(f.tensors[t].begin <= f.tensors[t].end && f.tensors[t].end <= 42);
        arena_release(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_a_good_header),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_header_length),
        cmocka_unit_test(test_every_truncation_and_flip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
