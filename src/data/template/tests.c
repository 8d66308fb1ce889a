/* The tests: x is odd. */
#include <math.h>

#include "eval.h"
#include "unicode.h"

static enum err_code answer(struct jinja_value *out, bool holds)
{
    *out = jinja_bool(holds);
    return ERR_OK;
}

/* value % number == rest */
static enum err_code remainder_is(struct jinja *j, struct jinja_value v, struct jinja_value number,
                                  int64_t rest, struct jinja_value *out)
{
    struct jinja_value modulo = {0};
    bool same;
    if (jinja_binary(j, JINJA_MOD, v, number, &modulo) || jinja_equal(j, modulo, jinja_int(rest), &same))
        return j->e->code;
    return answer(out, same);
}

static enum err_code t_odd(JINJA_ARGS)
{
    (void)args;
    return remainder_is(j, a[0], jinja_int(2), 1, out);
}

static enum err_code t_even(JINJA_ARGS)
{
    (void)args;
    return remainder_is(j, a[0], jinja_int(2), 0, out);
}

static enum err_code t_divisibleby(JINJA_ARGS)
{
    (void)args;
    return remainder_is(j, a[0], a[1], 0, out);
}

static bool is_defined(struct jinja_value v)
{
    return !jinja_is(v, JINJA_UNDEFINED);
}

static bool is_undefined(struct jinja_value v)
{
    return jinja_is(v, JINJA_UNDEFINED);
}

static bool is_none(struct jinja_value v)
{
    return jinja_is(v, JINJA_NONE);
}

static bool is_boolean(struct jinja_value v)
{
    return jinja_is(v, JINJA_BOOL);
}

static bool is_true(struct jinja_value v)
{
    return jinja_is(v, JINJA_BOOL) && v.boolean;
}

static bool is_false(struct jinja_value v)
{
    return jinja_is(v, JINJA_BOOL) && !v.boolean;
}

static bool is_integer(struct jinja_value v)
{
    return jinja_is(v, JINJA_INT);
}

static bool is_float(struct jinja_value v)
{
    return jinja_is(v, JINJA_FLOAT);
}

static bool is_number(struct jinja_value v)
{
    return jinja_is(v, JINJA_INT) || jinja_is(v, JINJA_FLOAT) || jinja_is(v, JINJA_BOOL);
}

static bool is_string(struct jinja_value v)
{
    return jinja_is(v, JINJA_STRING);
}

static bool is_mapping(struct jinja_value v)
{
    return jinja_is(v, JINJA_DICT);
}

/* Has a length and items by number or key. */
static bool is_sequence(struct jinja_value v)
{
    return jinja_is(v, JINJA_STRING) || jinja_is(v, JINJA_LIST) || jinja_is(v, JINJA_TUPLE) ||
           jinja_is(v, JINJA_DICT) || jinja_is(v, JINJA_RANGE) || jinja_is(v, JINJA_UNDEFINED);
}

static bool is_callable(struct jinja_value v)
{
    return jinja_is(v, JINJA_MACRO) || jinja_is(v, JINJA_FUNCTION) || jinja_is(v, JINJA_METHOD) ||
           jinja_is(v, JINJA_LOOP) || jinja_is(v, JINJA_UNDEFINED);
}

static bool is_iterable(struct jinja_value v)
{
    return jinja_is_iterable(v) || jinja_is(v, JINJA_LOOP);
}

static bool is_escaped(struct jinja_value v)
{
    return jinja_is(v, JINJA_STRING) && v.safe;
}

#define KIND(name, is)                                                                                       \
    static enum err_code name(JINJA_ARGS)                                                                          \
    {                                                                                                        \
        (void)j, (void)args;                                                                                 \
        return answer(out, is(a[0]));                                                                        \
    }
KIND(t_defined, is_defined)
KIND(t_undefined, is_undefined)
KIND(t_none, is_none)
KIND(t_boolean, is_boolean)
KIND(t_true, is_true)
KIND(t_false, is_false)
KIND(t_integer, is_integer)
KIND(t_float, is_float)
KIND(t_number, is_number)
KIND(t_string, is_string)
KIND(t_mapping, is_mapping)
KIND(t_sequence, is_sequence)
KIND(t_callable, is_callable)
KIND(t_iterable, is_iterable)
KIND(t_escaped, is_escaped)

static enum err_code case_is(struct jinja *j, struct jinja_value v, bool upper, struct jinja_value *out)
{
    struct jinja_value text = {0};
    return jinja_to_text(j, v, &text) ? j->e->code : jinja_is_case(j, text, upper, out);
}

static enum err_code t_lower(JINJA_ARGS)
{
    (void)args;
    return case_is(j, a[0], false, out);
}

static enum err_code t_upper(JINJA_ARGS)
{
    (void)args;
    return case_is(j, a[0], true, out);
}

