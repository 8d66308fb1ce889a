/* One value of an option: from text, back to text, compared. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/opt.h"

#define TIME_MAX 1e12 /* seconds, a whole number below 2^53 */

struct range {
    double low, high;
    bool low_open, high_open;
};

/* "[0, 1)": a bracket includes its bound, a parenthesis does not. False if it is no such text. */
static bool range_parse(struct range *range, const char *text)
{
    char left, right;
    int end = 0;
    if (sscanf(text, "%c%lf, %lf%c%n", &left, &range->low, &range->high, &right, &end) != 4 || text[end])
        return false;
    range->low_open = left == '(';
    range->high_open = right == ')';
    return (left == '[' || left == '(') && (right == ']' || right == ')') && range->low <= range->high;
}

static enum err_code range_check(const struct opt_spec *spec, double value, const char *text, struct err *e)
{
    struct range range;
    if (!spec->range[0])
        return ERR_OK;
    if (!range_parse(&range, spec->range))
        return err_set(e, ERR_USAGE, "'%s' is not a range", spec->range);
    bool low = range.low_open ? value > range.low : value >= range.low;
    bool high = range.high_open ? value < range.high : value <= range.high;
    if (low && high)
        return ERR_OK;
    if (isinf(range.high))
        return err_set(e, ERR_USAGE, "%s is too small, it must be %s %g", text,
                       range.low_open ? "greater than" : "at least", range.low);
    return err_set(e, ERR_USAGE, "%s is out of range, it must be %s %.10g and %s %.10g", text,
                   range.low_open ? "greater than" : "at least", range.low,
                   range.high_open ? "less than" : "at most", range.high);
}

static enum err_code parse_int(int64_t *value, const struct opt_spec *spec, const char *text, struct err *e)
{
    const char *digits = text + (text[0] == '-');
    if (!digits[0] || digits[strspn(digits, "0123456789")])
        return err_set(e, ERR_USAGE, "'%s' is not a whole number", text);
    errno = 0;
    long long number = strtoll(text, NULL, 10);
    if (errno)
        return err_set(e, ERR_USAGE, "%s does not fit into 64 bits", text);
    *value = number;
    return range_check(spec, (double)number, text, e);
}

static enum err_code parse_real(double *value, const struct opt_spec *spec, const char *text, struct err *e)
{
    char *end;
    *value = strtod(text, &end);
    /* The set of letters keeps out what strtod takes and people do not mean: nan, inf, hexadecimal, blanks.
     */
    if (end == text || *end || text[strspn(text, "+-.0123456789eE")])
        return err_set(e, ERR_USAGE, "'%s' is not a number", text);
    if (!isfinite(*value))
        return err_set(e, ERR_USAGE, "%s does not fit into a double", text);
    return range_check(spec, *value, text, e);
}

static enum err_code parse_amount(double *value, const struct opt_spec *spec, const char *text, struct err *e)
{
    if (parse_real(value, spec, text, e))
        return e->code;
    if (*value > 1 && *value != floor(*value))
        return err_set(e, ERR_USAGE, "%s is neither a share below 1 nor a whole number", text);
    return ERR_OK;
}

static enum err_code parse_flag(bool *value, const char *text, struct err *e)
{
    *value = strcasecmp(text, "true") == 0; /* YAML and Python write True, too */
    if (!*value && strcasecmp(text, "false") != 0)
        return err_set(e, ERR_USAGE, "'%s' is neither true nor false", text);
    return ERR_OK;
}

const char *opt_word_text(const struct opt_spec *spec, int value)
{
    for (const struct opt_word *w = spec->words; w && w->text; w++)
        if (w->value == value)
            return w->text;
    return NULL;
}

bool opt_is_text(const struct opt_spec *spec)
{
    return spec->type != OPT_INT && spec->type != OPT_REAL && spec->type != OPT_AMOUNT && spec->type != OPT_FLAG;
}

void opt_value_label(char label[OPT_LABEL_SIZE], const struct opt_spec *spec)
{
    size_t used = 0;
    label[0] = '\0';
    for (const struct opt_word *w = spec->words; w && w->text && used < OPT_LABEL_SIZE; w++)
        used += (size_t)snprintf(label + used, OPT_LABEL_SIZE - used, "%s%s", used ? "|" : "", w->text);
    if (spec->value_name[0] && used < OPT_LABEL_SIZE)
        snprintf(label + used, OPT_LABEL_SIZE - used, "%s%s", used ? "|" : "", spec->value_name);
}

