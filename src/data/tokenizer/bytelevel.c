#include "data/tokenizer/bytelevel.h"

#include "data/tokenizer/unicode.h"

static bool stands_for_itself(int byte)
{
    return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

/* The bytes that do not stand for themselves are 0..32, 127..160 and 173, in this order from U+0100 on. */
static int32_t char_of_byte(int byte)
{
    if (stands_for_itself(byte))
        return byte;
    if (byte <= 32)
        return 0x100 + byte;
    return byte == 173 ? 0x143 : 0x121 + byte - 127;
}

static int byte_of_char(int32_t c)
{
    if (c >= 0 && c < 0x100)
        return stands_for_itself((int)c) ? (int)c : -1;
    if (c >= 0x100 && c <= 0x120)
        return (int)c - 0x100;
    if (c >= 0x121 && c <= 0x142)
        return (int)c - 0x121 + 127;
    return c == 0x143 ? 173 : -1;
}

size_t bytelevel_encode(char out[2], unsigned char byte)
{
    int32_t c = char_of_byte(byte);
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    out[0] = (char)(0xC0 | c >> 6);
    out[1] = (char)(0x80 | (c & 0x3F));
    return 2;
}

bool bytelevel_decode(char *out, size_t *count, const char *text, size_t length)
{
    *count = 0;
    for (size_t at = 0; at < length;) {
        int byte = byte_of_char(unicode_next(text, &at));
        if (byte < 0)
            return false;
        out[(*count)++] = (char)byte;
    }
    return true;
}
