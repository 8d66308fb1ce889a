#include "gguf_build.h"

#include <stdlib.h>

#include "base/arena.h"

/* Parses a copy of exactly these bytes, so that a sanitizer sees any byte read beyond them. */
static enum err_code parse(struct gguf **g, unsigned char **copy, const struct str *s, struct arena *a,
                           struct err *e)
{
    *copy = malloc(s->length ? s->length : 1);
    assert_non_null(*copy);
    if (s->length)
        memcpy(*copy, s->data, s->length);
    struct file_map map = {.data = *copy, .size = s->length};
    return gguf_parse(g, &map, "small.gguf", a, e);
}

static void refuse(struct str *s, enum err_code code, const char *message)
{
    struct gguf *g;
    struct arena a = {0};
    struct err e;
    unsigned char *copy;
    assert_error(parse(&g, &copy, s, &a, &e), &e, code, message);
    assert_non_null(strstr(e.message, "small.gguf"));
    arena_release(&a);
    free(copy);
    str_release(s);
}

static void build(struct str *s)
{
    put_head(s, 3, 2, 10);
    put_key(s, "u8", GGUF_U8, &(uint8_t){200}, 1);
    put_key(s, "i16", GGUF_I16, &(int16_t){-7}, 2);
    put_key(s, "u64", GGUF_U64, &(uint64_t){UINT64_MAX}, 8);
    put_key(s, "f32", GGUF_F32, &(float){0.5f}, 4);
    put_key(s, "f64", GGUF_F64, &(double){0.1}, 8);
    put_key(s, "flag", GGUF_BOOL, &(uint8_t){1}, 1);
    put_text(s, "name");
    put_u32(s, GGUF_STRING);
    put_text(s, "llama");
    put_text(s, "tokens");
    put_u32(s, GGUF_ARRAY);
    put_u32(s, GGUF_STRING);
    put_u64(s, 3);
    put_text(s, "a");
    put_text(s, "");
    put_text(s, "\xc4\xa0the");
    put_text(s, "types");
    put_u32(s, GGUF_ARRAY);
    put_u32(s, GGUF_I32);
    put_u64(s, 2);
    put(s, (const int32_t[]){-1, 6}, 8);
    put_text(s, "scores");
    put_u32(s, GGUF_ARRAY);
    put_u32(s, GGUF_F32);
    put_u64(s, 2);
    put(s, (const float[]){-1.5f, 6.0f}, 8);
    put_tensor(s, "blk.0.attn_q.weight", 2, (const uint64_t[]){64, 3}, 3, 0);
    put_tensor(s, "output_norm.weight", 1, (const uint64_t[]){5}, 0, 128);
}