static enum err_code refuse_word(const struct opt_spec *spec, const char *text, struct err *e)
{
    char label[OPT_LABEL_SIZE];
    opt_value_label(label, spec);
    return err_set(e, ERR_USAGE, "'%s' is not one of %s", text, label);
}

static enum err_code parse_number_or_word(int64_t *value, const struct opt_spec *spec, const char *text,
                                          struct err *e)
{
    bool number = text[0] && !text[strspn(text, "-0123456789")];
    return spec->words && spec->words->text && !number ? refuse_word(spec, text, e)
                                                       : parse_int(value, spec, text, e);
}

static enum err_code refuse_time(const char *text, struct err *e)
{
    return err_set(e, ERR_USAGE,
                   "'%s' is not a time: give minutes, H:M:S, D-H:M:S, or a number with s, m or h after it",
                   text);
}

/* A time as Slurm writes it: M, M:S, H:M:S, D-H, D-H:M, D-H:M:S; or a number with s, m or h after it. */
static enum err_code parse_time(double *seconds, const char *text, struct err *e)
{
    /* Seconds in the last part of M, M:S, H:M:S, and of H, H:M, H:M:S after D-. */
    static const double of_last[2][3] = {{60, 1, 1}, {3600, 60, 1}};
    const char *at = text, *dash = strchr(text, '-');
    double days = 0, sum = 0;
    int parts = 0;
    for (;;) {
        char *end;
        if (*at < '0' || *at > '9')
            return refuse_time(text, e);
        double part = (double)strtoull(at, &end, 10);
        at = end + 1;
        if (*end == '-' && end == dash && parts == 0) {
            days = part;
            continue;
        }
        sum = sum * 60 + part;
        parts++;
        if (*end == ':' && parts < 3)
            continue;
        const char *unit = *end ? strchr("smh", *end) : NULL;
        if (unit && !end[1] && parts == 1 && !dash)
            *seconds = sum * (*unit == 's' ? 1 : *unit == 'm' ? 60 : 3600);
        else if (!*end)
            *seconds = days * 86400 + sum * of_last[dash != NULL][parts - 1];
        else
            return refuse_time(text, e);
        return *seconds > 0 && *seconds <= TIME_MAX ? ERR_OK : refuse_time(text, e);
    }
}

enum err_code opt_parse_value(struct opt_value *value, const struct opt_spec *spec, const char *text,
                              struct err *e)
{
    size_t length = strlen(text), valid = str_utf8_valid_prefix(text, length);
    if (valid < length)
        return err_set(e, ERR_USAGE, "byte %zu of the value is not UTF-8", valid);
    *value = (struct opt_value){.word = OPT_NO_WORD, .text = text};
    for (const struct opt_word *w = spec->words; w && w->text; w++)
        if (strcmp(w->text, text) == 0) {
            value->word = w->value;
            value->integer = w->value;
            return ERR_OK;
        }
    switch (spec->type) {
    case OPT_INT:
        return parse_number_or_word(&value->integer, spec, text, e);
    case OPT_REAL:
        return parse_real(&value->real, spec, text, e);
    case OPT_AMOUNT:
        return parse_amount(&value->real, spec, text, e);
    case OPT_FLAG:
        return parse_flag(&value->flag, text, e);
    case OPT_CHOICE:
        return refuse_word(spec, text, e);
    case OPT_TIME:
        return parse_time(&value->real, text, e);
    case OPT_STRING:
    case OPT_TEXT:
    case OPT_NAMES:
        return ERR_OK;
    case OPT_LIST:
        return text[0] || spec->single ? ERR_OK : err_set(e, ERR_USAGE, "the value is empty");
    case OPT_HEADING:
        break;
    }
    return err_set(e, ERR_USAGE, "a heading has no value");
}

uint64_t opt_amount(double amount, uint64_t whole)
{
    double part = amount < 1 ? ceil(amount * (double)whole - 1e-6) : amount;
    return part > 0 ? (uint64_t)part : 0;
}

static const void *value_of(const struct opt_set *set, const struct opt_spec *spec)
{
    return (const char *)set->values + spec->offset;
}

/* The shortest text that reads back to the same double; with a dot, as some YAML readers want one beside an
 * e. */
