/* x.name, x[index] and slices. */
#include "eval.h"
#include "unicode.h"

static enum err_code bound_method(struct jinja *j, struct jinja_value x, const struct jinja_function *f,
                                  struct jinja_value *out)
{
    struct jinja_method *method = jinja_take(j, 1, sizeof *method);
    if (!method)
        return j->e->code;
    *method = (struct jinja_method){x, f};
    *out = jinja_make(JINJA_METHOD, 0);
    out->method = method;
    return ERR_OK;
}

/* What a macro says of itself. */
static enum err_code macro_attribute(struct jinja *j, const struct jinja_node *n, const char *name,
                                     struct jinja_value *out)
{
    const struct jinja_signature *s = n->macro.signature;
    if (!strcmp(name, "name")) {
        *out = jinja_none();
        return n->macro.name ? jinja_from_text(j, out, n->macro.name, strlen(n->macro.name), 0) : ERR_OK;
    }
    if (!strcmp(name, "catch_kwargs") || !strcmp(name, "catch_varargs") || !strcmp(name, "caller")) {
        *out = jinja_bool(!strcmp(name, "caller") ? s->caller : name[6] == 'k' ? s->kwargs : s->varargs);
        return ERR_OK;
    }
    if (strcmp(name, "arguments") != 0)
        return ERR_OK;
    if (jinja_new_tuple(j, out, s->count))
        return j->e->code;
    for (size_t i = 0; i < s->count; i++, out->list->count++) {
        const char *param = j->template->names[s->params[i]];
        if (jinja_from_text(j, &out->list->items[i], param, strlen(param), 0))
            return j->e->code;
    }
    return ERR_OK;
}

/* Python's getattr(): MISSING if there is no such attribute. */
static enum err_code find_attribute(struct jinja *j, struct jinja_value x, const char *name, size_t length,
                                    const struct jinja_methods *methods, struct jinja_value *out)
{
    const struct jinja_function *f = NULL;
    *out = jinja_make(JINJA_MISSING, 0);
    switch ((enum jinja_kind)x.kind) {
    case JINJA_STRING:
        f = methods->text;
        break;
    case JINJA_DICT:
        f = methods->dict;
        break;
    case JINJA_LIST:
        f = methods->list;
        break;
    case JINJA_TUPLE:
        f = methods->tuple;
        if (x.list->is_group && !strcmp(name, "grouper"))
            *out = x.list->items[0];
        if (x.list->is_group && !strcmp(name, "list"))
            *out = x.list->items[1];
        break;
    case JINJA_RANGE:
        f = methods->tuple;
        if (!strcmp(name, "start") || !strcmp(name, "stop") || !strcmp(name, "step"))
            *out = jinja_int(!strcmp(name, "start")  ? x.range->start
                             : !strcmp(name, "stop") ? x.range->stop
                                                     : x.range->step);
        break;
    case JINJA_NAMESPACE: {
        struct jinja_pair *pair = jinja_dict_find_text(x.dict, name, length);
        if (pair)
            *out = pair->value;
        break;
    }
    case JINJA_LOOP:
        return jinja_loop_attribute(j, x.loop, name, length, out);
    case JINJA_MACRO:
        return macro_attribute(j, x.macro->node, name, out);
    default:
        break;
    }
    if (f && f->call == jinja_refuse) /* nothing happens until it is used */
        return jinja_undefined(j, out, "access to attribute '%s' of '%s' object is unsafe", name,
                               jinja_type_name(x));
    return f ? bound_method(j, x, f, out) : ERR_OK;
}

/* x[index] as Python has it, MISSING where it raises TypeError or LookupError. */
static enum err_code find_item(struct jinja *j, struct jinja_value x, struct jinja_value index,
                               struct jinja_value *out)
{
    int64_t i = 0, count = 0;
    *out = jinja_make(JINJA_MISSING, 0);
    if (jinja_is(x, JINJA_UNDEFINED))
        return jinja_fail_undefined(j, x);
    if (jinja_is(x, JINJA_DICT)) {
        struct jinja_pair *pair;
        if (jinja_is(index, JINJA_LIST) || jinja_is(index, JINJA_DICT))
            return ERR_OK;
        if (jinja_dict_find(j, x.dict, index, &pair))
            return j->e->code;
        if (pair)
            *out = pair->value;
        return ERR_OK;
    }
    if (!jinja_as_int(index, &i))
        return ERR_OK;
    if (jinja_is(x, JINJA_LIST) || jinja_is(x, JINJA_TUPLE))
        count = (int64_t)x.list->count;
    else if (jinja_is(x, JINJA_RANGE))
        count = x.range->count;
    else if (jinja_is(x, JINJA_STRING))
        count =
            (int64_t)(i < 0 || i >= (int64_t)x.text->length ? jinja_char_count(x.text->bytes, x.text->length)
                                                            : x.text->length);
    if (i < 0)
        i += count;
    if (i < 0 || i >= count)
        return ERR_OK;
    if (jinja_is(x, JINJA_RANGE)) {
        *out = jinja_int(x.range->start + i * x.range->step);
        return ERR_OK;
    }
    if (!jinja_is(x, JINJA_STRING)) {
        *out = x.list->items[i];
        return ERR_OK;
    }
    size_t start = jinja_char_offset(x.text->bytes, x.text->length, (size_t)i), end = start;
    if (start == x.text->length)
        return ERR_OK;
    jinja_char_next(x.text->bytes, x.text->length, &end);
    return jinja_cut(j, x, start, end, out);
}

