/* '{0.name[key]!r:>8}'.format(...). */
#include "eval.h"
#include "format.h"
#include "unicode.h"

/* The fields of a format: by their number, one after another, or by name. */
struct fields {
    const struct jinja_args *args;
    size_t next;
    bool numbered, automatic;
    bool markup; /* of a format that is Markup */
};

static enum err_code first_value(struct jinja *j, struct fields *f, const struct jinja_text *name,
                                 struct jinja_value *out)
{
    int64_t index = -1;
    bool is_number = name->length > 0 && strspn(name->bytes, "0123456789") >= name->length;
    if (!name->length) {
        index = (int64_t)f->next++;
        f->automatic = true;
    } else if (is_number) {
        jinja_parse_int(name, 10, &index);
        f->numbered = true;
    }
    if (f->automatic && f->numbered)
        return jinja_fail(j,
                          "cannot switch between automatic field numbering and manual field specification");
    if (index >= 0) {
        if ((size_t)index >= f->args->count)
            return jinja_fail(j, "replacement index %lld is out of range", (long long)index);
        *out = f->args->items[index];
        return ERR_OK;
    }
    for (size_t i = 0; i < f->args->named_count; i++)
        if (strlen(f->args->named[i].name) == name->length &&
            !memcmp(f->args->named[i].name, name->bytes, name->length)) {
            *out = f->args->named[i].value;
            return ERR_OK;
        }
    return jinja_fail(j, "the format's name '%.*s' is not there", (int)name->length, name->bytes);
}

/* name.attribute[key]: the value, found as a template would. */
static enum err_code field_value(struct jinja *j, struct fields *f, struct jinja_value field,
                                 struct jinja_value *out)
{
    const struct jinja_text *t = field.text;
    size_t at = 0, end;
    while (at < t->length && t->bytes[at] != '.' && t->bytes[at] != '[')
        at++;
    struct jinja_text name = {t->bytes, at, NULL, 0};
    if (first_value(j, f, &name, out))
        return j->e->code;
    while (at < t->length) {
        bool is_item = t->bytes[at++] == '[';
        for (end = at; end < t->length &&
                       (is_item ? t->bytes[end] != ']' : t->bytes[end] != '.' && t->bytes[end] != '[');)
            end++;
        struct jinja_value part = {0};
        int64_t index;
        if (end == at || (is_item && end == t->length))
            return jinja_fail(j, "an empty attribute, or a missing ']', in a format string");
        if (jinja_cut(j, field, at, end, &part))
            return j->e->code;
        if (!is_item) {
            const char *text = jinja_c_string(j, part);
            if (!text)
                return j->e->code;
            struct jinja_methods methods = jinja_find_methods(text, end - at);
            if (jinja_attribute(j, *out, text, end - at, &methods, out))
                return j->e->code;
        } else {
            bool is_number = strspn(part.text->bytes, "0123456789") >= part.text->length;
            if (is_number && jinja_parse_int(part.text, 10, &index))
                part = jinja_int(index);
            if (jinja_item(j, *out, part, out))
                return j->e->code;
        }
        at = end + is_item;
        if (is_item && at < t->length && t->bytes[at] != '.' && t->bytes[at] != '[')
            return jinja_fail(j, "only '.' or '[' may follow ']' in a format field specifier");
    }
    return ERR_OK;
}

/* [[fill]align][sign][#][0][width][grouping][.precision][letter] */
static enum err_code read_spec(struct jinja *j, struct jinja_value text, struct jinja_spec *s)
{
    const struct jinja_text *t = text.text;
    size_t at = 0, after = 0;
    *s = (struct jinja_spec){.width = -1, .precision = -1};
    bool filled = false;
    if (t->length)
        jinja_char_next(t->bytes, t->length, &after);
    if (after < t->length && t->bytes[after] && strchr("<>=^", t->bytes[after])) {
        if (jinja_cut(j, text, 0, after, &s->fill))
            return j->e->code;
        s->align = t->bytes[after];
        at = after + 1;
        filled = true;
    } else if (t->length && *t->bytes && strchr("<>=^", *t->bytes)) {
        s->align = t->bytes[at++];
    }
    if (at < t->length && t->bytes[at] && strchr("+- ", t->bytes[at]))
        s->sign = t->bytes[at++];
    s->alternate = at < t->length && t->bytes[at] == '#';
    at += s->alternate;
    if (at < t->length && t->bytes[at] == '0' && !filled) {
        s->zero = !s->align;
        at++;
        if (jinja_from_text(j, &s->fill, "0", 1, 0))
            return j->e->code;
        filled = true;
    }
    s->width = jinja_spec_number(t, &at);
    if (at < t->length && (t->bytes[at] == ',' || t->bytes[at] == '_'))
        s->grouping = t->bytes[at++];
    if (at < t->length && t->bytes[at] == '.') {
        at++;
        s->precision = jinja_spec_number(t, &at);
        if (s->precision < 0)
            return jinja_fail(j, "format specifier missing precision");
    }
    if (at < t->length)
        s->letter = t->bytes[at++];
    if (at < t->length || s->width > JINJA_MAX_WIDTH || s->precision > JINJA_MAX_WIDTH)
        return jinja_fail(j, "invalid format specifier '%.*s'", (int)t->length, t->bytes);
    return filled ? ERR_OK : jinja_from_text(j, &s->fill, " ", 1, 0);
}

