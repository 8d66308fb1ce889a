/* The filters of numbers and of any value. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "eval.h"
#include "unicode.h"

static enum err_code f_abs(JINJA_ARGS)
{
    (void)args;
    int64_t integer;
    if (jinja_is(a[0], JINJA_UNDEFINED))
        return jinja_fail_undefined(j, a[0]);
    if (jinja_as_int(a[0], &integer)) {
        if (integer == INT64_MIN)
            return jinja_fail(j, "an integer beyond 64 bits");
        *out = jinja_int(integer < 0 ? -integer : integer);
        return ERR_OK;
    }
    if (!jinja_is(a[0], JINJA_FLOAT))
        return jinja_fail(j, "bad operand type for abs(): '%s'", jinja_type_name(a[0]));
    *out = jinja_make(JINJA_FLOAT, 0);
    out->real = fabs(a[0].real);
    return ERR_OK;
}

static enum err_code f_attr(JINJA_ARGS)
{
    (void)args;
    if (jinja_want_text(j, a[1], "the attribute's name"))
        return j->e->code;
    const char *name = jinja_c_string(j, a[1]);
    if (!name)
        return j->e->code;
    struct jinja_value x = a[0];
    struct jinja_methods methods = jinja_find_methods(name, a[1].text->length);
    if (jinja_is(x, JINJA_DICT) && !methods.dict) /* not foo["bar"], as foo.bar would */
        return jinja_undefined(j, out, "'dict' has no attribute '%s'", name);
    return jinja_attribute(j, x, name, a[1].text->length, &methods, out);
}

static enum err_code f_default(JINJA_ARGS)
{
    (void)args;
    bool falls = jinja_is(a[0], JINJA_UNDEFINED) || (jinja_truth(a[2]) && !jinja_truth(a[0]));
    if (falls && jinja_is(a[1], JINJA_MISSING))
        return jinja_from_text(j, out, "", 0, 0);
    *out = falls ? a[1] : a[0];
    return ERR_OK;
}

/* A float as an integer; false: it is none, or beyond 64 bits. */
static bool whole(double x, int64_t *out)
{
    if (!(x > -0x1p63 && x < 0x1p63))
        return false;
    *out = (int64_t)x;
    return true;
}

static enum err_code f_int(JINJA_ARGS)
{
    (void)args;
    int64_t base, x;
    double real;
    *out = jinja_is(a[1], JINJA_MISSING) ? jinja_int(0) : a[1];
    if (jinja_is(a[0], JINJA_UNDEFINED))
        return jinja_fail_undefined(j, a[0]);
    if (jinja_want_int(j, a[2], "the base", 10, &base))
        return j->e->code;
    bool is_text = jinja_is(a[0], JINJA_STRING), done = jinja_as_int(a[0], &x);
    if (is_text && base >= 0 && base <= 36 && base != 1)
        done = jinja_parse_int(a[0].text, (int)base, &x);
    if (!done && (is_text ? jinja_parse_real(a[0].text, &real) : jinja_as_real(a[0], &real))) {
        done = whole(real, &x);
        if (!done && isfinite(real))
            return jinja_fail(j, "an integer beyond 64 bits");
        if (!done && isinf(real) && !is_text)
            return jinja_fail(j, "cannot convert float infinity to integer");
    }
    if (done)
        *out = jinja_int(x);
    return ERR_OK;
}

static enum err_code f_float(JINJA_ARGS)
{
    (void)args;
    double x;
    if (jinja_is(a[0], JINJA_UNDEFINED))
        return jinja_fail_undefined(j, a[0]);
    bool done = jinja_is(a[0], JINJA_STRING) ? jinja_parse_real(a[0].text, &x) : jinja_as_real(a[0], &x);
    *out = jinja_is(a[1], JINJA_MISSING) || done ? jinja_make(JINJA_FLOAT, 0) : a[1];
    if (done)
        out->real = x;
    return ERR_OK;
}

/* To `digits` decimals, ties to even, as decimal text has it. */
static double round_real(double x, int digits)
{
    char text[400];
    if (digits > 22 || !isfinite(x))
        return x;
    if (digits < 0) {
        double unit = pow(10, -digits);
        return isinf(unit) ? copysign(0, x) : nearbyint(x / unit) * unit;
    }
    snprintf(text, sizeof text, "%.*f", digits, x);
    return strtod(text, NULL);
}

