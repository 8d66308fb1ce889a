/* str(), repr() and JSON of values. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "eval.h"
#include "unicode.h"

/* The shortest digits that read back as x, as Python writes them: 1e16 as 1e+16, 1e-5 as 1e-05, 100 as 100.0. */
size_t jinja_real_text(char out[40], double x)
{
    char digits[32];
    if (!isfinite(x))
        return (size_t)sprintf(out, "%s", isnan(x) ? "nan" : x < 0 ? "-inf" : "inf");
    int precision = 1;
    do
        snprintf(digits, sizeof digits, "%.*e", precision - 1, x);
    while (strtod(digits, NULL) != x && ++precision <= 17);
    int exponent = atoi(strchr(digits, 'e') + 1);
    if (exponent >= -4 && exponent < 16) {
        int decimals = precision - 1 - exponent;
        return (size_t)sprintf(out, "%.*f", decimals > 1 ? decimals : 1, x);
    }
    char *e = strchr(digits, 'e');
    return (size_t)sprintf(out, "%.*se%+03d", (int)(e - digits), digits, exponent);
}

static enum err_code repr_text(struct jinja *j, struct jinja_builder *b, struct jinja_value v)
{
    const struct jinja_text *text = v.text;
    bool single = memchr(text->bytes, '\'', text->length), twice = memchr(text->bytes, '"', text->length);
    char quote = single && !twice ? '"' : '\'';
    if (v.safe && jinja_build(j, b, "Markup(", 7, v.origin))
        return j->e->code;
    if (jinja_build(j, b, &quote, 1, v.origin))
        return j->e->code;
    size_t plain = 0;
    for (size_t at = 0; at < text->length;) {
        size_t start = at;
        uint32_t c = jinja_char_next(text->bytes, text->length, &at);
        if (c != '\\' && c != (uint32_t)quote && jinja_is_printable(c))
            continue;
        uint32_t origin = jinja_origin_at(v, start);
        if (jinja_build_slice(j, b, v, plain, start))
            return j->e->code;
        plain = at;
        const char *format = c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x";
        if (c == '\\' || c == (uint32_t)quote || c == '\n' || c == '\r' || c == '\t') {
            char letter = (char)(c == '\n' ? 'n' : c == '\r' ? 'r' : c == '\t' ? 't' : c);
            if (jinja_build_format(j, b, origin, "\\%c", letter))
                return j->e->code;
        } else if (jinja_build_format(j, b, origin, format, c)) {
            return j->e->code;
        }
    }
    if (jinja_build_slice(j, b, v, plain, text->length) || jinja_build(j, b, &quote, 1, v.origin))
        return j->e->code;
    return v.safe ? jinja_build(j, b, ")", 1, v.origin) : ERR_OK;
}

static enum err_code repr_items(struct jinja *j, struct jinja_builder *b, struct jinja_value v)
{
    bool is_list = jinja_is(v, JINJA_LIST);
    const struct jinja_list *list = v.list;
    if (jinja_build(j, b, is_list ? "[" : "(", 1, v.origin))
        return j->e->code;
    for (size_t i = 0; i < list->count; i++)
        if ((i && jinja_build(j, b, ", ", 2, v.origin)) || jinja_build_repr(j, b, list->items[i]))
            return j->e->code;
    return jinja_build_format(j, b, v.origin, "%s", is_list ? "]" : list->count == 1 ? ",)" : ")");
}

static enum err_code repr_pairs(struct jinja *j, struct jinja_builder *b, const struct jinja_dict *d,
                                uint32_t origin)
{
    if (jinja_build(j, b, "{", 1, origin))
        return j->e->code;
    for (size_t i = 0; i < d->count; i++)
        if ((i && jinja_build(j, b, ", ", 2, origin)) || jinja_build_repr(j, b, d->pairs[i].key) ||
            jinja_build(j, b, ": ", 2, origin) || jinja_build_repr(j, b, d->pairs[i].value))
            return j->e->code;
    return jinja_build(j, b, "}", 1, origin);
}

static enum err_code repr_view(struct jinja *j, struct jinja_builder *b, struct jinja_value v)
{
    static const char *const names[] = {"dict_keys(", "dict_values(", "dict_items("};
    struct jinja_value list = {0};
    const char *name = names[v.view->of];
    if (jinja_to_list(j, v, &list))
        return j->e->code;
    list.origin = v.origin;
    if (jinja_build(j, b, name, strlen(name), v.origin) || repr_items(j, b, list))
        return j->e->code;
    return jinja_build(j, b, ")", 1, v.origin);
}

static enum err_code repr_range(struct jinja *j, struct jinja_builder *b, const struct jinja_range *r)
{
    if (jinja_build_format(j, b, 0, "range(%lld, %lld", (long long)r->start, (long long)r->stop))
        return j->e->code;
    if (r->step != 1 && jinja_build_format(j, b, 0, ", %lld", (long long)r->step))
        return j->e->code;
    return jinja_build(j, b, ")", 1, 0);
}

