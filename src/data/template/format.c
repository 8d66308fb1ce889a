/* Conversions of numbers and texts, and '%s' % values, with them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "eval.h"
#include "format.h"
#include "unicode.h"

enum { NUMBER_ROOM = 2048 };

static enum err_code bad_format(struct jinja *j, struct jinja_value v, char letter)
{
    return jinja_fail(j, "format '%c' does not take a value of type '%s'", letter ? letter : ' ',
                      jinja_type_name(v));
}

/* Pads a finished conversion to the width; `digits`: where the digits of a number begin, for zeros after its sign. */
static enum err_code add_padded(struct jinja *j, struct jinja_builder *b, struct jinja_value text,
                                size_t digits, const struct jinja_spec *s, char otherwise)
{
    char align = (char)(s->align ? s->align : otherwise);
    struct jinja_value sign = {0}, rest = {0};
    int64_t length = (int64_t)jinja_char_count(text.text->bytes, text.text->length);
    if (s->width <= length)
        return jinja_build_text(j, b, text);
    if (align != '=') {
        struct jinja_value padded = {0};
        if (align == '^') { /* format() puts what does not go evenly to the right */
            int64_t left = length + (s->width - length) / 2;
            if (jinja_pad(j, text, left, s->fill, true, false, &text) ||
                jinja_pad(j, text, s->width, s->fill, false, true, &padded))
                return j->e->code;
        } else if (jinja_pad(j, text, s->width, s->fill, align == '>', align == '<', &padded)) {
            return j->e->code;
        }
        return jinja_build_text(j, b, padded);
    }
    if (jinja_cut(j, text, 0, digits, &sign) || jinja_cut(j, text, digits, text.text->length, &rest) ||
        jinja_pad(j, rest, s->width - (int64_t)digits, s->fill, true, false, &rest) ||
        jinja_build_text(j, b, sign))
        return j->e->code;
    return jinja_build_text(j, b, rest);
}

/* Separators between groups of three (four of hexadecimal) digits of the whole part. */
static void group_digits(char *number, char separator, size_t each)
{
    char grouped[NUMBER_ROOM];
    size_t whole = strspn(number, "0123456789abcdefABCDEF"), used = 0;
    for (size_t i = 0; i < whole; i++) {
        if (i && (whole - i) % each == 0)
            grouped[used++] = separator;
        grouped[used++] = number[i];
    }
    snprintf(grouped + used, sizeof grouped - used, "%s", number + whole);
    memcpy(number, grouped, strlen(grouped) + 1);
}

enum err_code jinja_spec_integer(struct jinja *j, struct jinja_builder *b, struct jinja_value v, int64_t x,
                                 const struct jinja_spec *s)
{
    char number[NUMBER_ROOM], digits[80];
    uint64_t size = x < 0 ? -(uint64_t)x : (uint64_t)x;
    const char *prefix = "";
    struct jinja_value text = {0};
    size_t used = 0;
    if (s->letter == 'b') {
        char *end = digits + sizeof digits - 1, *p = end;
        *end = '\0';
        do
            *--p = (char)('0' + (size & 1));
        while (size >>= 1);
        memmove(digits, p, (size_t)(end - p) + 1);
        prefix = "0b";
    } else {
        static const char *const formats[] = {"%llu", "%llx", "%llX", "%llo"}, *const prefixes[] = {
                                                                                   "", "0x", "0X", "0o"};
        int which = s->letter == 'x' ? 1 : s->letter == 'X' ? 2 : s->letter == 'o' ? 3 : 0;
        snprintf(digits, sizeof digits, formats[which], (unsigned long long)size);
        prefix = prefixes[which];
    }
    if (x < 0 || s->sign == '+' || s->sign == ' ')
        number[used++] = (char)(x < 0 ? '-' : s->sign);
    if (s->alternate)
        used += (size_t)sprintf(number + used, "%s", prefix);
    size_t start = used, length = strlen(digits); /* of the digits */
    for (int64_t i = (int64_t)length; i < s->precision && used < NUMBER_ROOM / 2; i++)
        number[used++] = '0';
    memcpy(number + used, digits, length + 1);
    if (s->grouping)
        group_digits(number + start, s->grouping, s->letter && strchr("bxXo", s->letter) ? 4 : 3);
    struct jinja_builder made = {0};
    if (jinja_build(j, &made, number, strlen(number), v.origin) || jinja_build_end(j, &made, &text))
        return j->e->code;
    return add_padded(j, b, text, start, s, s->zero ? '=' : '>');
}

