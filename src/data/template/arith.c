/* The operators + - * / // % ** of Python. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "eval.h"
#include "unicode.h"

static const char *const names[] = {"+", "-", "*", "/", "//", "%", "**"};

static enum err_code too_large(struct jinja *j)
{
    return jinja_fail(j, "an integer beyond 64 bits");
}

static enum err_code make_real(struct jinja_value *out, double x)
{
    *out = jinja_make(JINJA_FLOAT, 0);
    out->real = x;
    return ERR_OK;
}

static enum err_code power_of_ints(struct jinja *j, int64_t a, int64_t b, struct jinja_value *out)
{
    int64_t result = 1;
    if (b < 0 && a == 0)
        return jinja_fail(j, "0.0 cannot be raised to a negative power");
    if (b < 0)
        return make_real(out, pow((double)a, (double)b));
    while (b > 0) {
        if (b & 1 && __builtin_mul_overflow(result, a, &result))
            return too_large(j);
        b >>= 1;
        if (b && __builtin_mul_overflow(a, a, &a))
            return too_large(j);
    }
    *out = jinja_int(result);
    return ERR_OK;
}

static enum err_code of_ints(struct jinja *j, enum jinja_binary op, int64_t a, int64_t b,
                             struct jinja_value *out)
{
    int64_t x = 0;
    if ((op == JINJA_DIV || op == JINJA_FLOORDIV || op == JINJA_MOD) && b == 0)
        return jinja_fail(j, "division by zero");
    switch (op) {
    case JINJA_ADD:
        if (__builtin_add_overflow(a, b, &x))
            return too_large(j);
        break;
    case JINJA_SUB:
        if (__builtin_sub_overflow(a, b, &x))
            return too_large(j);
        break;
    case JINJA_MUL:
        if (__builtin_mul_overflow(a, b, &x))
            return too_large(j);
        break;
    case JINJA_DIV:
        return make_real(out, (double)((long double)a / (long double)b));
    case JINJA_FLOORDIV:
        if (a == INT64_MIN && b == -1)
            return too_large(j);
        x = a / b - (a % b != 0 && (a % b < 0) != (b < 0));
        break;
    case JINJA_MOD:
        if (b == -1)
            break;
        x = a % b;
        x += x != 0 && (x < 0) != (b < 0) ? b : 0;
        break;
    case JINJA_POW:
        return power_of_ints(j, a, b, out);
    }
    *out = jinja_int(x);
    return ERR_OK;
}

/* Python's float % float and float // float. */
static double modulo(double a, double b, double *quotient)
{
    double rest = fmod(a, b), whole = (a - rest) / b;
    if (rest != 0 && (b < 0) != (rest < 0)) {
        rest += b;
        whole -= 1;
    } else if (rest == 0) {
        rest = copysign(0, b);
    }
    if (whole != 0) {
        *quotient = floor(whole);
        *quotient += whole - *quotient > 0.5;
    } else {
        *quotient = copysign(0, a / b);
    }
    return rest;
}

static enum err_code of_reals(struct jinja *j, enum jinja_binary op, double a, double b,
                              struct jinja_value *out)
{
    double quotient, rest;
    if ((op == JINJA_DIV || op == JINJA_FLOORDIV || op == JINJA_MOD) && b == 0)
        return jinja_fail(j, "float division by zero");
    switch (op) {
    case JINJA_ADD:
        return make_real(out, a + b);
    case JINJA_SUB:
        return make_real(out, a - b);
    case JINJA_MUL:
        return make_real(out, a * b);
    case JINJA_DIV:
        return make_real(out, a / b);
    case JINJA_FLOORDIV:
    case JINJA_MOD:
        rest = modulo(a, b, &quotient);
        return make_real(out, op == JINJA_MOD ? rest : quotient);
    case JINJA_POW:
        break;
    }
    if (a == 0 && b < 0)
        return jinja_fail(j, "0.0 cannot be raised to a negative power");
    if (a < 0 && isfinite(a) && isfinite(b) && b != floor(b))
        return jinja_fail(j, "complex numbers are not supported");
    double x = pow(a, b);
    if (isinf(x) && isfinite(a) && isfinite(b))
        return jinja_fail(j, "a float beyond its range");
    return make_real(out, x);
}

static enum err_code add_texts(struct jinja *j, struct jinja_value a, struct jinja_value b,
                               struct jinja_value *out)
{
    struct jinja_builder builder = {0};
    bool safe = a.safe || b.safe;
    if (jinja_build_part(j, &builder, a, safe) || jinja_build_part(j, &builder, b, safe))
        return j->e->code;
    return jinja_build_end_as(j, &builder, safe, out);
}

static enum err_code add_lists(struct jinja *j, struct jinja_value a, struct jinja_value b,
                               struct jinja_value *out)
{
    const struct jinja_list *x = a.list, *y = b.list;
    size_t count = x->count + y->count;
    if (jinja_new_list(j, out, count) || jinja_spend(j, count))
        return j->e->code;
    out->kind = a.kind;
    struct jinja_value *items = out->list->items;
    if (x->count)
        memcpy(items, x->items, x->count * sizeof *items);
    if (y->count)
        memcpy(items + x->count, y->items, y->count * sizeof *items);
    out->list->count = count;
    return ERR_OK;
}