static enum err_code format_value(struct jinja *j, struct jinja_builder *b, struct jinja_value v,
                                  struct jinja_value format)
{
    struct jinja_spec s;
    struct jinja_value text = {0};
    int64_t integer;
    double real;
    if (!format.text->length)
        return jinja_build_str(j, b, v);
    if (read_spec(j, format, &s))
        return j->e->code;
    if (jinja_is(v, JINJA_STRING)) {
        if ((s.letter && s.letter != 's') || s.align == '=' || s.sign || s.alternate || s.grouping)
            return jinja_fail(j, "invalid format specifier '%.*s' for a string", (int)format.text->length,
                              format.text->bytes);
        return jinja_spec_text(j, b, v, &s, '<');
    }
    if (jinja_as_int(v, &integer) && (!s.letter || strchr("bdoxXnc", s.letter))) {
        if (s.precision >= 0)
            return jinja_fail(j, "precision not allowed in integer format specifier");
        if (s.letter != 'c')
            return jinja_spec_integer(j, b, v, integer, &s);
        struct jinja_builder one = {0};
        if (integer < 0 || integer > 0x10FFFF || (integer >= 0xD800 && integer < 0xE000))
            return jinja_fail(j, "%%c arg not in range");
        if (jinja_build_char(j, &one, (uint32_t)integer, v.origin) || jinja_build_end(j, &one, &text))
            return j->e->code;
        return jinja_spec_text(j, b, text, &s, '<');
    }
    if (jinja_as_real(v, &real) && (!s.letter || strchr("eEfFgGn%", s.letter))) {
        s.letter = (char)(s.letter == 'n' ? 'g' : s.letter);
        return jinja_spec_real(j, b, v, real, &s);
    }
    return jinja_fail(j, "unsupported format specifier '%.*s' for '%s'", (int)format.text->length,
                      format.text->bytes, jinja_type_name(v));
}

static enum err_code expand(struct jinja *j, struct jinja_builder *b, struct fields *f,
                            struct jinja_value format, int depth);

/* What stands between braces: field, !conversion, :format (which may have fields of its own). */
static enum err_code replace_field(struct jinja *j, struct jinja_builder *b, struct fields *f,
                                   struct jinja_value inside, int depth)
{
    const struct jinja_text *t = inside.text;
    size_t name_end = 0, at;
    char conversion = 0;
    int brackets = 0;
    while (name_end < t->length && ((t->bytes[name_end] != ':' && t->bytes[name_end] != '!') || brackets)) {
        brackets += t->bytes[name_end] == '[' ? 1 : t->bytes[name_end] == ']' ? -1 : 0;
        name_end++;
    }
    at = name_end;
    if (at < t->length && t->bytes[at] == '!') {
        if (at + 1 == t->length || !strchr("sra", t->bytes[at + 1]) ||
            (at + 2 < t->length && t->bytes[at + 2] != ':'))
            return jinja_fail(j, "an unknown conversion in a format string");
        conversion = t->bytes[at + 1];
        at += 2;
    }
    struct jinja_value field = {0}, v = {0}, text = {0};
    struct jinja_builder spec = {0};
    if (jinja_cut(j, inside, 0, name_end, &field) || field_value(j, f, field, &v))
        return j->e->code;
    if (conversion == 's') {
        if (jinja_to_text(j, v, &v))
            return j->e->code;
        v.safe = false;
    }
    if (conversion == 'r' || conversion == 'a') {
        struct jinja_builder repr = {0};
        if (jinja_build_repr(j, &repr, v) || jinja_build_end(j, &repr, &v))
            return j->e->code;
    }
    if (jinja_cut(j, inside, at < t->length ? at + 1 : at, t->length, &text) ||
        expand(j, &spec, f, text, depth + 1) || jinja_build_end(j, &spec, &text))
        return j->e->code;
    if (!f->markup)
        return format_value(j, b, v, text);
    struct jinja_builder made = {0};
    if (v.safe && text.text->length)
        return jinja_fail(j, "Markup takes no format specification");
    if (format_value(j, &made, v, text) || jinja_build_end(j, &made, &text))
        return j->e->code;
    text.safe = v.safe;
    return jinja_build_part(j, b, text, true);
}

static enum err_code expand(struct jinja *j, struct jinja_builder *b, struct fields *f,
                            struct jinja_value format, int depth)
{
    const struct jinja_text *t = format.text;
    if (depth > 2)
        return jinja_fail(j, "Max string recursion exceeded");
    for (size_t at = 0; at < t->length;) {
        size_t start = at;
        while (at < t->length && t->bytes[at] != '{' && t->bytes[at] != '}')
            at++;
        if (jinja_build_slice(j, b, format, start, at))
            return j->e->code;
        if (at == t->length)
            break;
        char brace = t->bytes[at++];
        if (at < t->length && t->bytes[at] == brace && !depth) { /* doubled: itself */
            if (jinja_build_slice(j, b, format, at, at + 1))
                return j->e->code;
            at++;
            continue;
        }
        if (brace == '}')
            return jinja_fail(j, "Single '}' encountered in format string");
        size_t first = at;
        int open = 1;
        for (; at < t->length && open; at++)
            open += t->bytes[at] == '{' ? 1 : t->bytes[at] == '}' ? -1 : 0;
        struct jinja_value inside = {0};
        if (open)
            return jinja_fail(j, "expected '}' before end of string");
        if (jinja_cut(j, format, first, at - 1, &inside) || replace_field(j, b, f, inside, depth))
            return j->e->code;
    }
    return ERR_OK;
}

enum err_code jinja_format_braces(struct jinja *j, struct jinja_value format, const struct jinja_args *args,
                                  struct jinja_value *out)
{
    struct jinja_builder b = {0};
    struct fields f = {.args = args, .markup = format.safe};
    if (expand(j, &b, &f, format, 0))
        return j->e->code;
    return jinja_build_end_as(j, &b, format.safe, out);
}
