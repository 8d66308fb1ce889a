#include "event_record.h"

#include <endian.h>
#include <string.h>

enum wire { VARINT = 0, DOUBLE = 1, LENGTH = 2, FLOAT = 5 };

static enum err_code append_varint(struct str *out, uint64_t value, struct err *e)
{
    unsigned char bytes[10];
    size_t length = 0;
    for (; value >= 0x80; value >>= 7)
        bytes[length++] = (unsigned char)(value | 0x80);
    bytes[length++] = (unsigned char)value;
    return str_append(out, bytes, length, e);
}

static enum err_code append_key(struct str *out, unsigned field, enum wire wire, struct err *e)
{
    return append_varint(out, (uint64_t)field << 3 | wire, e);
}

enum err_code proto_integer(struct str *out, unsigned field, uint64_t value, struct err *e)
{
    return append_key(out, field, VARINT, e) ? e->code : append_varint(out, value, e);
}

enum err_code proto_float(struct str *out, unsigned field, float value, struct err *e)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    bits = htole32(bits);
    return append_key(out, field, FLOAT, e) ? e->code : str_append(out, &bits, sizeof bits, e);
}

static enum err_code append_double(struct str *out, double value, struct err *e)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    bits = htole64(bits);
    return str_append(out, &bits, sizeof bits, e);
}

enum err_code proto_double(struct str *out, unsigned field, double value, struct err *e)
{
    return append_key(out, field, DOUBLE, e) ? e->code : append_double(out, value, e);
}

enum err_code proto_doubles(struct str *out, unsigned field, const double *values, size_t count, struct err *e)
{
    enum err_code code = append_key(out, field, LENGTH, e);
    if (!code)
        code = append_varint(out, count * sizeof *values, e);
    for (size_t i = 0; !code && i < count; i++)
        code = append_double(out, values[i], e);
    return code;
}

enum err_code proto_bytes(struct str *out, unsigned field, const void *bytes, size_t length, struct err *e)
{
    if (append_key(out, field, LENGTH, e) || append_varint(out, length, e))
        return e->code;
    return length ? str_append(out, bytes, length, e) : ERR_OK;
}

uint32_t event_crc(const void *bytes, size_t length)
{
    const unsigned char *at = bytes;
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < length; i++) {
        crc ^= at[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
    }
    return ~crc;
}

/* TensorFlow masks checksums, so that those of data with checksums inside stay good. */
static uint32_t masked_crc(const void *bytes, size_t length)
{
    uint32_t crc = event_crc(bytes, length);
    return htole32((crc >> 15 | crc << 17) + 0xa282ead8);
}

enum err_code event_record(struct str *out, const struct str *event, struct err *e)
{
    uint64_t length = htole64(event->length);
    uint32_t of_length = masked_crc(&length, sizeof length), of_event = masked_crc(event->data, event->length);
    if (str_append(out, &length, sizeof length, e) || str_append(out, &of_length, sizeof of_length, e) ||
        str_append(out, event->data, event->length, e))
        return e->code;
    return str_append(out, &of_event, sizeof of_event, e);
}
