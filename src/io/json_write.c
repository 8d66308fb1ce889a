#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/json.h"

/* The letter of a two-character escape, or 0. */
static char escape_letter(unsigned char c)
{
    switch (c) {
    case '"':
    case '\\':
        return (char)c;
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return 0;
    }
}

enum err_code json_append_string(struct str *out, const char *text, size_t length, struct err *e)
{
    if (str_append(out, "\"", 1, e))
        return e->code;
    size_t copied = 0, valid = str_utf8_valid_prefix(text, length);
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (i == valid) { /* the name of a file, say, in another encoding */
            if (str_append(out, text + copied, i - copied, e) || str_append(out, "\\ufffd", 6, e))
                return e->code;
            copied = i + 1;
            valid = copied + str_utf8_valid_prefix(text + copied, length - copied);
            continue;
        }
        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f)
            continue;
        if (str_append(out, text + copied, i - copied, e))
            return e->code;
        copied = i + 1;
        char letter = escape_letter(c);
        if (letter) {
            if (str_append(out, (char[2]){'\\', letter}, 2, e))
                return e->code;
        } else if (str_appendf(out, e, "\\u%04x", c)) {
            return e->code;
        }
    }
    if (str_append(out, text + copied, length - copied, e))
        return e->code;
    return str_append(out, "\"", 1, e);
}

enum err_code json_append_real(struct str *out, double x, struct err *e)
{
    if (!isfinite(x))
        return str_append(out, "null", 4, e);
    char number[32];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(number, sizeof number, "%.*g", digits, x);
        if (strtod(number, NULL) == x)
            break;
    }
    return str_append(out, number, strlen(number), e);
}