enum err_code jinja_attribute(struct jinja *j, struct jinja_value x, const char *name, size_t length,
                              const struct jinja_methods *methods, struct jinja_value *out)
{
    if (jinja_is(x, JINJA_UNDEFINED))
        return jinja_fail_undefined(j, x);
    if (find_attribute(j, x, name, length, methods, out))
        return j->e->code;
    if (!jinja_is(*out, JINJA_MISSING))
        return ERR_OK;
    if (jinja_is(x, JINJA_DICT)) {
        struct jinja_pair *pair = jinja_dict_find_text(x.dict, name, length);
        if (pair) {
            *out = pair->value;
            return ERR_OK;
        }
    }
    return jinja_undefined(j, out, "'%s' has no attribute '%s'", jinja_type_name(x), name);
}

enum err_code jinja_item(struct jinja *j, struct jinja_value x, struct jinja_value index,
                         struct jinja_value *out)
{
    if (find_item(j, x, index, out))
        return j->e->code;
    if (!jinja_is(*out, JINJA_MISSING))
        return ERR_OK;
    if (!jinja_is(index, JINJA_STRING))
        return jinja_undefined(j, out, "%s object has no such element", jinja_type_name(x));
    const char *name = jinja_c_string(j, index);
    if (!name)
        return j->e->code;
    struct jinja_methods methods = jinja_find_methods(name, index.text->length);
    if (find_attribute(j, x, name, index.text->length, &methods, out))
        return j->e->code;
    if (jinja_is(*out, JINJA_MISSING))
        return jinja_undefined(j, out, "'%s' has no attribute '%s'", jinja_type_name(x), name);
    return ERR_OK;
}

static enum err_code slice_text(struct jinja *j, struct jinja_value x, int64_t first, int64_t step,
                                int64_t items, struct jinja_value *out)
{
    const char *bytes = x.text->bytes;
    size_t length = x.text->length, at = jinja_char_offset(bytes, length, (size_t)first);
    if (jinja_spend(j, length / 64))
        return j->e->code;
    if (step == 1)
        return jinja_cut(j, x, at, at + jinja_char_offset(bytes + at, length - at, (size_t)items), out);
    struct jinja_builder b = {0};
    for (int64_t i = 0; i < items; i++) {
        size_t end = at;
        if (at >= length)
            break;
        jinja_char_next(bytes, length, &end);
        if (jinja_build_slice(j, &b, x, at, end) || jinja_spend(j, 1))
            return j->e->code;
        if (step > 0)
            at = i + 1 < items ? at + jinja_char_offset(bytes + at, length - at, (size_t)step) : at;
        for (int64_t back = 0; step < 0 && i + 1 < items && back < -step && at > 0; back++)
            jinja_char_before(bytes, &at);
    }
    return jinja_build_end_as(j, &b, x.safe, out);
}

static enum err_code slice_list(struct jinja *j, struct jinja_value x, int64_t first, int64_t step,
                                int64_t items, struct jinja_value *out)
{
    if (jinja_new_list(j, out, (size_t)items) || jinja_spend(j, (size_t)items))
        return j->e->code;
    for (int64_t i = 0; i < items; i++)
        out->list->items[i] = x.list->items[first + i * step];
    out->list->count = (size_t)items;
    out->kind = x.kind;
    out->origin = x.origin;
    return ERR_OK;
}

enum err_code jinja_slice(struct jinja *j, struct jinja_value x, const struct jinja_value bounds[3],
                          struct jinja_value *out)
{
    int64_t numbers[3], part[2], items, count, step;
    const int64_t *given[3] = {NULL, NULL, NULL};
    if (jinja_is(x, JINJA_UNDEFINED))
        return jinja_fail_undefined(j, x);
    for (int i = 0; i < 3; i++) {
        if (jinja_as_int(bounds[i], &numbers[i]))
            given[i] = &numbers[i];
        else if (!jinja_is(bounds[i], JINJA_NONE))
            return jinja_fail(j, "slice indices must be integers or None, not %s",
                              jinja_type_name(bounds[i]));
    }
    if (jinja_is(x, JINJA_STRING))
        count = (int64_t)jinja_char_count(x.text->bytes, x.text->length);
    else if (jinja_is(x, JINJA_LIST) || jinja_is(x, JINJA_TUPLE))
        count = (int64_t)x.list->count;
    else if (jinja_is(x, JINJA_RANGE))
        count = x.range->count;
    else
        return jinja_fail(j, "'%s' object has no slices", jinja_type_name(x));
    step = given[2] ? *given[2] : 1;
    if (!step)
        return jinja_fail(j, "slice step cannot be zero");
    jinja_slice_range(part, &items, count, given[0], given[1], step);
    if (jinja_is(x, JINJA_STRING))
        return slice_text(j, x, part[0], step, items, out);
    if (!jinja_is(x, JINJA_RANGE))
        return slice_list(j, x, part[0], step, items, out);
    struct jinja_range *r = jinja_take(j, 1, sizeof *r);
    if (!r)
        return j->e->code;
    *r = (struct jinja_range){x.range->start + part[0] * x.range->step,
                              x.range->start + part[1] * x.range->step, 0, items};
    if (__builtin_mul_overflow(x.range->step, step, &r->step))
        return jinja_fail(j, "an integer beyond 64 bits");
    *out = jinja_make(JINJA_RANGE, 0);
    out->range = r;
    return ERR_OK;
}