static void test_reads_what_was_built(void **state)
{
    (void)state;
    struct str s = {0};
    struct arena a = {0};
    struct gguf *g;
    struct err e;
    unsigned char *copy;
    uint64_t u;
    double x;
    bool flag;
    struct gguf_string text;
    const struct gguf_key *key;
    build(&s);
    assert_ok(parse(&g, &copy, &s, &a, &e), &e);
    assert_true(g->version == 3 && g->key_count == 10 && g->tensor_count == 2 && g->alignment == 32);
    assert_true(g->data_offset >= s.length && g->data_offset < s.length + 32 && g->data_offset % 32 == 0);
    assert_ok(gguf_get_u64(&u, g, "u8", 0, &e), &e);
    assert_int_equal(u, 200);
    assert_ok(gguf_get_u64(&u, g, "u64", 0, &e), &e);
    assert_true(u == UINT64_MAX);
    assert_ok(gguf_get_u64(&u, g, "absent", 9, &e), &e);
    assert_int_equal(u, 9);
    assert_error(gguf_get_u64(&u, g, "i16", 0, &e), &e, ERR_FORMAT, "i16");
    assert_error(gguf_get_u64(&u, g, "f32", 0, &e), &e, ERR_FORMAT, "f32");
    assert_error(gguf_get_u64(&u, g, "tokens", 0, &e), &e, ERR_FORMAT, "tokens");
    assert_ok(gguf_get_f64(&x, g, "f32", 0, &e), &e);
    assert_true(x == 0.5);
    assert_ok(gguf_get_f64(&x, g, "f64", 0, &e), &e);
    assert_true(x == 0.1);
    assert_ok(gguf_get_f64(&x, g, "i16", 0, &e), &e);
    assert_true(x == -7);
    assert_ok(gguf_get_f64(&x, g, "u64", 0, &e), &e);
    assert_true(x == 0x1p64);
    assert_error(gguf_get_f64(&x, g, "name", 0, &e), &e, ERR_FORMAT, "name");
    assert_ok(gguf_get_bool(&flag, g, "flag", false, &e), &e);
    assert_true(flag);
    assert_error(gguf_get_bool(&flag, g, "u8", false, &e), &e, ERR_FORMAT, "u8");
    assert_ok(gguf_get_string(&text, g, "name", &e), &e);
    assert_true(text.length == 5 && memcmp(text.data, "llama", 5) == 0);
    assert_ok(gguf_get_string(&text, g, "absent", &e), &e);
    assert_null(text.data);
    assert_error(gguf_get_string(&text, g, "tokens", &e), &e, ERR_FORMAT, "tokens");
    assert_ok(gguf_get_array(&key, g, "tokens", GGUF_STRINGS, &e), &e);
    assert_true(key->count == 3 && key->strings[1].length == 0 && key->strings[2].length == 5);
    assert_error(gguf_get_array(&key, g, "tokens", GGUF_INTEGERS, &e), &e, ERR_FORMAT, "integers");
    assert_error(gguf_get_array(&key, g, "name", GGUF_STRINGS, &e), &e, ERR_FORMAT, "array");
    assert_ok(gguf_get_array(&key, g, "types", GGUF_INTEGERS, &e), &e);
    assert_true(gguf_array_int(key, 0) == -1 && gguf_array_int(key, 1) == 6);
    assert_ok(gguf_get_array(&key, g, "scores", GGUF_NUMBERS, &e), &e);
    assert_true(gguf_array_real(key, 0) == -1.5 && gguf_array_real(key, 1) == 6);
    assert_error(gguf_get_array(&key, g, "scores", GGUF_INTEGERS, &e), &e, ERR_FORMAT, "scores");
    assert_ok(gguf_get_array(&key, g, "absent", GGUF_STRINGS, &e), &e);
    assert_null(key);
    assert_string_equal(g->tensors[0].name, "blk.0.attn_q.weight");
    assert_true(g->tensors[0].dims == 2 && g->tensors[0].ne[0] == 64 && g->tensors[0].ne[1] == 3);
    assert_true(g->tensors[0].type == 3 && g->tensors[1].offset == 128 && g->tensors[1].ne[1] == 1);
    arena_release(&a);
    free(copy);
    str_release(&s);
}

static void test_every_truncation_and_flip(void **state)
{
    (void)state;
    struct str s = {0};
    struct gguf *g;
    struct err e;
    unsigned char *copy;
    build(&s);
    size_t whole = s.length;
    for (s.length = 0; s.length < whole; s.length++) {
        struct arena a = {0};
        assert_error(parse(&g, &copy, &s, &a, &e), &e, ERR_FORMAT, "small.gguf");
        arena_release(&a);
        free(copy);
    }
    for (size_t i = 0; i < whole * 8; i++) {
        struct arena a = {0};
        s.data[i / 8] ^= (char)(1 << i % 8);
        (void)parse(&g, &copy, &s, &a, &e);
        s.data[i / 8] ^= (char)(1 << i % 8);
        arena_release(&a);
        free(copy);
    }
    str_release(&s);
}

static void test_heads(void **state)
{
    (void)state;
    struct str s = {0};
    put(&s, "GGML\3\0\0\0", 8);
    refuse(&s, ERR_FORMAT, "GGUF");
    put_head(&s, 1, 0, 0);
    refuse(&s, ERR_UNSUPPORTED, "version 1");
    put_head(&s, 4, 0, 0);
    refuse(&s, ERR_UNSUPPORTED, "version 4");
    put_head(&s, 3u << 24, 0, 0);
    refuse(&s, ERR_UNSUPPORTED, "big-endian");
    put_head(&s, 3, UINT64_MAX, 0);
    refuse(&s, ERR_FORMAT, "claims");
    put_head(&s, 3, 0, UINT64_MAX / 64 + 1);
    refuse(&s, ERR_FORMAT, "claims");
    put_head(&s, 3, 0, 1);
    refuse(&s, ERR_FORMAT, "truncated");
    put_head(&s, 3, 0, LIMIT_GGUF_KEYS + 1);
    struct err e;
    assert_ok(str_reserve(&s, (size_t)1 << 20, &e), &e);
    memset(s.data + s.length, 0, ((size_t)1 << 20) - s.length);
    s.length = (size_t)1 << 20; /* room for so many */
    refuse(&s, ERR_FORMAT, "at most 1048576 and 65536 are read");
}

