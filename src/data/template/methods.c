/* More methods of str, those of dict, list and tuple, and finding all of them. */
#include "eval.h"
#include "unicode.h"

/* Whether all characters are of a kind, and there are any. */
static enum err_code all(struct jinja *j, struct jinja_value v, bool (*is)(uint32_t), bool empty,
                         struct jinja_value *out)
{
    bool holds = empty || v.text->length > 0;
    for (size_t at = 0; holds && at < v.text->length;)
        holds = is(jinja_char_next(v.text->bytes, v.text->length, &at));
    *out = jinja_bool(holds);
    return jinja_spend(j, v.text->length / 8);
}

static bool is_alnum(uint32_t c)
{
    return jinja_is_alpha(c) || jinja_is_numeric(c) || jinja_is_digit(c);
}

static bool is_ascii(uint32_t c)
{
    return c < 0x80;
}

#define ALL(name, is, empty)                                                                                 \
    static enum err_code name(JINJA_ARGS)                                                                          \
    {                                                                                                        \
        (void)args;                                                                                          \
        return all(j, a[0], is, empty, out);                                                                 \
    }
ALL(m_isalpha, jinja_is_alpha, false)
ALL(m_isdigit, jinja_is_digit, false)
ALL(m_isdecimal, jinja_is_decimal, false)
ALL(m_isnumeric, jinja_is_numeric, false)
ALL(m_isspace, jinja_is_space, false)
ALL(m_isalnum, is_alnum, false)
ALL(m_isascii, is_ascii, true)
ALL(m_isprintable, jinja_is_printable, true)

enum err_code jinja_is_case(struct jinja *j, struct jinja_value v, bool upper, struct jinja_value *out)
{
    bool holds = true, any = false;
    for (size_t at = 0; holds && at < v.text->length;) {
        uint32_t c = jinja_char_next(v.text->bytes, v.text->length, &at);
        bool is_upper = jinja_is_upper(c), is_lower = jinja_is_lower(c);
        holds = !jinja_is_title(c) && !(upper ? is_lower : is_upper);
        any |= upper ? is_upper : is_lower;
    }
    *out = jinja_bool(holds && any);
    return jinja_spend(j, v.text->length / 8);
}

static enum err_code m_isupper(JINJA_ARGS)
{
    (void)args;
    return jinja_is_case(j, a[0], true, out);
}

static enum err_code m_islower(JINJA_ARGS)
{
    (void)args;
    return jinja_is_case(j, a[0], false, out);
}

static enum err_code m_istitle(JINJA_ARGS)
{
    (void)args;
    bool holds = true, any = false, inside = false;
    for (size_t at = 0; holds && at < a[0].text->length;) {
        uint32_t c = jinja_char_next(a[0].text->bytes, a[0].text->length, &at);
        bool is_upper = jinja_is_upper(c) || jinja_is_title(c), is_lower = jinja_is_lower(c);
        holds = !(is_upper && inside) && !(is_lower && !inside);
        inside = is_upper || is_lower;
        any |= inside;
    }
    *out = jinja_bool(holds && any);
    return jinja_spend(j, 1);
}

static enum err_code m_isidentifier(JINJA_ARGS)
{
    (void)args;
    const struct jinja_text *text = a[0].text;
    size_t at = 0;
    bool holds = text->length && jinja_is_name_start(jinja_char_next(text->bytes, text->length, &at));
    while (holds && at < text->length)
        holds = jinja_is_name_part(jinja_char_next(text->bytes, text->length, &at));
    *out = jinja_bool(holds);
    return jinja_spend(j, 1);
}

static enum err_code pad(JINJA_ARGS, bool left, bool right)
{
    (void)args;
    struct jinja_value fill = a[2];
    int64_t width;
    if (jinja_want_int(j, a[1], "the width", 0, &width))
        return j->e->code;
    if (jinja_is(fill, JINJA_MISSING) && jinja_from_text(j, &fill, " ", 1, 0))
        return j->e->code;
    if (a[0].safe && jinja_escape(j, fill, &fill))
        return j->e->code;
    if (jinja_want_text(j, fill, "the fill character"))
        return j->e->code;
    if (jinja_char_count(fill.text->bytes, fill.text->length) != 1)
        return jinja_fail(j, "the fill character must be exactly one character long");
    return jinja_pad(j, a[0], width, fill, left, right, out);
}