static enum err_code repr_nested(struct jinja *j, struct jinja_builder *b, struct jinja_value v)
{
    char number[40];
    switch ((enum jinja_kind)v.kind) {
    case JINJA_MISSING:
    case JINJA_UNDEFINED:
        return jinja_build(j, b, "Undefined", 9, 0);
    case JINJA_NONE:
        return jinja_build(j, b, "None", 4, v.origin);
    case JINJA_BOOL:
        return jinja_build_format(j, b, v.origin, "%s", v.boolean ? "True" : "False");
    case JINJA_INT:
        return jinja_build_format(j, b, v.origin, "%lld", (long long)v.integer);
    case JINJA_FLOAT:
        return jinja_build(j, b, number, jinja_real_text(number, v.real), v.origin);
    case JINJA_STRING:
        return repr_text(j, b, v);
    case JINJA_LIST:
    case JINJA_TUPLE:
        return repr_items(j, b, v);
    case JINJA_DICT:
        return repr_pairs(j, b, v.dict, v.origin);
    case JINJA_NAMESPACE:
        if (jinja_build(j, b, "<Namespace ", 11, 0) || repr_pairs(j, b, v.dict, 0))
            return j->e->code;
        return jinja_build(j, b, ">", 1, 0);
    case JINJA_VIEW:
        return repr_view(j, b, v);
    case JINJA_RANGE:
        return repr_range(j, b, v.range);
    case JINJA_MACRO:
        return jinja_build_format(j, b, 0, "<Macro '%s'>",
                                  v.macro->node->macro.name ? v.macro->node->macro.name : "");
    case JINJA_LOOP:
    case JINJA_ITERATOR:
    case JINJA_FUNCTION:
    case JINJA_METHOD:
        break;
    }
    return jinja_fail(j, "a %s has no text of its own to print", jinja_type_name(v));
}

enum err_code jinja_build_repr(struct jinja *j, struct jinja_builder *b, struct jinja_value v)
{
    if (jinja_enter(j) || jinja_spend(j, 1) || repr_nested(j, b, v))
        return j->e->code;
    jinja_leave(j);
    return ERR_OK;
}

enum err_code jinja_build_str(struct jinja *j, struct jinja_builder *b, struct jinja_value v)
{
    if (jinja_is(v, JINJA_STRING))
        return jinja_build_text(j, b, v);
    return jinja_is(v, JINJA_UNDEFINED) ? ERR_OK : jinja_build_repr(j, b, v);
}

enum err_code jinja_to_text(struct jinja *j, struct jinja_value v, struct jinja_value *out)
{
    struct jinja_builder b = {0};
    if (jinja_is(v, JINJA_STRING)) {
        *out = v;
        return ERR_OK;
    }
    return jinja_build_str(j, &b, v) ? j->e->code : jinja_build_end(j, &b, out);
}

static enum err_code json_text_of(struct jinja *j, struct jinja_builder *b, struct jinja_value v, bool ascii)
{
    const struct jinja_text *text = v.text;
    static const char letters[] = "\"\\\b\f\n\r\t", names[] = "\"\\bfnrt";
    if (jinja_build(j, b, "\"", 1, v.origin))
        return j->e->code;
    size_t plain = 0;
    for (size_t at = 0; at < text->length;) {
        size_t start = at;
        uint32_t c = jinja_char_next(text->bytes, text->length, &at);
        const char *letter = c < 0x80 && c ? strchr(letters, (int)c) : NULL;
        if (!letter && c >= 0x20 && (!ascii || c < 0x7F))
            continue;
        uint32_t origin = jinja_origin_at(v, start);
        if (jinja_build_slice(j, b, v, plain, start))
            return j->e->code;
        plain = at;
        enum err_code code;
        if (letter)
            code = jinja_build_format(j, b, origin, "\\%c", names[letter - letters]);
        else if (c < 0x10000)
            code = jinja_build_format(j, b, origin, "\\u%04x", c);
        else
            code =
                jinja_build_format(j, b, origin, "\\u%04x\\u%04x", 0xD7C0 + (c >> 10), 0xDC00 | (c & 0x3FF));
        if (code)
            return code;
    }
    return jinja_build_slice(j, b, v, plain, text->length) ? j->e->code
                                                           : jinja_build(j, b, "\"", 1, v.origin);
}

/* The text of a key: JSON has no others than strings, and Python turns some kinds into them. */
static enum err_code json_key(struct jinja *j, struct jinja_value key, struct jinja_value *out)
{
    struct jinja_builder b = {0};
    static const char *const constants[] = {"null", "false", "true"};
    int i = jinja_is(key, JINJA_NONE) ? 0 : jinja_is(key, JINJA_BOOL) && key.boolean ? 2 : 1;
    if (jinja_is(key, JINJA_STRING) || jinja_is(key, JINJA_INT) || jinja_is(key, JINJA_FLOAT))
        return jinja_to_text(j, key, out);
    if (!jinja_is(key, JINJA_NONE) && !jinja_is(key, JINJA_BOOL))
        return jinja_fail(j, "keys must be str, int, float, bool or None, not %s", jinja_type_name(key));
    return jinja_build(j, &b, constants[i], strlen(constants[i]), key.origin) ? j->e->code
                                                                              : jinja_build_end(j, &b, out);
}