static void test_keys(void **state)
{
    (void)state;
    struct str s = {0};
    put_head(&s, 3, 0, 1);
    put_u64(&s, UINT64_MAX); /* a name without end */
    put(&s, "abcdefgh", 8);
    refuse(&s, ERR_FORMAT, "truncated");
    put_head(&s, 3, 0, 1);
    put_u64(&s, 3);
    put(&s, "a\0b", 3);
    put_u32(&s, GGUF_U32);
    put_u32(&s, 1);
    refuse(&s, ERR_FORMAT, "zero byte");
    put_head(&s, 3, 0, 1);
    put_key(&s, "odd", (enum gguf_type)13, "12345678", 8);
    refuse(&s, ERR_FORMAT, "type number 13");
    put_head(&s, 3, 0, 2);
    put_key(&s, "twice", GGUF_U32, "1234", 4);
    put_key(&s, "twice", GGUF_U32, "1234", 4);
    refuse(&s, ERR_FORMAT, "twice");
    put_head(&s, 3, 0, 1);
    put_key(&s, "general.alignment", GGUF_U32, &(uint32_t){24}, 4);
    refuse(&s, ERR_FORMAT, "alignment");
    put_head(&s, 3, 0, 1);
    put_key(&s, "general.alignment", GGUF_U32, &(uint32_t){0}, 4);
    refuse(&s, ERR_FORMAT, "alignment");
    static const struct {
        uint32_t element;
        uint64_t count;
        enum err_code code;
        const char *message;
    } arrays[] = {
        {GGUF_ARRAY, 1, ERR_UNSUPPORTED, "array of arrays"},
        {GGUF_U64, UINT64_MAX / 8 + 2, ERR_FORMAT, "claims"},
        {GGUF_U64, UINT64_MAX / 8, ERR_FORMAT, "truncated"},
        {GGUF_STRING, UINT64_MAX, ERR_FORMAT, "claims"},
        {GGUF_STRING, 3, ERR_FORMAT, "claims"},
        {99, 1, ERR_FORMAT, "type number 99"},
    };
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        put_head(&s, 3, 0, 1);
        put_text(&s, "list");
        put_u32(&s, GGUF_ARRAY);
        put_u32(&s, arrays[i].element);
        put_u64(&s, arrays[i].count);
        put(&s, "0123456789abcdef", 16);
        refuse(&s, arrays[i].code, arrays[i].message);
    }
}

static void test_tensors(void **state)
{
    (void)state;
    struct str s = {0};
    put_head(&s, 3, 1, 0);
    put_tensor(&s, "scalar", 0, NULL, 0, 0);
    put_padding(&s, 64);
    refuse(&s, ERR_FORMAT, "scalar has 0 dimensions");
    put_head(&s, 3, 1, 0);
    put_tensor(&s, "many", 5, (const uint64_t[]){1, 1, 1, 1, 1}, 0, 0);
    refuse(&s, ERR_FORMAT, "many has 5 dimensions");
    put_head(&s, 3, 1, 0);
    put_tensor(&s, "huge", 2, (const uint64_t[]){UINT64_MAX, 2}, 0, 0);
    refuse(&s, ERR_FORMAT, "huge");
    put_head(&s, 3, 1, 0);
    put_tensor(&s, "empty", 2, (const uint64_t[]){4, 0}, 0, 0);
    refuse(&s, ERR_FORMAT, "empty");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_what_was_built),
        cmocka_unit_test(test_every_truncation_and_flip),
        cmocka_unit_test(test_heads),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_tensors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