static enum err_code append_real(struct str *out, double value, struct err *e)
{
    char text[40];
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    const char *exponent = strchr(text, 'e');
    if (!exponent || strchr(text, '.'))
        return str_appendf(out, e, "%s", text);
    return str_appendf(out, e, "%.*s.0%s", (int)(exponent - text), text, exponent);
}

static enum err_code append_int(struct str *out, const struct opt_spec *spec, int64_t value, struct err *e)
{
    const char *word = value >= INT_MIN && value <= INT_MAX ? opt_word_text(spec, (int)value) : NULL;
    return word ? str_appendf(out, e, "%s", word) : str_appendf(out, e, "%" PRId64, value);
}

enum err_code opt_append_value(const struct opt_set *set, const struct opt_spec *spec, struct str *out,
                               struct err *e)
{
    const void *value = value_of(set, spec);
    const struct opt_list *list = value;
    const struct opt_time *time = value;
    enum err_code code = ERR_OK;
    switch (spec->type) {
    case OPT_STRING:
        return str_appendf(out, e, "%s", *(const char *const *)value);
    case OPT_CHOICE:
        return str_appendf(out, e, "%s", opt_word_text(spec, *(const int *)value));
    case OPT_TEXT:
    case OPT_NAMES:
        return str_appendf(out, e, "%s", ((const struct opt_text *)value)->text);
    case OPT_TIME:
        if (time->word != OPT_NO_WORD)
            return str_appendf(out, e, "%s", opt_word_text(spec, time->word));
        return str_appendf(out, e, "%.0fs", time->seconds);
    case OPT_LIST:
        code = str_append(out, "", 0, e);
        for (size_t i = 0; !code && i < list->count; i++)
            code = str_appendf(out, e, "%s%s", i ? ", " : "", list->items[i]);
        return code;
    case OPT_INT:
        return append_int(out, spec, *(const int64_t *)value, e);
    case OPT_REAL:
    case OPT_AMOUNT:
        return append_real(out, *(const double *)value, e);
    case OPT_FLAG:
        return str_appendf(out, e, "%s", *(const bool *)value ? "true" : "false");
    case OPT_HEADING:
        break;
    }
    return ERR_OK;
}

static bool lists_equal(const struct opt_list *a, const struct opt_list *b)
{
    bool equal = a->count == b->count;
    for (size_t i = 0; equal && i < a->count; i++)
        equal = strcmp(a->items[i], b->items[i]) == 0;
    return equal;
}

/* The next name of a text; *length 0 after the last. */
static const char *next_name(size_t *length, const char *at)
{
    return str_list_item(length, at + strspn(at, ", "));
}

/* Are the names of `a` among those of `b`? */
static bool names_are_among(const char *a, const char *b)
{
    size_t length, other;
    for (const char *x = next_name(&length, a); length; x = next_name(&length, x + length)) {
        const char *y = next_name(&other, b);
        while (other && (other != length || strncmp(x, y, length) != 0))
            y = next_name(&other, y + other);
        if (!other)
            return false;
    }
    return true;
}

bool opt_values_equal(const struct opt_set *a, const struct opt_set *b, const struct opt_spec *spec)
{
    const void *x = value_of(a, spec), *y = value_of(b, spec);
    const struct opt_time *s = x, *t = y;
    switch (spec->type) {
    case OPT_CHOICE:
        return *(const int *)x == *(const int *)y;
    case OPT_TEXT:
        return strcmp(((const struct opt_text *)x)->text, ((const struct opt_text *)y)->text) == 0;
    case OPT_NAMES:
        return names_are_among(((const struct opt_text *)x)->text, ((const struct opt_text *)y)->text) &&
               names_are_among(((const struct opt_text *)y)->text, ((const struct opt_text *)x)->text);
    case OPT_TIME:
        return s->word == t->word && (s->word != OPT_NO_WORD || s->seconds == t->seconds);
    case OPT_STRING:
        return strcmp(*(const char *const *)x, *(const char *const *)y) == 0;
    case OPT_LIST:
        return lists_equal(x, y);
    case OPT_INT:
        return *(const int64_t *)x == *(const int64_t *)y;
    case OPT_REAL:
    case OPT_AMOUNT:
        return *(const double *)x == *(const double *)y;
    case OPT_FLAG:
        return *(const bool *)x == *(const bool *)y;
    case OPT_HEADING:
        break;
    }
    return true;
}
