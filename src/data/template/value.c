#include "value.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "eval.h"
#include "unicode.h"

struct jinja_value jinja_bool(bool x)
{
    return (struct jinja_value){.kind = JINJA_BOOL, .boolean = x};
}

struct jinja_value jinja_int(int64_t x)
{
    return (struct jinja_value){.kind = JINJA_INT, .integer = x};
}

struct jinja_value jinja_none(void)
{
    return jinja_make(JINJA_NONE, 0);
}

enum err_code jinja_undefined(struct jinja *j, struct jinja_value *out, const char *format, ...)
{
    char hint[256];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(hint, sizeof hint, format, args);
    va_end(args);
    size_t size = (length < (int)sizeof hint ? (size_t)length : sizeof hint - 1) + 1;
    char *copy = jinja_take(j, size, 1);
    if (!copy)
        return j->e->code;
    memcpy(copy, hint, size);
    *out = jinja_make(JINJA_UNDEFINED, 0);
    out->hint = copy;
    return ERR_OK;
}

bool jinja_as_int(struct jinja_value v, int64_t *out)
{
    if (jinja_is(v, JINJA_BOOL))
        *out = v.boolean;
    else if (jinja_is(v, JINJA_INT))
        *out = v.integer;
    else
        return false;
    return true;
}

bool jinja_as_real(struct jinja_value v, double *out)
{
    int64_t integer;
    if (jinja_is(v, JINJA_FLOAT))
        *out = v.real;
    else if (jinja_as_int(v, &integer))
        *out = (double)integer;
    else
        return false;
    return true;
}

const char *jinja_type_name(struct jinja_value v)
{
    static const char *const names[] = {
        [JINJA_MISSING] = "nothing",
        [JINJA_UNDEFINED] = "Undefined",
        [JINJA_NONE] = "None",
        [JINJA_BOOL] = "bool",
        [JINJA_INT] = "int",
        [JINJA_FLOAT] = "float",
        [JINJA_STRING] = "str",
        [JINJA_LIST] = "list",
        [JINJA_TUPLE] = "tuple",
        [JINJA_DICT] = "dict",
        [JINJA_NAMESPACE] = "Namespace",
        [JINJA_VIEW] = "view of a dict",
        [JINJA_RANGE] = "range",
        [JINJA_ITERATOR] = "iterator",
        [JINJA_LOOP] = "LoopContext",
        [JINJA_MACRO] = "Macro",
        [JINJA_FUNCTION] = "function",
        [JINJA_METHOD] = "method",
    };
    return names[v.kind];
}

bool jinja_truth(struct jinja_value v)
{
    switch ((enum jinja_kind)v.kind) {
    case JINJA_MISSING:
    case JINJA_UNDEFINED:
    case JINJA_NONE:
        return false;
    case JINJA_BOOL:
        return v.boolean;
    case JINJA_INT:
        return v.integer != 0;
    case JINJA_FLOAT:
        return v.real != 0;
    case JINJA_STRING:
        return v.text->length > 0;
    case JINJA_LIST:
    case JINJA_TUPLE:
        return v.list->count > 0;
    case JINJA_DICT:
        return v.dict->count > 0;
    case JINJA_VIEW:
        return v.view->dict->count > 0;
    case JINJA_RANGE:
        return v.range->count > 0;
    default:
        return true;
    }
}

static bool is_number(struct jinja_value v)
{
    return jinja_is(v, JINJA_BOOL) || jinja_is(v, JINJA_INT) || jinja_is(v, JINJA_FLOAT);
}