static enum err_code t_filter(JINJA_ARGS)
{
    (void)j, (void)args;
    return answer(out,
                  jinja_is(a[0], JINJA_STRING) && jinja_find_filter(a[0].text->bytes, a[0].text->length));
}

static enum err_code t_test(JINJA_ARGS)
{
    (void)j, (void)args;
    return answer(out, jinja_is(a[0], JINJA_STRING) && jinja_find_test(a[0].text->bytes, a[0].text->length));
}

/* Python's `is`: the same object. Small numbers are, and what is not a number or text is by its place. */
static enum err_code t_sameas(JINJA_ARGS)
{
    (void)j, (void)args;
    if (a[0].kind != a[1].kind)
        return answer(out, false);
    switch ((enum jinja_kind)a[0].kind) {
    case JINJA_NONE:
        return answer(out, true);
    case JINJA_BOOL:
        return answer(out, a[0].boolean == a[1].boolean);
    case JINJA_INT:
        return answer(out, a[0].integer == a[1].integer);
    case JINJA_FLOAT:
        return answer(out, a[0].real == a[1].real);
    case JINJA_STRING:
        return answer(out, a[0].safe == a[1].safe && jinja_same_bytes(a[0].text, a[1].text));
    default:
        return answer(out, a[0].text == a[1].text);
    }
}

static enum err_code t_in(JINJA_ARGS)
{
    (void)args;
    bool holds;
    return jinja_contains(j, a[1], a[0], &holds) ? j->e->code : answer(out, holds);
}

static enum err_code equals(struct jinja *j, const struct jinja_value *a, bool wanted,
                            struct jinja_value *out)
{
    bool same;
    return jinja_equal(j, a[0], a[1], &same) ? j->e->code : answer(out, same == wanted);
}

static enum err_code t_eq(JINJA_ARGS)
{
    (void)args;
    return equals(j, a, true, out);
}

static enum err_code t_ne(JINJA_ARGS)
{
    (void)args;
    return equals(j, a, false, out);
}

static enum err_code ordered(struct jinja *j, const struct jinja_value *a, const char *op,
                             struct jinja_value *out)
{
    int order;
    if (jinja_order(j, a[0], a[1], op, &order))
        return j->e->code;
    bool wanted = *op == '>' ? order > 0 : order < 0, equal = op[1] == '=' && order == 0;
    return answer(out, order != 2 && (wanted || equal));
}

static enum err_code t_gt(JINJA_ARGS)
{
    (void)args;
    return ordered(j, a, ">", out);
}

static enum err_code t_ge(JINJA_ARGS)
{
    (void)args;
    return ordered(j, a, ">=", out);
}

static enum err_code t_lt(JINJA_ARGS)
{
    (void)args;
    return ordered(j, a, "<", out);
}

static enum err_code t_le(JINJA_ARGS)
{
    (void)args;
    return ordered(j, a, "<=", out);
}

const struct jinja_function jinja_tests[] = {
    {"defined", "value", 1, t_defined},
    {"undefined", "value", 1, t_undefined},
    {"none", "value", 1, t_none},
    {"boolean", "value", 1, t_boolean},
    {"true", "value", 1, t_true},
    {"false", "value", 1, t_false},
    {"integer", "value", 1, t_integer},
    {"float", "value", 1, t_float},
    {"number", "value", 1, t_number},
    {"string", "value", 1, t_string},
    {"mapping", "value", 1, t_mapping},
    {"sequence", "value", 1, t_sequence},
    {"callable", "/obj", 1, t_callable},
    {"iterable", "value", 1, t_iterable},
    {"escaped", "value", 1, t_escaped},
    {"odd", "value", 1, t_odd},
    {"even", "value", 1, t_even},
    {"divisibleby", "value num", 2, t_divisibleby},
    {"lower", "value", 1, t_lower},
    {"upper", "value", 1, t_upper},
    {"filter", "value", 1, t_filter},
    {"test", "value", 1, t_test},
    {"sameas", "value other", 2, t_sameas},
    {"in", "value seq", 2, t_in},
    {"eq", "/a b", 2, t_eq},
    {"==", "/a b", 2, t_eq},
    {"equalto", "/a b", 2, t_eq},
    {"ne", "/a b", 2, t_ne},
    {"!=", "/a b", 2, t_ne},
    {"gt", "/a b", 2, t_gt},
    {">", "/a b", 2, t_gt},
    {"greaterthan", "/a b", 2, t_gt},
    {"ge", "/a b", 2, t_ge},
    {">=", "/a b", 2, t_ge},
    {"lt", "/a b", 2, t_lt},
    {"<", "/a b", 2, t_lt},
    {"lessthan", "/a b", 2, t_lt},
    {"le", "/a b", 2, t_le},
    {"<=", "/a b", 2, t_le},
    {NULL, NULL, 0, NULL},
};