enum err_code jinja_spec_real(struct jinja *j, struct jinja_builder *b, struct jinja_value v, double x,
                              const struct jinja_spec *s)
{
    char number[NUMBER_ROOM], format[16];
    struct jinja_value text = {0};
    size_t used = 0;
    int precision = s->precision < 0 ? 6 : s->precision > 1000 ? 1000 : (int)s->precision;
    if (signbit(x) || s->sign == '+' || s->sign == ' ')
        number[used++] = signbit(x) ? '-' : s->sign;
    size_t start = used;
    x = fabs(x);
    if (!s->letter && s->precision < 0) {
        jinja_real_text(number + used, x);
    } else if (!s->letter) { /* 'g', but with a digit after the point */
        if (precision == 0)
            precision = 1;
        used += (size_t)snprintf(number + used, sizeof number - used, "%.*g", precision, x);
        if (isfinite(x) && !strpbrk(number + start, ".e"))
            snprintf(number + used, sizeof number - used, ".0");
    } else if (s->letter == '%') {
        snprintf(number + used, sizeof number - used, "%.*f%%", precision, x * 100);
    } else {
        snprintf(format, sizeof format, "%%%s.*%c", s->alternate ? "#" : "", s->letter);
        snprintf(number + used, sizeof number - used, format, precision, x);
    }
    if (s->grouping && isfinite(x))
        group_digits(number + start, s->grouping, 3);
    struct jinja_builder made = {0};
    if (jinja_build(j, &made, number, strlen(number), v.origin) || jinja_build_end(j, &made, &text))
        return j->e->code;
    return add_padded(j, b, text, start, s, s->zero ? '=' : '>');
}

enum err_code jinja_spec_text(struct jinja *j, struct jinja_builder *b, struct jinja_value text,
                              const struct jinja_spec *s, char align)
{
    size_t end = text.text->length;
    if (s->precision >= 0)
        end = jinja_char_offset(text.text->bytes, end, (size_t)s->precision);
    return jinja_cut(j, text, 0, end, &text) ? j->e->code : add_padded(j, b, text, 0, s, align);
}

int64_t jinja_spec_number(const struct jinja_text *t, size_t *at)
{
    int64_t x = -1;
    for (; *at < t->length && t->bytes[*at] >= '0' && t->bytes[*at] <= '9'; ++*at)
        x = (x < 0 ? 0 : x > JINJA_MAX_WIDTH ? x : x * 10) + (t->bytes[*at] - '0');
    return x;
}

/* What '%' formats take their values from. */
struct source {
    struct jinja_value values;
    size_t next;
    bool by_name, markup; /* for a format that is Markup */
};

static enum err_code next_value(struct jinja *j, struct source *s, struct jinja_value *out)
{
    bool is_tuple = jinja_is(s->values, JINJA_TUPLE);
    if (s->next >= (is_tuple ? s->values.list->count : 1))
        return jinja_fail(j, "not enough arguments for format string");
    *out = is_tuple ? s->values.list->items[s->next] : s->values;
    s->next++;
    return ERR_OK;
}