/* <0, 0, >0; an integer and a float are compared exactly. 2: one is not a number. */
static int order_numbers(struct jinja_value a, struct jinja_value b)
{
    int64_t x = 0, y = 0;
    if (jinja_as_int(a, &x) && jinja_as_int(b, &y))
        return (x > y) - (x < y);
    if (jinja_is(a, JINJA_FLOAT) && jinja_is(b, JINJA_FLOAT))
        return isnan(a.real) || isnan(b.real) ? 2 : (a.real > b.real) - (a.real < b.real);
    if (jinja_is(a, JINJA_FLOAT)) {
        int turned = order_numbers(b, a);
        return turned == 2 ? 2 : -turned;
    }
    jinja_as_int(a, &x);
    if (isnan(b.real))
        return 2;
    if (b.real >= 0x1p63)
        return -1;
    if (b.real < -0x1p63)
        return 1;
    int64_t whole = (int64_t)b.real;
    double rest = b.real - (double)whole;
    return x != whole ? (x > whole) - (x < whole) : (rest < 0) - (rest > 0);
}

static enum err_code equal_dicts(struct jinja *j, const struct jinja_dict *a, const struct jinja_dict *b,
                                 bool *out)
{
    *out = a->count == b->count;
    for (size_t i = 0; *out && i < a->count; i++) {
        struct jinja_pair *pair;
        if (jinja_dict_find(j, b, a->pairs[i].key, &pair))
            return j->e->code;
        *out = pair != NULL;
        if (pair && jinja_equal(j, a->pairs[i].value, pair->value, out))
            return j->e->code;
    }
    return ERR_OK;
}

enum err_code jinja_equal(struct jinja *j, struct jinja_value a, struct jinja_value b, bool *out)
{
    if (jinja_spend(j, 1))
        return j->e->code;
    if (is_number(a) && is_number(b)) {
        *out = order_numbers(a, b) == 0;
        return ERR_OK;
    }
    *out = false;
    if (a.kind != b.kind)
        return ERR_OK;
    switch ((enum jinja_kind)a.kind) {
    case JINJA_UNDEFINED:
    case JINJA_NONE:
        *out = true;
        return ERR_OK;
    case JINJA_STRING:
        *out = jinja_same_bytes(a.text, b.text);
        return ERR_OK;
    case JINJA_LIST:
    case JINJA_TUPLE:
        if (jinja_enter(j))
            return j->e->code;
        *out = a.list->count == b.list->count;
        for (size_t i = 0; *out && i < a.list->count; i++)
            if (jinja_equal(j, a.list->items[i], b.list->items[i], out))
                return j->e->code;
        jinja_leave(j);
        return ERR_OK;
    case JINJA_DICT:
        if (jinja_enter(j) || equal_dicts(j, a.dict, b.dict, out))
            return j->e->code;
        jinja_leave(j);
        return ERR_OK;
    case JINJA_RANGE:
        *out = a.range->count == b.range->count &&
               (!a.range->count || (a.range->start == b.range->start &&
                                    (a.range->count == 1 || a.range->step == b.range->step)));
        return ERR_OK;
    case JINJA_METHOD:
        *out = a.method->function == b.method->function && a.method->self.text == b.method->self.text;
        return ERR_OK;
    default:
        *out = a.text == b.text; /* the same thing */
        return ERR_OK;
    }
}

enum err_code jinja_order(struct jinja *j, struct jinja_value a, struct jinja_value b, const char *op,
                          int *out)
{
    if (jinja_spend(j, 1))
        return j->e->code;
    if (jinja_is(a, JINJA_UNDEFINED) || jinja_is(b, JINJA_UNDEFINED))
        return jinja_fail_undefined(j, jinja_is(a, JINJA_UNDEFINED) ? a : b);
    if (is_number(a) && is_number(b)) {
        *out = order_numbers(a, b);
        return ERR_OK;
    }
    if (jinja_is(a, JINJA_STRING) && jinja_is(b, JINJA_STRING)) {
        size_t shorter = a.text->length < b.text->length ? a.text->length : b.text->length;
        int order = memcmp(a.text->bytes, b.text->bytes, shorter);
        *out = order ? (order > 0) - (order < 0)
                     : (a.text->length > b.text->length) - (a.text->length < b.text->length);
        return ERR_OK;
    }
    if (a.kind != b.kind || (!jinja_is(a, JINJA_LIST) && !jinja_is(a, JINJA_TUPLE)))
        return jinja_fail(j, "'%s' not supported between '%s' and '%s'", op, jinja_type_name(a),
                          jinja_type_name(b));
    if (jinja_enter(j))
        return j->e->code;
    size_t shorter = a.list->count < b.list->count ? a.list->count : b.list->count;
    *out = (a.list->count > b.list->count) - (a.list->count < b.list->count);
    for (size_t i = 0; i < shorter; i++) {
        bool same;
        if (jinja_equal(j, a.list->items[i], b.list->items[i], &same))
            return j->e->code;
        if (same)
            continue;
        if (jinja_order(j, a.list->items[i], b.list->items[i], op, out))
            return j->e->code;
        break;
    }
    jinja_leave(j);
    return ERR_OK;
}

