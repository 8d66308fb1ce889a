#include "report/markup.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void markup_put(struct markup *m, const char *format, ...)
{
    char text[2048];
    if (m->e->code)
        return;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= sizeof text)
        err_set(m->e, ERR_MEMORY, "a piece of markup of %d bytes is too long", length);
    else
        str_append(m->out, text, (size_t)length, m->e);
}

void markup_text(struct markup *m, const char *text)
{
    if (!m->e->code)
        markup_append_text(m->out, text, m->e);
}

enum err_code markup_append_text(struct str *out, const char *text, struct err *e)
{
    static const char replacement[] = "\xef\xbf\xbd";
    size_t length = strlen(text), valid = str_utf8_valid_prefix(text, length);
    for (size_t i = 0; i < length; i++) {
        const char *piece = NULL;
        unsigned char c = (unsigned char)text[i];
        if (i == valid) {
            piece = replacement;
            valid = i + 1 + str_utf8_valid_prefix(text + i + 1, length - i - 1);
        } else if (c == '<') {
            piece = "&lt;";
        } else if (c == '>') {
            piece = "&gt;";
        } else if (c == '&') {
            piece = "&amp;";
        } else if (c == '"') {
            piece = "&quot;";
        } else if (c == '\'') {
            piece = "&#39;";
        } else if (c < 0x20 && c != '\n' && c != '\t') {
            piece = replacement;
        }
        if (str_append(out, piece ? piece : text + i, piece ? strlen(piece) : 1, e))
            return e->code;
    }
    return ERR_OK;
}