static enum err_code m_center(JINJA_ARGS)
{
    return pad(j, a, args, out, true, true);
}

static enum err_code m_ljust(JINJA_ARGS)
{
    return pad(j, a, args, out, false, true);
}

static enum err_code m_rjust(JINJA_ARGS)
{
    return pad(j, a, args, out, true, false);
}

static enum err_code m_zfill(JINJA_ARGS)
{
    (void)args;
    struct jinja_value zero = {0}, sign = {0}, rest = {0};
    int64_t width;
    const struct jinja_text *text = a[0].text;
    size_t signs = text->length && (*text->bytes == '-' || *text->bytes == '+');
    if (jinja_want_int(j, a[1], "the width", 0, &width) || jinja_from_text(j, &zero, "0", 1, 0) ||
        jinja_cut(j, a[0], 0, signs, &sign) || jinja_cut(j, a[0], signs, text->length, &rest) ||
        jinja_pad(j, rest, width - (int64_t)signs, zero, true, false, &rest))
        return j->e->code;
    return jinja_binary(j, JINJA_ADD, sign, rest, out);
}

static enum err_code remove_affix(JINJA_ARGS, bool at_end)
{
    (void)args;
    if (jinja_want_text(j, a[1], at_end ? "the suffix" : "the prefix"))
        return j->e->code;
    const struct jinja_text *text = a[0].text, *part = a[1].text;
    bool has = part->length <= text->length &&
               !memcmp(text->bytes + (at_end ? text->length - part->length : 0), part->bytes, part->length);
    size_t cut = has ? part->length : 0;
    return jinja_cut(j, a[0], at_end ? 0 : cut, at_end ? text->length - cut : text->length, out);
}

static enum err_code m_removeprefix(JINJA_ARGS)
{
    return remove_affix(j, a, args, out, false);
}

static enum err_code m_removesuffix(JINJA_ARGS)
{
    return remove_affix(j, a, args, out, true);
}

static enum err_code m_expandtabs(JINJA_ARGS)
{
    (void)args;
    struct jinja_builder b = {0};
    const struct jinja_text *text = a[0].text;
    int64_t size, column = 0;
    if (jinja_want_int(j, a[1], "the size of tabs", 8, &size))
        return j->e->code;
    for (size_t at = 0; at < text->length;) {
        size_t start = at;
        uint32_t c = jinja_char_next(text->bytes, text->length, &at);
        int64_t spaces = c == '\t' && size > 0 ? size - column % size : 0;
        if (c != '\t' && jinja_build_slice(j, &b, a[0], start, at))
            return j->e->code;
        for (int64_t i = 0; i < spaces; i++)
            if (jinja_build(j, &b, " ", 1, jinja_origin_at(a[0], start)) || jinja_spend(j, 1))
                return j->e->code;
        column = c == '\n' || c == '\r' ? 0 : column + (c == '\t' ? spaces : 1);
    }
    return jinja_build_end_as(j, &b, a[0].safe, out);
}

static enum err_code m_format(JINJA_ARGS)
{
    (void)a;
    struct jinja_args rest = *args;
    rest.items++;
    rest.count--;
    return jinja_format_braces(j, args->items[0], &rest, out);
}

static enum err_code m_format_map(JINJA_ARGS)
{
    (void)args;
    static const struct jinja_dict nothing; /* Python asks what is no dict for a name only where the format has one */
    const struct jinja_dict *d = jinja_is(a[1], JINJA_DICT) ? a[1].dict : &nothing;
    struct jinja_args values = {.named = jinja_take(j, d->count, sizeof *values.named)};
    if (!values.named)
        return j->e->code;
    for (size_t i = 0; i < d->count; i++) {
        if (!jinja_is(d->pairs[i].key, JINJA_STRING))
            continue;
        struct jinja_named *named = &values.named[values.named_count++];
        *named = (struct jinja_named){jinja_c_string(j, d->pairs[i].key), d->pairs[i].value};
        if (!named->name)
            return j->e->code;
    }
    return jinja_format_braces(j, a[0], &values, out);
}

