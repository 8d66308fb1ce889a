#include "unicode.h"

#include <string.h>
#include <utf8proc.h>

uint32_t jinja_char_next(const char *bytes, size_t length, size_t *at)
{
    const unsigned char *p = (const unsigned char *)bytes + *at;
    size_t left = length - *at;
    size_t size = p[0] < 0x80 ? 1 : p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : p[0] >= 0xC2 ? 2 : 1;
    uint32_t c = size == 1 ? p[0] : p[0] & (0x7Fu >> size);
    if (size > left)
        size = 1;
    for (size_t i = 1; i < size; i++) {
        if ((p[i] & 0xC0) != 0x80) {
            size = 1;
            break;
        }
        c = c << 6 | (p[i] & 0x3F);
    }
    *at += size;
    return size == 1 ? p[0] : c;
}

uint32_t jinja_char_before(const char *bytes, size_t *at)
{
    size_t end = *at, start = end - 1;
    while (start > 0 && end - start < 4 && ((unsigned char)bytes[start] & 0xC0) == 0x80)
        start--;
    size_t next = start;
    uint32_t c = jinja_char_next(bytes, end, &next);
    if (next != end) {
        start = end - 1;
        c = (unsigned char)bytes[start];
    }
    *at = start;
    return c;
}

size_t jinja_char_put(char out[4], uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xC0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xE0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3F));
        out[2] = (char)(0x80 | (c & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3F));
    out[2] = (char)(0x80 | (c >> 6 & 0x3F));
    out[3] = (char)(0x80 | (c & 0x3F));
    return 4;
}

/* How many bytes from `at` on are ASCII, counted in words of eight. */
static size_t ascii_words(const char *bytes, size_t length, size_t at)
{
    size_t start = at;
    uint64_t word;
    while (length - at >= sizeof word) {
        memcpy(&word, bytes + at, sizeof word);
        if (word & UINT64_C(0x8080808080808080))
            break;
        at += sizeof word;
    }
    return at - start;
}

size_t jinja_char_count(const char *bytes, size_t length)
{
    size_t count = 0;
    for (size_t at = 0; at < length;) {
        size_t plain = ascii_words(bytes, length, at);
        at += plain;
        count += plain;
        if (at < length) {
            jinja_char_next(bytes, length, &at);
            count++;
        }
    }
    return count;
}

size_t jinja_char_offset(const char *bytes, size_t length, size_t index)
{
    size_t at = 0;
    while (index > 0 && at < length) {
        size_t plain = ascii_words(bytes, length, at);
        plain = plain < index ? plain : index;
        at += plain;
        index -= plain;
        if (index > 0 && at < length) {
            jinja_char_next(bytes, length, &at);
            index--;
        }
    }
    return at;
}

bool jinja_is_space(uint32_t c)
{
    return (c >= 9 && c <= 13) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
           c == 0x3000;
}

bool jinja_is_line_end(uint32_t c)
{
    return (c >= 10 && c <= 13) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

static utf8proc_category_t category(uint32_t c)
{
    return utf8proc_category((utf8proc_int32_t)c);
}

bool jinja_is_printable(uint32_t c)
{
    if (c < 0x7F)
        return c >= 0x20;
    switch (category(c)) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
        return false;
    default:
        return true;
    }
}

bool jinja_is_alpha(uint32_t c)
{
    if (c < 0x80)
        return (c | 32) >= 'a' && (c | 32) <= 'z';
    utf8proc_category_t k = category(c);
    return k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO;
}

bool jinja_is_decimal(uint32_t c)
{
    return c < 0x80 ? c >= '0' && c <= '9' : category(c) == UTF8PROC_CATEGORY_ND;
}

bool jinja_is_digit(uint32_t c)
{
    return jinja_is_decimal(c) || c == 0xB2 || c == 0xB3 || c == 0xB9 || c == 0x2070 ||
           (c >= 0x2074 && c <= 0x2079) || (c >= 0x2080 && c <= 0x2089) || (c >= 0x2460 && c <= 0x2468) ||
           (c >= 0x2474 && c <= 0x247C) || (c >= 0x2488 && c <= 0x2490);
}

