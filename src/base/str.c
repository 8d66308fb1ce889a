#include "base/str.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum err_code str_reserve(struct str *s, size_t capacity, struct err *e)
{
    if (s->data && capacity <= s->capacity)
        return ERR_OK;
    if (capacity == SIZE_MAX)
        return err_set(e, ERR_MEMORY, "a text of %zu bytes is more than can be addressed", capacity);
    char *data = realloc(s->data, capacity + 1); /* one more for the terminator */
    if (!data)
        return err_set(e, ERR_MEMORY, "no memory for a text of %zu bytes", capacity);
    s->data = data;
    s->capacity = capacity;
    s->data[s->length] = '\0';
    return ERR_OK;
}

/* Room for `more` bytes after the present ones; doubles, so that n appends cost O(n). */
static enum err_code make_room(struct str *s, size_t more, struct err *e)
{
    size_t need;
    if (__builtin_add_overflow(s->length, more, &need))
        return err_set(e, ERR_MEMORY, "a text grew by %zu bytes to more than can be addressed", more);
    if (s->data && need <= s->capacity)
        return ERR_OK;
    size_t doubled = s->capacity < SIZE_MAX / 4 ? s->capacity * 2 : need;
    size_t least = need > 31 ? need : 31;
    return str_reserve(s, doubled > least ? doubled : least, e);
}

enum err_code str_append(struct str *s, const void *bytes, size_t length, struct err *e)
{
    if (make_room(s, length, e))
        return e->code;
    if (length)
        memcpy(s->data + s->length, bytes, length);
    s->length += length;
    s->data[s->length] = '\0';
    return ERR_OK;
}

void str_format_time(char *text, size_t size, double seconds)
{
    const uint64_t s = seconds > 0 ? (uint64_t)((seconds < 1e15 ? seconds : 1e15) + 0.5) : 0, hours = s / 3600;
    if (hours)
        snprintf(text, size, "%" PRIu64 ":%02" PRIu64 ":%02" PRIu64, hours, s / 60 % 60, s % 60);
    else
        snprintf(text, size, "%" PRIu64 ":%02" PRIu64, s / 60, s % 60);
}

enum err_code str_appendf(struct str *s, struct err *e, const char *format, ...)
{
    char most[256]; /* texts fit this: to format a text twice takes twice the time */
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(most, sizeof most, format, args);
    va_end(args);
    enum err_code code = ERR_OK;
    if (length < 0)
        code = err_set(e, ERR_MEMORY, "text could not be formatted: %s", format);
    else if ((size_t)length < sizeof most)
        code = str_append(s, most, (size_t)length, e);
    else
        code = make_room(s, (size_t)length, e);
    if (!code && length > 0 && (size_t)length >= sizeof most) {
        vsnprintf(s->data + s->length, (size_t)length + 1, format, again);
        s->length += (size_t)length;
    }
    va_end(again);
    return code;
}

void str_clear(struct str *s)
{
    s->length = 0;
    if (s->data)
        s->data[0] = '\0';
}

void str_release(struct str *s)
{
    free(s->data);
    *s = (struct str){0};
}

int str_distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    if (n > STR_DISTANCE_MAX || m > STR_DISTANCE_MAX)
        return STR_DISTANCE_MAX + 1;
    /* rows[i % 3][j]: distance of the first i letters of a to the first j of b; a swap looks two rows back.
     */
    int rows[3][STR_DISTANCE_MAX + 1];
    for (size_t i = 0; i <= n; i++) {
        int *row = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];
        row[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            if (i == 0) {
                row[j] = (int)j;
                continue;
            }
            int best = above[j - 1] + (a[i - 1] != b[j - 1]);
            if (above[j] + 1 < best)
                best = above[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped && above2[j - 2] + 1 < best)
                best = above2[j - 2] + 1;
            row[j] = best;
        }
    }
    return rows[n % 3][m];
}

const char *str_nearest(const char *word, const char *const *candidates, size_t count)
{
    /* One slip in three letters, at least one and at most three, is a typing error; more is another word. */
    size_t length = strlen(word);
    int limit = length < 6 ? 1 : length < 9 ? 2 : 3;
    const char *nearest = NULL;
    for (size_t i = 0; i < count; i++) {
        int distance = str_distance(word, candidates[i]);
        if (distance <= limit && (size_t)distance < length) {
            limit = distance - 1;
            nearest = candidates[i];
        }
    }
    return nearest;
}

