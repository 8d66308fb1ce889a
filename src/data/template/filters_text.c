/* The filters that make text of text. */
#include "eval.h"
#include "unicode.h"

#define RECASE(name, how)                                                                                    \
    static enum err_code name(JINJA_ARGS)                                                                          \
    {                                                                                                        \
        (void)args;                                                                                          \
        struct jinja_value text;                                                                             \
        return jinja_to_text(j, a[0], &text) ? j->e->code : jinja_recase(j, text, how, out);                 \
    }
RECASE(f_upper, JINJA_RE_UPPER)
RECASE(f_lower, JINJA_RE_LOWER)
RECASE(f_capitalize, JINJA_RE_CAPITALIZE)
RECASE(f_title, JINJA_RE_WORDS)

static enum err_code f_trim(JINJA_ARGS)
{
    (void)args;
    struct jinja_value text = {0};
    if (jinja_to_text(j, a[0], &text) ||
        (jinja_is_given(a[1]) && jinja_want_text(j, a[1], "the characters to trim")))
        return j->e->code;
    return jinja_strip(j, text, jinja_is_given(a[1]) ? a[1].text : NULL, true, true, out);
}

static enum err_code f_string(JINJA_ARGS)
{
    (void)args;
    return jinja_to_text(j, a[0], out);
}

static enum err_code f_replace(JINJA_ARGS)
{
    (void)args;
    struct jinja_value text[3];
    int64_t count = -1;
    for (int i = 0; i < 3; i++)
        if (jinja_to_text(j, a[i], &text[i]))
            return j->e->code;
    if (jinja_is_given(a[3]) && jinja_want_int(j, a[3], "the count", -1, &count))
        return j->e->code;
    text[0].safe = false;
    return jinja_replace(j, text[0], text[1], text[2], count, out);
}

static enum err_code f_center(JINJA_ARGS)
{
    (void)args;
    struct jinja_value text = {0}, space = {0};
    int64_t width;
    if (jinja_to_text(j, a[0], &text) || jinja_want_int(j, a[1], "the width", 80, &width) ||
        jinja_from_text(j, &space, " ", 1, 0))
        return j->e->code;
    return jinja_pad(j, text, width, space, true, true, out);
}

static enum err_code f_safe(JINJA_ARGS)
{
    (void)args;
    if (jinja_to_text(j, a[0], out))
        return j->e->code;
    out->safe = true;
    return ERR_OK;
}

static enum err_code f_escape(JINJA_ARGS)
{
    (void)args;
    return jinja_escape(j, a[0], out);
}

static enum err_code f_forceescape(JINJA_ARGS)
{
    (void)args;
    struct jinja_value plain = a[0];
    plain.safe = false;
    return jinja_escape(j, plain, out);
}

static enum err_code f_indent(JINJA_ARGS)
{
    (void)args;
    struct jinja_value indent = a[1], lines, text = a[0];
    struct jinja_builder b = {0};
    int64_t width;
    bool first = jinja_truth(a[2]), blank = jinja_truth(a[3]);
    if (jinja_want_text(j, text, "what is indented"))
        return j->e->code;
    if (!jinja_is(indent, JINJA_STRING)) {
        struct jinja_value space = {0};
        if (jinja_want_int(j, indent, "the width", 4, &width) || jinja_from_text(j, &space, " ", 1, 0) ||
            jinja_from_text(j, &indent, "", 0, 0) || jinja_pad(j, indent, width, space, true, false, &indent))
            return j->e->code;
    }
    struct jinja_builder whole = {0};
    if (jinja_build_text(j, &whole, text) || jinja_build(j, &whole, "\n", 1, 0) ||
        jinja_build_end(j, &whole, &text) || jinja_lines(j, text, false, &lines))
        return j->e->code;
    bool markup = indent.safe && !a[0].safe; /* such an indent escapes the lines to which it is added */
    for (size_t i = 0; i < lines.list->count; i++) {
        struct jinja_value line = lines.list->items[i];
        if ((i && jinja_build(j, &b, "\n", 1, 0)) ||
            (i && (blank || line.text->length) && jinja_build_text(j, &b, indent)) ||
            jinja_build_part(j, &b, line, markup && (i || blank)))
            return j->e->code;
    }
    if (jinja_build_end_as(j, &b, a[0].safe || (markup && blank), out))
        return j->e->code;
    indent.safe |= a[0].safe;
    return first ? jinja_binary(j, JINJA_ADD, indent, *out, out) : ERR_OK;
}

