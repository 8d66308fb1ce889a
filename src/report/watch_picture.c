#include "watch_picture.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "data/tokenizer/unicode.h"

enum { FACT = 300 }; /* bytes of a fact */

static void put_bytes(struct picture *p, const char *bytes, size_t length)
{
    if (!p->e->code)
        str_append(p->out, bytes, length, p->e);
}

static void put_character(struct picture *p, int32_t character)
{
    char bytes[4];
    if (p->look->ascii && character > '~')
        character = '?';
    const size_t width = unicode_width(character);
    if (p->used + width <= p->look->columns) {
        put_bytes(p, bytes, unicode_encode(bytes, character));
        p->used += width;
    } else {
        p->used = p->look->columns; /* nothing that is narrower comes after what had no room */
    }
}

/* The first bytes of a text, in a style (NULL: none), as much as there is room for. */
static void put_part(struct picture *p, const char *style, const char *text, size_t length)
{
    const bool coloured = style && p->look->colour && length;
    if (coloured)
        put_bytes(p, style, strlen(style));
    for (size_t at = 0; at < length;)
        put_character(p, unicode_next(text, &at));
    if (coloured)
        put_bytes(p, "\033[0m", 4);
}

void picture_put(struct picture *p, const char *style, const char *text)
{
    put_part(p, style, text, strlen(text));
}

/* Names of runs begin alike, and differ at their ends. */
void picture_put_name(struct picture *p, const char *style, const char *text, size_t columns)
{
    const char *gap = p->look->ascii ? ".." : "…";
    size_t width = picture_width(text), first = 0, last = 0;
    if (width <= columns || columns < 8) {
        picture_put(p, style, text);
        return;
    }
    const size_t room = columns - picture_width(gap);
    for (size_t used = 0, next = 0; used < room / 2; first = next)
        used += unicode_width(unicode_next(text, &next));
    for (size_t next = 0; width > room - room / 2; last = next)
        width -= unicode_width(unicode_next(text, &next));
    put_part(p, style, text, first);
    picture_put(p, STYLE_FAINT, gap);
    picture_put(p, style, text + last);
}

void picture_blanks(struct picture *p, size_t until)
{
    while (p->used < until && p->used < p->look->columns)
        put_character(p, ' ');
}

void picture_end_line(struct picture *p)
{
    put_bytes(p, "\n", 1);
    p->used = 0;
    p->rows++;
}

size_t picture_width(const char *text)
{
    size_t width = 0;
    for (size_t at = 0; text[at];)
        width += unicode_width(unicode_next(text, &at));
    return width;
}

/* How many bytes of a text have room, up to a blank; all of it if no blank is in time. */
static size_t fitting(const char *text, size_t columns)
{
    size_t width = 0, blank = 0;
    for (size_t at = 0, next = 0; text[at]; at = next) {
        const int32_t character = unicode_next(text, &next);
        if (character == ' ')
            blank = at;
        width += unicode_width(character);
        if (width > columns)
            return blank ? blank : strlen(text);
    }
    return strlen(text);
}

void picture_fact(struct picture *p, size_t indent, const char *style, const char *text)
{
    const size_t gap = p->used > indent ? 2 : 0;
    if (gap && p->used + gap + picture_width(text) > p->look->columns)
        picture_end_line(p);
    picture_blanks(p, p->used ? p->used + gap : indent);
    for (size_t length; (length = fitting(text, p->look->columns - p->used)) < strlen(text);) {
        put_part(p, style, text, length);
        picture_end_line(p);
        picture_blanks(p, indent);
        text += length + 1;
    }
    picture_put(p, style, text);
}

void picture_factf(struct picture *p, size_t indent, const char *format, ...)
{
    char text[FACT];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    picture_fact(p, indent, NULL, text);
}

void picture_label(struct picture *p, const char *label)
{
    picture_put(p, STYLE_FAINT, label);
    picture_blanks(p, PICTURE_LABEL);
}

/* "1,234,567" */
const char *text_grouped(char text[32], double x)
{
    char digits[32];
    const int length = snprintf(digits, sizeof digits, "%.0f", fmin(fmax(x, 0), 1e15));
    size_t at = 0;
    for (int i = 0; i < length; i++) {
        if (i && (length - i) % 3 == 0)
            text[at++] = ',';
        text[at++] = digits[i];
    }
    text[at] = '\0';
    return text;
}

/* "just now", "3 min", "5 h", "2 days": coarse, so that a picture does not change each second. */
const char *text_age(char text[32], double seconds)
{
    if (seconds < 60)
        snprintf(text, 32, "just now");
    else if (seconds < 3600)
        snprintf(text, 32, "%.0f min ago", floor(seconds / 60));
    else if (seconds < 48 * 3600)
        snprintf(text, 32, "%.0f h ago", floor(seconds / 3600));
    else
        snprintf(text, 32, "%.0f days ago", floor(fmin(seconds, 1e12) / 86400));
    return text;
}

const char *text_loss(char text[32], double loss)
{
    snprintf(text, 32, fabs(loss) < 1e5 ? "%.4f" : "%.3g", loss);
    return isfinite(loss) ? text : "not finite";
}