/* A sequence times a number. */
static enum err_code repeat(struct jinja *j, struct jinja_value v, int64_t times, struct jinja_value *out)
{
    times = times > 0 ? times : 0;
    size_t length = jinja_is(v, JINJA_STRING) ? v.text->length : v.list->count;
    if (length && (uint64_t)times > LIMIT_TEMPLATE_OUTPUT / length)
        return jinja_fail(j, "a repetition of %lld times is too long", (long long)times);
    if (jinja_spend(j, length * (size_t)times / 8))
        return j->e->code;
    if (jinja_is(v, JINJA_STRING)) {
        struct jinja_builder b = {0};
        for (int64_t i = 0; length && i < times; i++)
            if (jinja_build_text(j, &b, v))
                return j->e->code;
        return jinja_build_end_as(j, &b, v.safe, out);
    }
    if (jinja_new_list(j, out, length * (size_t)times))
        return j->e->code;
    out->kind = v.kind;
    for (int64_t i = 0; length && i < times; i++, out->list->count += length)
        memcpy(out->list->items + out->list->count, v.list->items, length * sizeof *v.list->items);
    return ERR_OK;
}

static bool is_sequence(struct jinja_value v)
{
    return jinja_is(v, JINJA_STRING) || jinja_is(v, JINJA_LIST) || jinja_is(v, JINJA_TUPLE);
}

enum err_code jinja_binary(struct jinja *j, enum jinja_binary op, struct jinja_value a, struct jinja_value b,
                           struct jinja_value *out)
{
    int64_t x, y;
    double u, v;
    if (jinja_is(a, JINJA_STRING) && op == JINJA_MOD)
        return jinja_format_percent(j, a, b, out);
    if (jinja_is(a, JINJA_UNDEFINED) || jinja_is(b, JINJA_UNDEFINED))
        return jinja_fail_undefined(j, jinja_is(a, JINJA_UNDEFINED) ? a : b);
    if (jinja_as_int(a, &x) && jinja_as_int(b, &y))
        return of_ints(j, op, x, y, out);
    if (jinja_as_real(a, &u) && jinja_as_real(b, &v))
        return of_reals(j, op, u, v, out);
    if (op == JINJA_ADD && jinja_is(a, JINJA_STRING) && jinja_is(b, JINJA_STRING))
        return add_texts(j, a, b, out);
    if (op == JINJA_ADD && a.kind == b.kind && is_sequence(a))
        return add_lists(j, a, b, out);
    if (op == JINJA_MUL && is_sequence(a) && jinja_as_int(b, &y))
        return repeat(j, a, y, out);
    if (op == JINJA_MUL && is_sequence(b) && jinja_as_int(a, &x))
        return repeat(j, b, x, out);
    return jinja_fail(j, "unsupported operand types for %s: '%s' and '%s'", names[op], jinja_type_name(a),
                      jinja_type_name(b));
}

/* The text without spaces around it and underscores between digits, zero-terminated; false: too long. */
static bool plain_number(const struct jinja_text *text, char out[400])
{
    size_t from = 0, to = text->length, used = 0;
    while (from < to) {
        size_t next = from;
        if (!jinja_is_space(jinja_char_next(text->bytes, to, &next)))
            break;
        from = next;
    }
    while (to > from) {
        size_t before = to;
        if (!jinja_is_space(jinja_char_before(text->bytes, &before)))
            break;
        to = before;
    }
    for (size_t i = from; i < to; i++) {
        char c = text->bytes[i];
        if (c == '_') {
            if (i == from || i + 1 == to || text->bytes[i - 1] == '_' ||
                !strchr("0123456789abcdefABCDEFxXoO", text->bytes[i - 1]))
                return false;
            continue;
        }
        if (used == 399 || c == '\0')
            return false;
        out[used++] = c;
    }
    out[used] = '\0';
    return used > 0;
}

bool jinja_parse_int(const struct jinja_text *text, int base, int64_t *out)
{
    char number[400], *digits = number, *end;
    if (!plain_number(text, number))
        return false;
    bool minus = *digits == '-';
    digits += *digits == '-' || *digits == '+';
    if (digits[0] == '0' && digits[1] && digits[2]) {
        int marked = (digits[1] | 32) == 'x'   ? 16
                     : (digits[1] | 32) == 'o' ? 8
                     : (digits[1] | 32) == 'b' ? 2
                                               : 0;
        if (marked && (base == marked || base == 0)) {
            digits += 2;
            base = marked;
        }
    }
    if (base == 0)
        base = 10;
    if ((*digits | 32) == 'x' || *digits == '-' || *digits == '+' || *digits == ' ')
        return false;
    if (base == 16 && digits[0] == '0' && (digits[1] | 32) == 'x')
        return false;
    errno = 0;
    long long x = strtoll(digits, &end, base);
    if (end == digits || *end || errno == ERANGE)
        return false;
    *out = minus ? -x : x;
    return true;
}

bool jinja_parse_real(const struct jinja_text *text, double *out)
{
    char number[400], *end;
    if (!plain_number(text, number) || strpbrk(number, "xXpP("))
        return false;
    *out = strtod(number, &end);
    return end != number && !*end;
}