static enum err_code f_truncate(JINJA_ARGS)
{
    (void)args;
    struct jinja_value end = a[3], head = {0};
    int64_t length, leeway;
    size_t whole;
    if (jinja_length(j, a[0], &whole) || jinja_want_int(j, a[1], "the length", 255, &length) ||
        (jinja_is(end, JINJA_MISSING) && jinja_from_text(j, &end, "...", 3, 0)) ||
        jinja_want_text(j, end, "the end") ||
        (jinja_is_given(a[4]) && jinja_want_int(j, a[4], "the leeway", 5, &leeway)))
        return j->e->code;
    leeway = jinja_is_given(a[4]) ? leeway : 5;
    int64_t end_length = (int64_t)jinja_char_count(end.text->bytes, end.text->length);
    if (length < end_length || leeway < 0)
        return jinja_fail(j, "the length is %lld, less than the end's %lld, or the leeway is negative",
                          (long long)length, (long long)end_length);
    *out = a[0];
    if ((int64_t)whole <= length + leeway) /* of a list, too */
        return ERR_OK;
    if (jinja_want_text(j, a[0], "what is truncated"))
        return j->e->code;
    const struct jinja_text *text = a[0].text;
    size_t cut = jinja_char_offset(text->bytes, text->length, (size_t)(length - end_length));
    for (size_t i = cut; !jinja_truth(a[2]) && i-- > 0;)
        if (text->bytes[i] == ' ') {
            cut = i;
            break;
        }
    return jinja_cut(j, a[0], 0, cut, &head) ? j->e->code : jinja_binary(j, JINJA_ADD, head, end, out);
}

static enum err_code f_wordcount(JINJA_ARGS)
{
    (void)args;
    struct jinja_value text = {0};
    int64_t words = 0;
    bool inside = false;
    if (jinja_to_text(j, a[0], &text) || jinja_spend(j, text.text->length / 8))
        return j->e->code;
    for (size_t at = 0; at < text.text->length;) {
        uint32_t c = jinja_char_next(text.text->bytes, text.text->length, &at);
        bool is_word = c == '_' || jinja_is_alpha(c) || jinja_is_numeric(c);
        words += is_word && !inside;
        inside = is_word;
    }
    *out = jinja_int(words);
    return ERR_OK;
}

static enum err_code f_format(JINJA_ARGS)
{
    (void)a;
    struct jinja_value text = {0}, values = {0};
    if (!args->count)
        return jinja_fail(j, "filter 'format' needs a string");
    if (args->count > 1 && args->named_count)
        return jinja_fail(j, "filter 'format' takes arguments by place or by name, not both");
    if (jinja_to_text(j, args->items[0], &text) || jinja_new_tuple(j, &values, args->count))
        return j->e->code;
    for (size_t i = 1; i < args->count; i++)
        values.list->items[values.list->count++] = args->items[i];
    if (args->named_count && jinja_new_dict(j, &values, args->named_count))
        return j->e->code;
    for (size_t i = 0; i < args->named_count; i++)
        if (jinja_dict_put(j, values.dict, args->named[i].name, args->named[i].value))
            return j->e->code;
    return jinja_format_percent(j, text, values, out);
}

static enum err_code quote(struct jinja *j, struct jinja_builder *b, struct jinja_value v, bool in_query)
{
    struct jinja_value text = {0};
    if (jinja_to_text(j, v, &text))
        return j->e->code;
    for (size_t i = 0; i < text.text->length; i++) {
        unsigned char c = (unsigned char)text.text->bytes[i];
        uint32_t origin = jinja_origin_at(text, i);
        bool plain = (c < 0x80 && (jinja_is_alpha(c) || jinja_is_decimal(c))) || c == '_' || c == '.' ||
                     c == '-' || c == '~' || (c == '/' && !in_query);
        if (plain                  ? jinja_build_slice(j, b, text, i, i + 1)
            : c == ' ' && in_query ? jinja_build(j, b, "+", 1, origin)
                                   : jinja_build_format(j, b, origin, "%%%02X", c))
            return j->e->code;
    }
    return ERR_OK;
}