bool str_starts_with(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_starts_with_any(const char *s, const char *const *prefixes)
{
    while (*prefixes && !str_starts_with(s, *prefixes))
        prefixes++;
    return *prefixes != NULL;
}

bool str_ends_with(const char *s, const char *suffix)
{
    size_t length = strlen(s), tail = strlen(suffix);
    return length >= tail && memcmp(s + length - tail, suffix, tail) == 0;
}

const char *str_list_item(size_t *length, const char *at)
{
    at += strspn(at, " ");
    *length = strcspn(at, ",");
    while (*length && at[*length - 1] == ' ')
        --*length;
    return at;
}

/* Length of the well-formed UTF-8 sequence at p (Unicode 15, table 3-7), 0 if there is none. */
static size_t utf8_sequence(const unsigned char *p, size_t left)
{
    unsigned char lead = p[0];
    if (lead < 0x80)
        return 1;
    unsigned char low = 0x80, high = 0xBF; /* bounds of the second byte */
    size_t length;
    if (lead >= 0xC2 && lead <= 0xDF) {
        length = 2;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
        length = 3;
        low = lead == 0xE0 ? 0xA0 : low;   /* no overlong forms */
        high = lead == 0xED ? 0x9F : high; /* no surrogates */
    } else if (lead >= 0xF0 && lead <= 0xF4) {
        length = 4;
        low = lead == 0xF0 ? 0x90 : low;
        high = lead == 0xF4 ? 0x8F : high; /* nothing over U+10FFFF */
    } else {
        return 0;
    }
    if (left < length || p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    return length;
}

size_t str_utf8_valid_prefix(const void *bytes, size_t length)
{
    const unsigned char *p = bytes;
    size_t at = 0;
    while (at < length) {
        uint64_t word;
        if (length - at >= sizeof word) { /* eight ASCII bytes at once: most text is */
            memcpy(&word, p + at, sizeof word);
            if (!(word & UINT64_C(0x8080808080808080))) {
                at += sizeof word;
                continue;
            }
        }
        size_t step = utf8_sequence(p + at, length - at);
        if (!step)
            return at;
        at += step;
    }
    return at;
}

int str_utf8_cut(const char *text, int most)
{
    int length = (int)strnlen(text, (size_t)most + 1);
    if (length <= most)
        return length;
    while (most > 0 && ((unsigned char)text[most] & 0xC0) == 0x80)
        most--;
    return most;
}

/* Does this character do something on a terminal instead of being shown? Separators of lines and marks of direction,
 * too: a reader would take what follows for other words. */
static bool acts_on_terminal(uint32_t c)
{
    return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0x061C || c == 0x200E || c == 0x200F ||
           (c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
}

/* The code point of a well-formed sequence of so many bytes. */
static uint32_t code_point(const unsigned char *p, size_t length)
{
    uint32_t c = length == 1 ? p[0] : p[0] & (0x7FU >> length);
    for (size_t i = 1; i < length; i++)
        c = c << 6 | (p[i] & 0x3FU);
    return c;
}

enum { PIECE_SIZE = 8 };

/* One character of the text as it is shown; returns how many bytes of the text it was. */
static size_t show(char piece[PIECE_SIZE], const unsigned char *p, size_t left, const char *kept)
{
    size_t length = utf8_sequence(p, left);
    if (!length) {
        snprintf(piece, PIECE_SIZE, "\\x%02x", p[0]);
        return 1;
    }
    const uint32_t c = code_point(p, length);
    if (!acts_on_terminal(c) || (c && c < 0x80 && strchr(kept, (int)c))) {
        memcpy(piece, p, length);
        piece[length] = '\0';
    } else if (c == '\n' || c == '\t') {
        snprintf(piece, PIECE_SIZE, "%s", c == '\n' ? "\\n" : "\\t");
    } else {
        snprintf(piece, PIECE_SIZE, "\\u%04x", (unsigned)(c & 0xFFFF));
    }
    return length;
}

enum err_code str_append_visible(struct str *s, const char *text, size_t length, const char *kept,
                                 struct err *e)
{
    char piece[PIECE_SIZE];
    for (size_t at = 0; at < length;) {
        at += show(piece, (const unsigned char *)text + at, length - at, kept);
        if (str_append(s, piece, strlen(piece), e))
            return e->code;
    }
    return ERR_OK;
}

size_t str_make_visible(char *out, size_t size, const char *text, size_t length, const char *kept)
{
    char piece[PIECE_SIZE];
    size_t used = 0;
    for (size_t at = 0; at < length;) {
        at += show(piece, (const unsigned char *)text + at, length - at, kept);
        const size_t more = strlen(piece);
        if (used + more >= size)
            break;
        memcpy(out + used, piece, more);
        used += more;
    }
    out[used] = '\0';
    return used;
}

enum err_code str_append_word(struct str *s, const char *text, struct err *e)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-";
    if (*text && !text[strspn(text, plain)])
        return str_append(s, text, strlen(text), e);
    enum err_code code = str_append(s, "'", 1, e);
    for (; !code && *text; text++)
        code = *text == '\'' ? str_append(s, "'\\''", 4, e) : str_append(s, text, 1, e);
    return code ? code : str_append(s, "'", 1, e);
}
