/* Records of event files: known checksums and the bytes that protocol buffers and TFRecord prescribe. */
#include "unit.h"

#include <endian.h>

#include "../../../src/run/event_record.h"

static void check_bytes(const struct str *s, const char *bytes, size_t length)
{
    assert_int_equal(s->length, length);
    assert_memory_equal(s->data, bytes, length);
}
#define CHECK_BYTES(s, literal) check_bytes(s, literal, sizeof literal - 1)

/* RFC 3720, B.4, and the check value of the catalogue of CRCs. */
static void checksums(void **state)
{
    (void)state;
    unsigned char bytes[32] = {0};
    assert_int_equal(event_crc(bytes, 0), 0);
    assert_int_equal(event_crc(bytes, 32), 0x8a9136aa);
    memset(bytes, 0xff, 32);
    assert_int_equal(event_crc(bytes, 32), 0x62a8ab43);
    for (int i = 0; i < 32; i++)
        bytes[i] = (unsigned char)i;
    assert_int_equal(event_crc(bytes, 32), 0x46dd794e);
    assert_int_equal(event_crc("123456789", 9), 0xe3069283);
}

static void fields(void **state)
{
    (void)state;
    struct str out = {0};
    struct err e;
    const double two[] = {1, -2};
    assert_ok(proto_integer(&out, 2, 0, &e), &e);
    assert_ok(proto_integer(&out, 2, 300, &e), &e);
    assert_ok(proto_float(&out, 2, 1, &e), &e);
    assert_ok(proto_double(&out, 1, -2, &e), &e);
    assert_ok(proto_bytes(&out, 3, "ab", 2, &e), &e);
    assert_ok(proto_bytes(&out, 3, "", 0, &e), &e);
    assert_ok(proto_doubles(&out, 6, two, 2, &e), &e);
    CHECK_BYTES(&out, "\x10\x00"
                      "\x10\xac\x02"
                      "\x15\x00\x00\x80\x3f"
                      "\x09\x00\x00\x00\x00\x00\x00\x00\xc0"
                      "\x1a\x02"
                      "ab"
                      "\x1a\x00"
                      "\x32\x10\x00\x00\x00\x00\x00\x00\xf0\x3f\x00\x00\x00\x00\x00\x00\x00\xc0");
    str_clear(&out);
    assert_ok(proto_integer(&out, 20, UINT64_MAX, &e), &e);
    CHECK_BYTES(&out, "\xa0\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
    str_release(&out);
}

/* The record of "123456789", whose checksum is known: (crc >> 15 | crc << 17) + 0xa282ead8. */
static void frame(void **state)
{
    (void)state;
    struct str event = {0}, out = {0};
    struct err e;
    assert_ok(str_append(&event, "123456789", 9, &e), &e);
    assert_ok(event_record(&out, &event, &e), &e);
    assert_int_equal(out.length, 8 + 4 + 9 + 4);
    assert_memory_equal(out.data, "\x09\0\0\0\0\0\0\0", 8);
    assert_memory_equal(out.data + 12, "123456789", 9);
    const uint32_t crc = 0xe3069283, masked = (crc >> 15 | crc << 17) + 0xa282ead8;
    uint32_t end;
    memcpy(&end, out.data + 21, sizeof end);
    assert_int_equal(le32toh(end), masked);
    str_release(&event);
    str_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(checksums), cmocka_unit_test(fields), cmocka_unit_test(frame)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