static enum err_code json_break(struct jinja *j, struct jinja_builder *b,
                                const struct jinja_json_style *style, int level, uint32_t origin)
{
    if (!style->indented)
        return ERR_OK;
    if (jinja_build(j, b, "\n", 1, origin))
        return j->e->code;
    for (int i = 0; i < level; i++)
        if (jinja_build(j, b, style->indent.text->bytes, style->indent.text->length, origin))
            return j->e->code;
    return ERR_OK;
}

static enum err_code json_between(struct jinja *j, struct jinja_builder *b,
                                  const struct jinja_json_style *style, bool first, int level,
                                  uint32_t origin)
{
    const struct jinja_text *separator = style->item_separator.text;
    if (!first && jinja_build(j, b, separator->bytes, separator->length, origin))
        return j->e->code;
    return json_break(j, b, style, level, origin);
}

static int by_key(const void *a, const void *b)
{
    const struct jinja_text *x = ((const struct jinja_pair *)a)->key.text,
                            *y = ((const struct jinja_pair *)b)->key.text;
    int order = memcmp(x->bytes, y->bytes, x->length < y->length ? x->length : y->length);
    return order ? order : (x->length > y->length) - (x->length < y->length);
}

static enum err_code json_dict(struct jinja *j, struct jinja_builder *b, struct jinja_value v,
                               const struct jinja_json_style *style, int level)
{
    size_t count = v.dict->count;
    struct jinja_pair *pairs = v.dict->pairs;
    if (!count)
        return jinja_build(j, b, "{}", 2, v.origin);
    if (style->sort) {
        pairs = jinja_take(j, count, sizeof *pairs);
        if (!pairs)
            return j->e->code;
        memcpy(pairs, v.dict->pairs, count * sizeof *pairs);
        for (size_t i = 0; i < count; i++)
            if (!jinja_is(pairs[i].key, JINJA_STRING))
                return jinja_fail(j, "tojson cannot sort keys that are no strings");
        qsort(pairs, count, sizeof *pairs, by_key);
    }
    if (jinja_build(j, b, "{", 1, v.origin))
        return j->e->code;
    for (size_t i = 0; i < count; i++) {
        struct jinja_value key = {0};
        const struct jinja_text *separator = style->key_separator.text;
        if (json_between(j, b, style, !i, level + 1, v.origin) || json_key(j, pairs[i].key, &key) ||
            json_text_of(j, b, key, style->ascii) ||
            jinja_build(j, b, separator->bytes, separator->length, v.origin) ||
            jinja_build_json(j, b, pairs[i].value, style, level + 1))
            return j->e->code;
    }
    return json_break(j, b, style, level, v.origin) ? j->e->code : jinja_build(j, b, "}", 1, v.origin);
}

static enum err_code json_list(struct jinja *j, struct jinja_builder *b, struct jinja_value v,
                               const struct jinja_json_style *style, int level)
{
    if (!v.list->count)
        return jinja_build(j, b, "[]", 2, v.origin);
    if (jinja_build(j, b, "[", 1, v.origin))
        return j->e->code;
    for (size_t i = 0; i < v.list->count; i++)
        if (json_between(j, b, style, !i, level + 1, v.origin) ||
            jinja_build_json(j, b, v.list->items[i], style, level + 1))
            return j->e->code;
    return json_break(j, b, style, level, v.origin) ? j->e->code : jinja_build(j, b, "]", 1, v.origin);
}

enum err_code jinja_build_json(struct jinja *j, struct jinja_builder *b, struct jinja_value v,
                               const struct jinja_json_style *style, int level)
{
    char number[40];
    enum err_code code;
    if (jinja_enter(j) || jinja_spend(j, 1))
        return j->e->code;
    switch ((enum jinja_kind)v.kind) {
    case JINJA_NONE:
        code = jinja_build(j, b, "null", 4, v.origin);
        break;
    case JINJA_BOOL:
        code = jinja_build_format(j, b, v.origin, "%s", v.boolean ? "true" : "false");
        break;
    case JINJA_INT:
        code = jinja_build_format(j, b, v.origin, "%lld", (long long)v.integer);
        break;
    case JINJA_FLOAT:
        if (isfinite(v.real))
            code = jinja_build(j, b, number, jinja_real_text(number, v.real), v.origin);
        else
            code = jinja_build_format(j, b, v.origin, "%s",
                                      isnan(v.real) ? "NaN"
                                      : v.real < 0  ? "-Infinity"
                                                    : "Infinity");
        break;
    case JINJA_STRING:
        code = json_text_of(j, b, v, style->ascii);
        break;
    case JINJA_LIST:
    case JINJA_TUPLE:
        code = json_list(j, b, v, style, level);
        break;
    case JINJA_DICT:
        code = json_dict(j, b, v, style, level);
        break;
    default:
        return jinja_fail(j, "an object of type '%s' cannot be written as JSON", jinja_type_name(v));
    }
    jinja_leave(j);
    return code;
}
