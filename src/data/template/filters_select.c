/* map, select, reject, selectattr, rejectattr: iterators that apply another filter or test to each item, one at a time
 * as they are asked for. */
#include "eval.h"

struct apply {
    const struct jinja_function *function; /* NULL: map gets the attribute, select tests the truth */
    const char *kind;
    struct jinja_args args; /* of the function; items[0] is the item's place */
    struct jinja_value attribute, otherwise;
    bool wanted;
};

static enum err_code call_on(struct jinja *j, struct apply *s, struct jinja_value item,
                             struct jinja_value *out)
{
    struct jinja_args args =
        s->args; /* a place of its own for the item: the function may go through us again */
    args.items = jinja_take(j, args.count, sizeof *args.items);
    if (!args.items)
        return j->e->code;
    memcpy(args.items, s->args.items, args.count * sizeof *args.items);
    args.items[0] = item;
    return jinja_call_function(j, s->function, s->kind, &args, out);
}

static enum err_code next_mapped(struct jinja *j, struct jinja_iterator *it, struct jinja_value *out,
                                 bool *more)
{
    struct apply *s = it->state;
    struct jinja_value item = {0};
    if (jinja_next(j, it->source.iterator, &item, more))
        return j->e->code;
    if (!*more)
        return ERR_OK;
    if (s->function)
        return call_on(j, s, item, out);
    return jinja_get_path(j, item, s->attribute, s->otherwise, out);
}

static enum err_code next_selected(struct jinja *j, struct jinja_iterator *it, struct jinja_value *out,
                                   bool *more)
{
    struct apply *s = it->state;
    for (;;) {
        struct jinja_value v = {0};
        if (jinja_next(j, it->source.iterator, out, more))
            return j->e->code;
        if (!*more)
            return ERR_OK;
        if (jinja_get_path(j, *out, s->attribute, s->otherwise, &v) || (s->function && call_on(j, s, v, &v)))
            return j->e->code;
        if (jinja_truth(v) == s->wanted)
            return ERR_OK;
    }
}

/* The function of that name, applied to the arguments after the first `skip`. */
static enum err_code find_function(struct jinja *j, struct apply *s, const struct jinja_args *args,
                                   size_t skip, bool is_filter)
{
    struct jinja_value name = args->items[skip];
    s->kind = is_filter ? "filter" : "test";
    if (jinja_want_text(j, name, is_filter ? "the filter's name" : "the test's name"))
        return j->e->code;
    s->function = is_filter ? jinja_find_filter(name.text->bytes, name.text->length)
                            : jinja_find_test(name.text->bytes, name.text->length);
    if (!s->function)
        return jinja_fail(j, "there is no %s '%.*s'", s->kind, (int)name.text->length, name.text->bytes);
    s->args = (struct jinja_args){args->items + skip, args->count - skip, args->named, args->named_count};
    return ERR_OK;
}

/* Nothing to go through: Python does not even look at the arguments then. */
static enum err_code finish(struct jinja *j, struct apply *s, struct jinja_value v,
                            enum err_code (*next)(struct jinja *, struct jinja_iterator *,
                                                  struct jinja_value *, bool *),
                            struct jinja_value *out)
{
    struct apply *state = jinja_take(j, 1, sizeof *state);
    if (!state)
        return j->e->code;
    *state = *s;
    return jinja_iterate_over(j, v, next, state, out);
}

static enum err_code empty(struct jinja *j, struct jinja_value *out)
{
    struct jinja_value list = {0};
    struct jinja_iterator it;
    if (jinja_new_list(j, &list, 0) || jinja_iterate(j, list, &it))
        return j->e->code;
    return jinja_new_iterator(j, out, &it);
}

static enum err_code f_map(JINJA_ARGS)
{
    (void)a;
    struct apply s = {.attribute = jinja_none(), .otherwise = jinja_none()};
    bool has_attribute = false;
    if (!args->count)
        return jinja_fail(j, "filter 'map' needs something to go through");
    if (!jinja_truth(args->items[0]))
        return empty(j, out);
    for (size_t i = 0; i < args->named_count; i++)
        has_attribute |= !strcmp(args->named[i].name, "attribute");
    if (args->count > 1) {
        if (find_function(j, &s, args, 1, true))
            return j->e->code;
    } else if (has_attribute) {
        for (size_t i = 0; i < args->named_count; i++) {
            if (!strcmp(args->named[i].name, "attribute"))
                s.attribute = args->named[i].value;
            else if (!strcmp(args->named[i].name, "default"))
                s.otherwise = args->named[i].value;
            else
                return jinja_fail(j, "unexpected keyword argument '%s'", args->named[i].name);
        }
    } else {
        return jinja_fail(j, "map requires a filter argument");
    }
    return finish(j, &s, args->items[0], next_mapped, out);
}

static enum err_code choose(struct jinja *j, const struct jinja_args *args, bool by_attribute, bool wanted,
                            struct jinja_value *out)
{
    struct apply s = {.attribute = jinja_none(), .otherwise = jinja_none(), .wanted = wanted};
    size_t skip = 1 + by_attribute;
    if (!args->count)
        return jinja_fail(j, "this filter needs something to go through");
    if (!jinja_truth(args->items[0]))
        return empty(j, out);
    if (by_attribute && args->count < 2)
        return jinja_fail(j, "Missing parameter for attribute name");
    if (by_attribute)
        s.attribute = args->items[1];
    if (args->count > skip && find_function(j, &s, args, skip, false))
        return j->e->code;
    return finish(j, &s, args->items[0], next_selected, out);
}

static enum err_code f_select(JINJA_ARGS)
{
    (void)a;
    return choose(j, args, false, true, out);
}

static enum err_code f_reject(JINJA_ARGS)
{
    (void)a;
    return choose(j, args, false, false, out);
}

static enum err_code f_selectattr(JINJA_ARGS)
{
    (void)a;
    return choose(j, args, true, true, out);
}

static enum err_code f_rejectattr(JINJA_ARGS)
{
    (void)a;
    return choose(j, args, true, false, out);
}

const struct jinja_function jinja_select_filters[] = {
    {"map", NULL, 1, f_map},
    {"select", NULL, 1, f_select},
    {"reject", NULL, 1, f_reject},
    {"selectattr", NULL, 1, f_selectattr},
    {"rejectattr", NULL, 1, f_rejectattr},
    {NULL, NULL, 0, NULL},
};