static enum err_code f_urlencode(JINJA_ARGS)
{
    (void)args;
    struct jinja_builder b = {0};
    struct jinja_iterator it;
    struct jinja_value pair = a[0];
    bool more;
    if (jinja_is(a[0], JINJA_STRING) || !jinja_is_iterable(a[0]))
        return quote(j, &b, a[0], false) ? j->e->code : jinja_build_end(j, &b, out);
    if (jinja_is(a[0], JINJA_DICT) &&
        jinja_call_function(j, jinja_find_methods("items", 5).dict, "method",
                            &(struct jinja_args){.items = &pair, .count = 1}, &pair))
        return j->e->code;
    if (jinja_iterate(j, pair, &it))
        return j->e->code;
    for (bool first = true;; first = false) {
        if (jinja_next(j, &it, &pair, &more))
            return j->e->code;
        if (!more)
            return jinja_build_end(j, &b, out);
        if ((!jinja_is(pair, JINJA_TUPLE) && !jinja_is(pair, JINJA_LIST)) || pair.list->count != 2)
            return jinja_fail(j, "filter 'urlencode' wants pairs");
        if ((!first && jinja_build(j, &b, "&", 1, 0)) || quote(j, &b, pair.list->items[0], true) ||
            jinja_build(j, &b, "=", 1, 0) || quote(j, &b, pair.list->items[1], true))
            return j->e->code;
    }
}

static enum err_code f_xmlattr(JINJA_ARGS)
{
    (void)args;
    struct jinja_builder b = {0};
    if (!jinja_is(a[0], JINJA_DICT))
        return jinja_fail(j, "filter 'xmlattr' wants a dict, not '%s'", jinja_type_name(a[0]));
    bool space = jinja_is(a[1], JINJA_MISSING) || jinja_truth(a[1]), first = true;
    for (size_t i = 0; i < a[0].dict->count; i++) {
        struct jinja_pair *pair = &a[0].dict->pairs[i];
        struct jinja_value key = {0}, value = {0};
        if (jinja_is(pair->value, JINJA_NONE) || jinja_is(pair->value, JINJA_UNDEFINED))
            continue;
        if (jinja_want_text(j, pair->key, "an attribute's name"))
            return j->e->code;
        for (size_t k = 0; k < pair->key.text->length; k++)
            if (pair->key.text->bytes[k] && strchr(" \t\n\r\f\v/>=", pair->key.text->bytes[k]))
                return jinja_fail(j, "invalid character in an attribute's name");
        if (jinja_escape(j, pair->key, &key) || jinja_escape(j, pair->value, &value) ||
            ((!first || space) && jinja_build(j, &b, " ", 1, 0)) || jinja_build_text(j, &b, key) ||
            jinja_build(j, &b, "=\"", 2, 0) || jinja_build_text(j, &b, value) ||
            jinja_build(j, &b, "\"", 1, 0))
            return j->e->code;
        first = false;
    }
    return jinja_build_end(j, &b, out);
}

const struct jinja_function jinja_text_filters[] = {
    {"upper", "s", 1, f_upper},
    {"lower", "s", 1, f_lower},
    {"capitalize", "s", 1, f_capitalize},
    {"title", "s", 1, f_title},
    {"trim", "value chars", 1, f_trim},
    {"string", "object", 1, f_string},
    {"replace", "s old new count", 3, f_replace},
    {"center", "value width", 1, f_center},
    {"safe", "value", 1, f_safe},
    {"escape", "s", 1, f_escape},
    {"e", "s", 1, f_escape},
    {"forceescape", "value", 1, f_forceescape},
    {"indent", "s width first blank", 1, f_indent},
    {"truncate", "s length killwords end leeway", 1, f_truncate},
    {"wordcount", "s", 1, f_wordcount},
    {"format", NULL, 1, f_format},
    {"urlencode", "value", 1, f_urlencode},
    {"xmlattr", "d autospace", 1, f_xmlattr},
    {NULL, NULL, 0, NULL},
};