bool jinja_is_numeric(uint32_t c)
{
    if (c < 0x80)
        return c >= '0' && c <= '9';
    utf8proc_category_t k = category(c);
    return k == UTF8PROC_CATEGORY_ND || k == UTF8PROC_CATEGORY_NL || k == UTF8PROC_CATEGORY_NO;
}

bool jinja_is_upper(uint32_t c)
{
    return c < 0x80 ? c >= 'A' && c <= 'Z'
                    : category(c) == UTF8PROC_CATEGORY_LU || (c >= 0x2160 && c <= 0x216F);
}

bool jinja_is_lower(uint32_t c)
{
    return c < 0x80 ? c >= 'a' && c <= 'z'
                    : category(c) == UTF8PROC_CATEGORY_LL || c == 0xAA || c == 0xBA ||
                          (c >= 0x2B0 && c <= 0x2B8) || (c >= 0x2170 && c <= 0x217F);
}

bool jinja_is_title(uint32_t c)
{
    return c >= 0x80 && category(c) == UTF8PROC_CATEGORY_LT;
}

bool jinja_is_name_start(uint32_t c)
{
    return c == '_' || jinja_is_alpha(c);
}

bool jinja_is_name_part(uint32_t c)
{
    if (c < 0x80)
        return c == '_' || (c >= '0' && c <= '9') || jinja_is_alpha(c);
    utf8proc_category_t k = category(c);
    return jinja_is_alpha(c) || k == UTF8PROC_CATEGORY_ND || k == UTF8PROC_CATEGORY_MN ||
           k == UTF8PROC_CATEGORY_MC || k == UTF8PROC_CATEGORY_NL || k == UTF8PROC_CATEGORY_PC;
}

static const struct {
    uint32_t from, upper[3], title[3];
} special[] = {
#define CASE(from, u0, u1, u2, t0, t1, t2) {from, {u0, u1, u2}, {t0, t1, t2}},
#include "case.def"
#undef CASE
};

int jinja_char_case(uint32_t out[3], uint32_t c, enum jinja_case to)
{
    if (c < 0x80) {
        bool letter = (c | 32) >= 'a' && (c | 32) <= 'z';
        out[0] = !letter ? c : to == JINJA_UPPER || to == JINJA_TITLE ? c & ~32u : c | 32;
        return 1;
    }
    if (c == 0x130 && to == JINJA_LOWER) {
        out[0] = 'i';
        out[1] = 0x307;
        return 2;
    }
    if (to == JINJA_FOLD) {
        utf8proc_int32_t folded[4];
        int boundary = UTF8PROC_BOUNDCLASS_START;
        utf8proc_ssize_t n =
            utf8proc_decompose_char((utf8proc_int32_t)c, folded, 4, UTF8PROC_CASEFOLD, &boundary);
        for (int i = 0; i < (int)n && i < 3; i++)
            out[i] = (uint32_t)folded[i];
        return n > 3 ? 3 : (int)n;
    }
    size_t low = 0, high = to == JINJA_LOWER ? 0 : sizeof special / sizeof *special;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (special[middle].from < c)
            low = middle + 1;
        else
            high = middle;
    }
    if (to != JINJA_LOWER && low < sizeof special / sizeof *special && special[low].from == c) {
        const uint32_t *cased = to == JINJA_UPPER ? special[low].upper : special[low].title;
        memcpy(out, cased, 3 * sizeof *out);
        return cased[2] ? 3 : cased[1] ? 2 : 1;
    }
    utf8proc_int32_t x = (utf8proc_int32_t)c;
    out[0] = (uint32_t)(to == JINJA_UPPER   ? utf8proc_toupper(x)
                        : to == JINJA_LOWER ? utf8proc_tolower(x)
                                            : utf8proc_totitle(x));
    return 1;
}