/* A width or precision: a number, or * for the next value. */
static enum err_code read_size(struct jinja *j, const struct jinja_text *t, size_t *at, struct source *values,
                               int64_t *out)
{
    struct jinja_value v = {0};
    if (*at >= t->length || t->bytes[*at] != '*') {
        *out = jinja_spec_number(t, at);
    } else {
        ++*at;
        if (next_value(j, values, &v))
            return j->e->code;
        if (values->markup || !jinja_as_int(v, out))
            return jinja_fail(j, "* wants int");
    }
    return *out > JINJA_MAX_WIDTH ? jinja_fail(j, "a width of %lld is too large", (long long)*out) : ERR_OK;
}

/* Markup gives its % objects of its own in place of the values: their text is escaped, int() and float() of them are
 * those of the values, also of strings, and they are neither integers nor characters. */
static enum err_code markup_number(struct jinja *j, const struct jinja_spec *s, struct jinja_value *v)
{
    uint32_t origin = v->origin;
    int64_t integer;
    double real;
    if (strchr("cxXo", s->letter))
        return bad_format(j, *v, s->letter);
    if (!jinja_is(*v, JINJA_STRING))
        return ERR_OK;
    if (strchr("diu", s->letter) && jinja_parse_int(v->text, 10, &integer))
        *v = jinja_int(integer);
    else if (!strchr("diu", s->letter) && jinja_parse_real(v->text, &real))
        *v = (struct jinja_value){.kind = JINJA_FLOAT, .real = real};
    v->origin = origin;
    return ERR_OK;
}

static enum err_code percent_value(struct jinja *j, struct jinja_builder *b, struct jinja_value v,
                                   struct jinja_spec *s, bool markup)
{
    int64_t integer;
    double real;
    struct jinja_value text = {0};
    struct jinja_builder repr = {0};
    char align = s->align == '<' ? '<' : '>';
    if (markup && !strchr("sra", s->letter) && markup_number(j, s, &v))
        return j->e->code;
    switch (s->letter) {
    case 's':
        if (markup ? jinja_escape(j, v, &text) : jinja_to_text(j, v, &text))
            return j->e->code;
        return jinja_spec_text(j, b, text, s, align);
    case 'r':
    case 'a':
        if (jinja_build_repr(j, &repr, v) || jinja_build_end(j, &repr, &text) ||
            (markup && jinja_escape(j, text, &text)))
            return j->e->code;
        return jinja_spec_text(j, b, text, s, align);
    case 'c':
        if (jinja_as_int(v, &integer)) {
            struct jinja_builder one = {0};
            if (integer < 0 || integer > 0x10FFFF || (integer >= 0xD800 && integer < 0xE000))
                return jinja_fail(j, "%%c arg not in range");
            if (jinja_build_char(j, &one, (uint32_t)integer, v.origin) || jinja_build_end(j, &one, &v))
                return j->e->code;
        }
        if (!jinja_is(v, JINJA_STRING) || jinja_char_count(v.text->bytes, v.text->length) != 1)
            return jinja_fail(j, "%%c requires int or char");
        return add_padded(j, b, v, 0, s, align);
    case 'd':
    case 'i':
    case 'u':
    case 'x':
    case 'X':
    case 'o':
        if (jinja_is(v, JINJA_FLOAT) && strchr("diu", s->letter) && v.real > -0x1p63 && v.real < 0x1p63) {
            v.integer = (int64_t)v.real;
            v.kind = JINJA_INT;
        }
        return jinja_as_int(v, &integer) ? jinja_spec_integer(j, b, v, integer, s)
                                         : bad_format(j, v, s->letter);
    default:
        return jinja_as_real(v, &real) ? jinja_spec_real(j, b, v, real, s) : bad_format(j, v, s->letter);
    }
}