static enum err_code view(struct jinja *j, struct jinja_value v, enum jinja_view_of of,
                          struct jinja_value *out)
{
    struct jinja_view *view = jinja_take(j, 1, sizeof *view);
    if (!view)
        return j->e->code;
    *view = (struct jinja_view){v.dict, of};
    *out = jinja_make(JINJA_VIEW, v.origin);
    out->view = view;
    return ERR_OK;
}

static enum err_code m_keys(JINJA_ARGS)
{
    (void)args;
    return view(j, a[0], JINJA_KEYS, out);
}

static enum err_code m_values(JINJA_ARGS)
{
    (void)args;
    return view(j, a[0], JINJA_VALUES, out);
}

static enum err_code m_items(JINJA_ARGS)
{
    (void)args;
    return view(j, a[0], JINJA_ITEMS, out);
}

static enum err_code m_get(JINJA_ARGS)
{
    (void)args;
    struct jinja_pair *pair;
    if (jinja_dict_find(j, a[0].dict, a[1], &pair))
        return j->e->code;
    *out = pair ? pair->value : jinja_is(a[2], JINJA_MISSING) ? jinja_none() : a[2];
    return ERR_OK;
}

/* Nobody can change the copy, so it is the thing itself. */
static enum err_code m_copy(JINJA_ARGS)
{
    (void)j, (void)args;
    *out = a[0];
    return ERR_OK;
}

enum err_code jinja_refuse(JINJA_ARGS)
{
    (void)a, (void)out;
    return jinja_fail(j, "the sandbox does not let a template change a %s", jinja_type_name(args->items[0]));
}

/* The items of a list, a tuple or a range. */
static enum err_code items_of(struct jinja *j, struct jinja_value v, struct jinja_value *out)
{
    *out = v;
    return jinja_is(v, JINJA_RANGE) ? jinja_to_list(j, v, out) : ERR_OK;
}

static enum err_code m_count_items(JINJA_ARGS)
{
    (void)args;
    int64_t count = 0;
    struct jinja_value items;
    if (items_of(j, a[0], &items))
        return j->e->code;
    for (size_t i = 0; i < items.list->count; i++) {
        bool same;
        if (jinja_equal(j, items.list->items[i], a[1], &same))
            return j->e->code;
        count += same;
    }
    *out = jinja_int(count);
    return ERR_OK;
}

static enum err_code m_index_of(JINJA_ARGS)
{
    (void)args;
    struct jinja_value items;
    if (items_of(j, a[0], &items))
        return j->e->code;
    int64_t count = (int64_t)items.list->count, start, stop;
    if (jinja_want_int(j, a[2], "the start", 0, &start) || jinja_want_int(j, a[3], "the stop", count, &stop))
        return j->e->code;
    start = start < 0 ? (start + count < 0 ? 0 : start + count) : start;
    stop = stop < 0 ? stop + count : stop;
    for (int64_t i = start; i < stop && i < count; i++) {
        bool same;
        if (jinja_equal(j, items.list->items[i], a[1], &same))
            return j->e->code;
        *out = jinja_int(i);
        if (same)
            return ERR_OK;
    }
    return jinja_fail(j, "the value is not in the %s", jinja_type_name(a[0]));
}

