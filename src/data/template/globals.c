/* The functions that every template knows. */
#include <stdio.h>

#include "eval.h"

enum { MAX_RANGE = 100000 }; /* the sandbox's own */

static enum err_code g_range(JINJA_ARGS)
{
    (void)args;
    int64_t numbers[3] = {0, 0, 1};
    for (int i = 0; i < 3; i++)
        if (!jinja_is(a[i], JINJA_MISSING) && !jinja_as_int(a[i], &numbers[i]))
            return jinja_fail(j, "'%s' object cannot be interpreted as an integer", jinja_type_name(a[i]));
    struct jinja_range *r = jinja_take(j, 1, sizeof *r);
    if (!r)
        return j->e->code;
    bool one = jinja_is(a[1], JINJA_MISSING);
    *r = (struct jinja_range){one ? 0 : numbers[0], one ? numbers[0] : numbers[1], numbers[2], 0};
    if (!r->step)
        return jinja_fail(j, "range() arg 3 must not be zero");
    __int128 span = (__int128)r->stop - r->start, step = r->step;
    __int128 count =
        step > 0 ? (span > 0 ? (span - 1) / step + 1 : 0) : (span < 0 ? (-span - 1) / -step + 1 : 0);
    if (count > MAX_RANGE)
        return jinja_fail(j, "range too big: the sandbox blocks those of more than %d", MAX_RANGE);
    r->count = (int64_t)count;
    *out = jinja_make(JINJA_RANGE, 0);
    out->range = r;
    return ERR_OK;
}

/* dict(): of a dict or pairs, and of what is given by name. */
static enum err_code g_dict(JINJA_ARGS)
{
    (void)a;
    struct jinja_value source = args->count ? args->items[0] : jinja_none(), pair;
    struct jinja_iterator it;
    bool more = args->count > 0;
    if (args->count > 1)
        return jinja_fail(j, "dict expected at most 1 argument, got %zu", args->count);
    if (jinja_is(source, JINJA_UNDEFINED))
        return jinja_fail_undefined(j, source);
    if (jinja_new_dict(j, out, 0))
        return j->e->code;
    bool is_dict = jinja_is(source, JINJA_DICT);
    if (is_dict && jinja_call_function(j, jinja_find_methods("items", 5).dict, "method",
                                       &(struct jinja_args){.items = &source, .count = 1}, &source))
        return j->e->code;
    if (more && jinja_iterate(j, source, &it))
        return j->e->code;
    while (more) {
        struct jinja_value list = {0};
        if (jinja_next(j, &it, &pair, &more))
            return j->e->code;
        if (!more)
            break;
        if (jinja_to_list(j, pair, &list))
            return j->e->code;
        if (list.list->count != 2)
            return jinja_fail(j, "a dict is made of pairs, not of %zu values", list.list->count);
        if (jinja_dict_put_value(j, out->dict, list.list->items[0], list.list->items[1]))
            return j->e->code;
    }
    for (size_t i = 0; i < args->named_count; i++)
        if (jinja_dict_put(j, out->dict, args->named[i].name, args->named[i].value))
            return j->e->code;
    return ERR_OK;
}

static enum err_code g_namespace(JINJA_ARGS)
{
    if (g_dict(j, a, args, out))
        return j->e->code;
    for (size_t i = 0; i < out->dict->count; i++) {
        struct jinja_value key = out->dict->pairs[i].key;
        if (jinja_is(key, JINJA_STRING) && key.text->length && *key.text->bytes == '_')
            return jinja_fail(j, "a namespace has no attributes that begin with an underscore: '%.*s'",
                              (int)key.text->length, key.text->bytes);
    }
    out->kind = JINJA_NAMESPACE;
    return ERR_OK;
}

static enum err_code g_raise_exception(JINJA_ARGS)
{
    (void)args, (void)out;
    struct jinja_value text = {0};
    if (jinja_to_text(j, a[0], &text))
        return j->e->code;
    return jinja_fail(j, "%.*s", (int)text.text->length, text.text->bytes);
}

static enum err_code g_strftime_now(JINJA_ARGS)
{
    (void)args;
    char text[1024];
    if (jinja_want_text(j, a[0], "the format"))
        return j->e->code;
    const char *format = jinja_c_string(j, a[0]);
    if (!format)
        return j->e->code;
    size_t length = *format ? strftime(text, sizeof text, format, &j->now) : 0;
    char *copy = jinja_take(j, length + 1, 1);
    if (!copy)
        return j->e->code;
    memcpy(copy, text, length);
    return jinja_from_text(j, out, copy, length, 0);
}

const struct jinja_function jinja_globals[] = {
    {"range", "/start stop step", 1, g_range},     {"dict", NULL, 0, g_dict},
    {"namespace", NULL, 0, g_namespace},           {"raise_exception", "message", 1, g_raise_exception},
    {"strftime_now", "format", 1, g_strftime_now}, {NULL, NULL, 0, NULL},
};