enum err_code jinja_contains(struct jinja *j, struct jinja_value container, struct jinja_value item,
                             bool *out)
{
    if (jinja_is(container, JINJA_STRING)) {
        if (!jinja_is(item, JINJA_STRING))
            return jinja_fail(j, "'in <string>' requires string as left operand, not %s",
                              jinja_type_name(item));
        *out = jinja_find(container.text, 0, container.text->length, item.text) != SIZE_MAX;
        return jinja_spend(j, container.text->length / 64);
    }
    if (jinja_is(container, JINJA_DICT) ||
        (jinja_is(container, JINJA_VIEW) && container.view->of == JINJA_KEYS)) {
        struct jinja_pair *pair;
        if (jinja_dict_find(j, jinja_is(container, JINJA_DICT) ? container.dict : container.view->dict, item,
                            &pair))
            return j->e->code;
        *out = pair != NULL;
        return ERR_OK;
    }
    struct jinja_iterator it;
    struct jinja_value next = {0};
    bool more;
    *out = false;
    if (!jinja_is_iterable(container))
        return jinja_fail(j, "argument of type '%s' is not iterable", jinja_type_name(container));
    if (jinja_iterate(j, container, &it))
        return j->e->code;
    while (!*out) {
        if (jinja_next(j, &it, &next, &more))
            return j->e->code;
        if (!more)
            break;
        if (jinja_equal(j, next, item, out))
            return j->e->code;
    }
    return ERR_OK;
}

enum err_code jinja_length(struct jinja *j, struct jinja_value v, size_t *out)
{
    switch ((enum jinja_kind)v.kind) {
    case JINJA_UNDEFINED:
        *out = 0;
        return ERR_OK;
    case JINJA_STRING:
        *out = jinja_char_count(v.text->bytes, v.text->length);
        return jinja_spend(j, v.text->length / 64);
    case JINJA_LIST:
    case JINJA_TUPLE:
        *out = v.list->count;
        return ERR_OK;
    case JINJA_DICT:
        *out = v.dict->count;
        return ERR_OK;
    case JINJA_VIEW:
        *out = v.view->dict->count;
        return ERR_OK;
    case JINJA_RANGE:
        *out = (size_t)v.range->count;
        return ERR_OK;
    default:
        return jinja_fail(j, "object of type '%s' has no length", jinja_type_name(v));
    }
}

void jinja_slice_range(int64_t bounds[2], int64_t *items, int64_t count, const int64_t *start,
                       const int64_t *stop, int64_t step)
{
    int64_t low = step > 0 ? 0 : -1, high = step > 0 ? count : count - 1;
    bounds[0] = step > 0 ? low : high;
    bounds[1] = step > 0 ? high : low;
    const int64_t *given[2] = {start, stop};
    for (int i = 0; i < 2; i++) {
        if (!given[i])
            continue;
        int64_t x = *given[i];
        if (x < 0)
            x = x < -count ? low : x + count;
        bounds[i] = x < low ? low : x > high ? high : x;
    }
    if (step > 0)
        *items = bounds[1] > bounds[0] ? (bounds[1] - bounds[0] - 1) / step + 1 : 0;
    else
        *items = bounds[1] < bounds[0]
                     ? (bounds[0] - bounds[1] - 1) / (step == INT64_MIN ? INT64_MAX : -step) + 1
                     : 0;
}