const struct jinja_function jinja_text_methods_more[] = {
    {"isalpha", "/self", 1, m_isalpha},
    {"isdigit", "/self", 1, m_isdigit},
    {"isdecimal", "/self", 1, m_isdecimal},
    {"isnumeric", "/self", 1, m_isnumeric},
    {"isspace", "/self", 1, m_isspace},
    {"isalnum", "/self", 1, m_isalnum},
    {"isascii", "/self", 1, m_isascii},
    {"isprintable", "/self", 1, m_isprintable},
    {"isupper", "/self", 1, m_isupper},
    {"islower", "/self", 1, m_islower},
    {"istitle", "/self", 1, m_istitle},
    {"isidentifier", "/self", 1, m_isidentifier},
    {"center", "/self width fill", 2, m_center},
    {"ljust", "/self width fill", 2, m_ljust},
    {"rjust", "/self width fill", 2, m_rjust},
    {"zfill", "/self width", 2, m_zfill},
    {"removeprefix", "/self prefix", 2, m_removeprefix},
    {"removesuffix", "/self suffix", 2, m_removesuffix},
    {"expandtabs", "self tabsize", 1, m_expandtabs},
    {"format", NULL, 1, m_format},
    {"format_map", "/self mapping", 2, m_format_map},
    {NULL, NULL, 0, NULL},
};

const struct jinja_function jinja_dict_methods[] = {
    {"get", "/self key default", 2, m_get},
    {"keys", "/self", 1, m_keys},
    {"values", "/self", 1, m_values},
    {"items", "/self", 1, m_items},
    {"copy", "/self", 1, m_copy},
    {"pop", NULL, 0, jinja_refuse},
    {"popitem", NULL, 0, jinja_refuse},
    {"clear", NULL, 0, jinja_refuse},
    {"update", NULL, 0, jinja_refuse},
    {"setdefault", NULL, 0, jinja_refuse},
    {NULL, NULL, 0, NULL},
};

const struct jinja_function jinja_list_methods[] = {
    {"count", "/self value", 2, m_count_items},
    {"index", "/self value start stop", 2, m_index_of},
    {"copy", "/self", 1, m_copy},
    {"append", NULL, 0, jinja_refuse},
    {"extend", NULL, 0, jinja_refuse},
    {"insert", NULL, 0, jinja_refuse},
    {"remove", NULL, 0, jinja_refuse},
    {"pop", NULL, 0, jinja_refuse},
    {"clear", NULL, 0, jinja_refuse},
    {"sort", NULL, 0, jinja_refuse},
    {"reverse", NULL, 0, jinja_refuse},
    {NULL, NULL, 0, NULL},
};

const struct jinja_function jinja_tuple_methods[] = {
    {"count", "/self value", 2, m_count_items},
    {"index", "/self value start stop", 2, m_index_of},
    {NULL, NULL, 0, NULL},
};

/* The row of a name in tables that end with NULL, or NULL. */
static const struct jinja_function *find_row(const struct jinja_function *const *tables, const char *name,
                                             size_t length)
{
    for (; *tables; tables++)
        for (const struct jinja_function *row = *tables; row->name; row++)
            if (strlen(row->name) == length && !memcmp(row->name, name, length)) /* a name may hold zeros */
                return row;
    return NULL;
}

struct jinja_methods jinja_find_methods(const char *name, size_t length)
{
    static const struct jinja_function *const text[] = {jinja_text_methods, jinja_text_methods_more, NULL},
                                              *const dict[] = {jinja_dict_methods, NULL},
                                              *const list[] = {jinja_list_methods, NULL},
                                              *const tuple[] = {jinja_tuple_methods, NULL};
    return (struct jinja_methods){find_row(text, name, length), find_row(dict, name, length),
                                  find_row(list, name, length), find_row(tuple, name, length)};
}

const struct jinja_function *jinja_find_filter(const char *name, size_t length)
{
    static const struct jinja_function *const tables[] = {jinja_text_filters, jinja_list_filters,
                                                          jinja_select_filters, jinja_value_filters, NULL};
    return find_row(tables, name, length);
}

const struct jinja_function *jinja_find_test(const char *name, size_t length)
{
    static const struct jinja_function *const tables[] = {jinja_tests, NULL};
    return find_row(tables, name, length);
}

const struct jinja_function *jinja_find_global(const char *name)
{
    static const struct jinja_function *const tables[] = {jinja_globals, NULL};
    return find_row(tables, name, strlen(name));
}
