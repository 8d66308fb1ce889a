#include "data/tokenizer/unicode.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* ---- characters ---- */

int32_t unicode_next(const char *text, size_t *at)
{
    const unsigned char *s = (const unsigned char *)text + *at;
    if (s[0] < 0x80) {
        *at += 1;
        return s[0];
    }
    if (s[0] < 0xE0) {
        *at += 2;
        return (s[0] & 0x1F) << 6 | (s[1] & 0x3F);
    }
    if (s[0] < 0xF0) {
        *at += 3;
        return (s[0] & 0x0F) << 12 | (s[1] & 0x3F) << 6 | (s[2] & 0x3F);
    }
    *at += 4;
    return (s[0] & 0x07) << 18 | (s[1] & 0x3F) << 12 | (s[2] & 0x3F) << 6 | (s[3] & 0x3F);
}

size_t unicode_previous(const char *text, size_t at)
{
    do
        at--;
    while (((unsigned char)text[at] & 0xC0) == 0x80);
    return at;
}

size_t unicode_end(const char *text, size_t at)
{
    unsigned char first = (unsigned char)text[at];
    return at + (first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4);
}

size_t unicode_encode(char out[4], int32_t c)
{
    return (size_t)utf8proc_encode_char(c, (utf8proc_uint8_t *)out);
}

bool unicode_is_space(int32_t c)
{
    return (c >= '\t' && c <= '\r') || c == ' ' || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
           c == 0x3000;
}

/* Alphabetic, marks, decimal digits, connecting punctuation and the two joiners (UTS 18, annex C). */
bool unicode_is_word(int32_t c)
{
    if ((c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) || (c >= 0x1F150 && c <= 0x1F169) ||
        (c >= 0x1F170 && c <= 0x1F189)) /* the alphabetic symbols: letters in circles and squares */
        return true;
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
        return true;
    default:
        return c == 0x200C || c == 0x200D;
    }
}

bool unicode_is_number(int32_t c)
{
    if (c < 0x80)
        return c >= '0' && c <= '9';
    utf8proc_category_t category = utf8proc_category(c);
    return category == UTF8PROC_CATEGORY_ND || category == UTF8PROC_CATEGORY_NL ||
           category == UTF8PROC_CATEGORY_NO;
}

bool unicode_is_punctuation(int32_t c)
{
    if (c < 0x80)
        return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
               (c >= '{' && c <= '~');
    utf8proc_category_t category = utf8proc_category(c);
    return category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO;
}

bool unicode_is_mark(int32_t c)
{
    utf8proc_category_t category = utf8proc_category(c);
    return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC ||
           category == UTF8PROC_CATEGORY_ME;
}

size_t unicode_width(int32_t c)
{
    return (size_t)utf8proc_charwidth(c);
}

int32_t unicode_lower(int32_t c)
{
    return utf8proc_tolower(c);
}

/* ---- normalisation forms ---- */

static bool is_hangul_syllable(int32_t c)
{
    return c >= 0xAC00 && c <= 0xD7A3;
}

/* Whether the form takes the character apart. */
static bool decomposes(int32_t c, struct unicode_form form)
{
    const utf8proc_property_t *p = utf8proc_get_property(c);
    if (is_hangul_syllable(c))
        return !form.compose;
    return p->decomp_seqindex != UINT16_MAX && (form.compatibility || p->decomp_type == 0);
}

/* Whether a character may combine with the one before it: marks, and the vowels and finals of Hangul; or
 * what the form takes apart into such, as the halfwidth voiced sound mark. */
static bool combines_backward(int32_t c, struct unicode_form form)
{
    if (unicode_is_mark(c) || (c >= 0x1160 && c <= 0x11FF))
        return true;
    if (!form.compatibility || !decomposes(c, form))
        return false;
    utf8proc_int32_t parts[32];
    int class = 0;
    utf8proc_ssize_t count =
        utf8proc_decompose_char(c, parts, 32, UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT, &class);
    return count > 0 && (unicode_is_mark(parts[0]) || (parts[0] >= 0x1160 && parts[0] <= 0x11FF));
}

/* The end of the cluster that begins at `at`: one character and all that may combine with it. *simple: it is
 * one character that the form leaves alone. */
static size_t cluster_end(bool *simple, const struct mapped_view *view, size_t at, struct unicode_form form)
{
    int32_t first = unicode_next(view->text, &at);
    size_t characters = 1;
    while (at < view->length) {
        size_t next = at;
        int32_t c = unicode_next(view->text, &next);
        if (c < 0x300 || !combines_backward(c, form))
            break;
        characters++;
        at = next;
    }
    int32_t plain = form.compose && !form.compatibility ? 0x300 : 0xA0; /* all below are left alone */
    *simple = characters == 1 && (first < plain || !decomposes(first, form));
    return at;
}

/* The cluster in its form, in UTF-8 from the first byte of *buffer on. */
static enum err_code normalize_cluster(int32_t **buffer, size_t *capacity, size_t *length, const char *text,
                                       size_t size, struct unicode_form form, struct err *e)
{
    const utf8proc_uint8_t *bytes = (const utf8proc_uint8_t *)text;
    utf8proc_option_t options = UTF8PROC_STABLE | (form.compose ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE) |
                                (form.compatibility ? UTF8PROC_COMPAT : 0);
    utf8proc_ssize_t count = utf8proc_decompose(bytes, (utf8proc_ssize_t)size, NULL, 0, options);
    if (count > 0) {
        if (mapped_grow(buffer, capacity, (size_t)count + 1, sizeof **buffer, e))
            return e->code;
        utf8proc_decompose(bytes, (utf8proc_ssize_t)size, *buffer, count, options);
        count = utf8proc_reencode(*buffer, count, options);
    }
    if (count < 0)
        return err_set(e, ERR_DATA, "Unicode normalisation fails: %s", utf8proc_errmsg(count));
    *length = (size_t)count;
    return ERR_OK;
}

enum err_code unicode_normalize(bool *changed, struct mapped *out, const struct mapped_view *view,
                                struct unicode_form form, struct err *e)
{
    int32_t *buffer = NULL;
    size_t capacity = 0, same = 0; /* up to where the text is copied */
    enum err_code code = ERR_OK;
    *changed = false;
    mapped_begin(out, view->length);
    for (size_t at = 0, end; code == ERR_OK && at < view->length; at = end) {
        bool simple;
        size_t length = 0;
        end = cluster_end(&simple, view, at, form);
        if (simple)
            continue;
        code = normalize_cluster(&buffer, &capacity, &length, view->text + at, end - at, form, e);
        if (code || (length == end - at && memcmp(buffer, view->text + at, length) == 0))
            continue;
        *changed = true;
        if (mapped_copy(out, view, same, at, e) ||
            mapped_append(out, (const char *)buffer, length, mapped_start(view, at),
                          mapped_end(view, end - 1), e))
            code = e->code;
        same = end;
    }
    if (code == ERR_OK && *changed)
        code = mapped_copy(out, view, same, view->length, e);
    free(buffer);
    return code;
}