static enum err_code f_round(JINJA_ARGS)
{
    (void)args;
    int64_t digits, integer;
    double x;
    bool is_common = jinja_is(a[2], JINJA_MISSING), is_ceil = false, is_floor = false;
    if (jinja_is(a[2], JINJA_STRING)) {
        const struct jinja_text *m = a[2].text;
        is_common = m->length == 6 && !memcmp(m->bytes, "common", 6);
        is_ceil = m->length == 4 && !memcmp(m->bytes, "ceil", 4);
        is_floor = m->length == 5 && !memcmp(m->bytes, "floor", 5);
    }
    if (!is_common && !is_ceil && !is_floor)
        return jinja_fail(j, "method must be common, ceil or floor");
    if (jinja_is(a[0], JINJA_UNDEFINED))
        return jinja_fail_undefined(j, a[0]);
    if (jinja_want_int(j, a[1], "the precision", 0, &digits))
        return j->e->code;
    if (!jinja_as_real(a[0], &x))
        return jinja_fail(j, "type '%s' cannot be rounded", jinja_type_name(a[0]));
    digits = digits > 400 ? 400 : digits < -400 ? -400 : digits;
    if (is_common && jinja_as_int(a[0], &integer)) {
        if (digits < 0) { /* ties to even, at the digit */
            int64_t unit = 1;
            for (int64_t i = 0; i < -digits && unit < INT64_MAX / 10; i++)
                unit *= 10;
            int64_t rest = (integer % unit + unit) % unit, low = integer - rest;
            bool up = rest > unit / 2 || (rest == unit / 2 && unit > 1 && (low / unit) % 2 != 0);
            integer = digits < -18 ? 0 : low + (up ? unit : 0);
        }
        *out = jinja_int(integer);
        return ERR_OK;
    }
    *out = jinja_make(JINJA_FLOAT, 0);
    if (is_common) {
        out->real = round_real(x, (int)digits);
    } else { /* ceil(x * 10**n) / 10**n; with an integer and n = 0 Python stays exact, and so do doubles here */
        double unit = pow(10, (double)digits), scaled = x * unit;
        out->real = (is_ceil ? ceil(scaled) : floor(scaled)) / unit;
    }
    return ERR_OK;
}

static enum err_code f_filesizeformat(JINJA_ARGS)
{
    (void)args;
    static const char *const names[2][8] = {{"kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"},
                                            {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"}};
    bool binary = jinja_truth(a[1]);
    double bytes, base = binary ? 1024 : 1000;
    if (!(jinja_is(a[0], JINJA_STRING) ? jinja_parse_real(a[0].text, &bytes) : jinja_as_real(a[0], &bytes)))
        return jinja_fail(j, "filter 'filesizeformat' wants a number");
    struct jinja_builder b = {0};
    enum err_code code;
    if (bytes == 1) {
        code = jinja_build_format(j, &b, a[0].origin, "1 Byte");
    } else if (bytes < base) {
        code = jinja_build_format(j, &b, a[0].origin, "%.0f Bytes", trunc(bytes));
    } else {
        int i = 0;
        double unit = base * base;
        for (; i < 7 && bytes >= unit; i++)
            unit *= base;
        code = jinja_build_format(j, &b, a[0].origin, "%.1f %s", base * bytes / unit, names[binary][i]);
    }
    return code ? code : jinja_build_end(j, &b, out);
}

/* json.dumps' separators: a pair of strings. */
static enum err_code json_separators(struct jinja *j, struct jinja_value v, struct jinja_json_style *style)
{
    struct jinja_value list = {0};
    if (!jinja_is_given(v)) {
        if (jinja_from_text(j, &style->item_separator, style->indented ? "," : ", ", style->indented ? 1 : 2,
                            0))
            return j->e->code;
        return jinja_from_text(j, &style->key_separator, ": ", 2, 0);
    }
    if (jinja_to_list(j, v, &list))
        return j->e->code;
    if (list.list->count != 2)
        return jinja_fail(j, "separators are a pair of strings");
    style->item_separator = list.list->items[0];
    style->key_separator = list.list->items[1];
    return jinja_want_text(j, style->item_separator, "a separator")
               ? j->e->code
               : jinja_want_text(j, style->key_separator, "a separator");
}

static enum err_code f_tojson(JINJA_ARGS)
{
    (void)args;
    struct jinja_json_style style = {
        .ascii = jinja_truth(a[1]), .sort = jinja_truth(a[4]), .indented = jinja_is_given(a[2])};
    struct jinja_builder b = {0};
    struct jinja_value space = {0};
    int64_t width;
    style.indent = a[2];
    if (style.indented && !jinja_is(a[2], JINJA_STRING)) {
        if (jinja_want_int(j, a[2], "the indent", 0, &width) || jinja_from_text(j, &space, " ", 1, 0) ||
            jinja_from_text(j, &style.indent, "", 0, 0) ||
            jinja_pad(j, style.indent, width, space, true, false, &style.indent))
            return j->e->code;
    }
    if (json_separators(j, a[3], &style) || jinja_build_json(j, &b, a[0], &style, 0))
        return j->e->code;
    return jinja_build_end(j, &b, out);
}

const struct jinja_function jinja_value_filters[] = {
    {"abs", "/x", 1, f_abs},
    {"attr", "obj name", 2, f_attr},
    {"default", "value default_value boolean", 1, f_default},
    {"d", "value default_value boolean", 1, f_default},
    {"int", "value default base", 1, f_int},
    {"float", "value default", 1, f_float},
    {"round", "value precision method", 1, f_round},
    {"filesizeformat", "value binary", 1, f_filesizeformat},
    {"tojson", "x ensure_ascii indent separators sort_keys", 1, f_tojson},
    {NULL, NULL, 0, NULL},
};