/* (key), if one stands here: the value is that of the key. */
static enum err_code read_key(struct jinja *j, struct jinja_value format, size_t *at, struct source *values,
                              struct jinja_value *v)
{
    const struct jinja_text *t = format.text;
    size_t start = ++*at;
    int open = 1;
    for (; *at < t->length && open; ++*at)
        open += t->bytes[*at] == '(' ? 1 : t->bytes[*at] == ')' ? -1 : 0;
    if (open)
        return jinja_fail(j, "incomplete format key");
    struct jinja_value key = {0};
    struct jinja_pair *pair;
    if (!jinja_is(values->values, JINJA_DICT))
        return jinja_fail(j, "format requires a mapping");
    if (jinja_cut(j, format, start, *at - 1, &key) || jinja_dict_find(j, values->values.dict, key, &pair))
        return j->e->code;
    if (!pair)
        return jinja_fail(j, "the format's key '%.*s' is not there", (int)key.text->length, key.text->bytes);
    values->by_name = true;
    *v = pair->value;
    return ERR_OK;
}

/* One conversion; *at is after its %. */
static enum err_code percent_one(struct jinja *j, struct jinja_builder *b, struct jinja_value format,
                                 size_t *at, struct source *values)
{
    const struct jinja_text *t = format.text;
    struct jinja_spec s = {.width = -1, .precision = -1};
    struct jinja_value v = jinja_make(JINJA_MISSING, 0);
    if (*at < t->length && t->bytes[*at] == '(' && read_key(j, format, at, values, &v))
        return j->e->code;
    for (; *at < t->length && strchr("-+ #0", t->bytes[*at]) && t->bytes[*at]; ++*at) {
        char flag = t->bytes[*at];
        s.align = (char)(flag == '-' ? '<' : s.align);
        s.sign = (char)(flag == '+' ? '+' : flag == ' ' && !s.sign ? ' ' : s.sign);
        s.alternate |= flag == '#';
        s.zero |= flag == '0';
    }
    if (read_size(j, t, at, values, &s.width))
        return j->e->code;
    if (s.width < -1) {
        s.align = '<';
        s.width = -s.width;
    }
    if (*at < t->length && t->bytes[*at] == '.') {
        ++*at;
        if (read_size(j, t, at, values, &s.precision))
            return j->e->code;
        s.precision = s.precision < 0 ? 0 : s.precision;
    }
    while (*at < t->length && strchr("hlL", t->bytes[*at]) && t->bytes[*at])
        ++*at;
    if (*at == t->length)
        return jinja_fail(j, "incomplete format");
    s.letter = t->bytes[(*at)++];
    if (s.letter == '%')
        return jinja_build(j, b, "%", 1, 0);
    if (!s.letter || !strchr("sracdiuxXoeEfFgG", s.letter))
        return jinja_fail(j, "unsupported format character '%c'", s.letter);
    bool is_text = strchr("srac", s.letter) != NULL;
    s.zero &= !is_text && s.align != '<';
    if (jinja_from_text(j, &s.fill, s.zero ? "0" : " ", 1, 0))
        return j->e->code;
    if (jinja_is(v, JINJA_MISSING) && next_value(j, values, &v))
        return j->e->code;
    return percent_value(j, b, v, &s, values->markup);
}

enum err_code jinja_format_percent(struct jinja *j, struct jinja_value format, struct jinja_value values,
                                   struct jinja_value *out)
{
    struct jinja_builder b = {0};
    struct source source = {.values = values, .markup = format.safe};
    const struct jinja_text *t = format.text;
    for (size_t at = 0; at < t->length;) {
        const char *sign = memchr(t->bytes + at, '%', t->length - at);
        size_t end = sign ? (size_t)(sign - t->bytes) : t->length;
        if (jinja_build_slice(j, &b, format, at, end))
            return j->e->code;
        at = end + 1;
        if (sign && percent_one(j, &b, format, &at, &source))
            return j->e->code;
    }
    bool is_tuple = jinja_is(values, JINJA_TUPLE);
    if (is_tuple ? source.next < values.list->count
                 : !source.next && !jinja_is(values, JINJA_DICT) && !jinja_is(values, JINJA_LIST) &&
                       !jinja_is(values, JINJA_RANGE) && !jinja_is(values, JINJA_UNDEFINED))
        return jinja_fail(j, "not all arguments converted during string formatting");
    return jinja_build_end_as(j, &b, format.safe, out);
}
