#include "report/svg_scale.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICKS_WANTED 6
#define ZERO_GAP     26    /* pixels between 0 and the lowest value of a logarithmic axis */
#define VALUE_MAX    1e300 /* between these no range, step or power of ten leaves the numbers */
#define VALUE_MIN    1e-300
#define WHOLE_MAX    1e15 /* up to here one more is another number */

const char *svg_number(char text[SVG_NUMBER_SIZE], double x)
{
    snprintf(text, SVG_NUMBER_SIZE, "%.4g", x);
    char *exponent = strchr(text, 'e');
    if (exponent) { /* 1.2e-05 -> 1.2e-5 */
        char *digits = exponent + 2, *kept = digits;
        while (*kept == '0' && kept[1])
            kept++;
        if (exponent[1] == '+')
            digits--;
        memmove(digits, kept, strlen(kept) + 1);
    }
    return text;
}

void svg_range_begin(struct svg_range *r, const struct svg_axis *axis)
{
    *r = (struct svg_range){.axis = axis, .low = INFINITY, .high = -INFINITY};
}

bool svg_range_holds(const struct svg_range *r, double value)
{
    if (r->axis->scale == SVG_LOG)
        return value == 0 || (value >= VALUE_MIN && value <= VALUE_MAX);
    return fabs(value) <= VALUE_MAX;
}

static void meet(struct svg_range *r, double value)
{
    for (size_t i = 0; i < r->met_count; i++)
        if (r->met[i] == value)
            return;
    if (r->met_count <= SVG_EXACT_MAX)
        r->met[r->met_count++] = value;
}

void svg_range_add(struct svg_range *r, double value)
{
    if (!svg_range_holds(r, value))
        return;
    meet(r, value);
    r->any = true;
    if (r->axis->scale == SVG_LOG) {
        if (value == 0) {
            r->has_zero = true;
            return;
        }
        value = log10(value);
    }
    r->low = fmin(r->low, value);
    r->high = fmax(r->high, value);
}

/* The number 1, 2 or 5 times a power of ten that is nearest above. */
static double nice_step(double step)
{
    double power = pow(10, floor(log10(step)));
    double lead = step / power;
    return power * (lead <= 1.0001 ? 1 : lead <= 2.0001 ? 2 : lead <= 5.0001 ? 5 : 10);
}

static const char *const superscripts[] = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};

/* "10⁻⁴", "2·10⁻⁴" */
static void label_power(char label[SVG_NUMBER_SIZE], int lead, int power)
{
    char digits[12];
    size_t at = (size_t)snprintf(label, SVG_NUMBER_SIZE, lead == 1 ? "10" : "%d·10", lead);
    snprintf(digits, sizeof digits, "%d", abs(power));
    if (power < 0)
        at += (size_t)snprintf(label + at, SVG_NUMBER_SIZE - at, "⁻");
    for (const char *d = digits; *d; d++)
        at += (size_t)snprintf(label + at, SVG_NUMBER_SIZE - at, "%s", superscripts[*d - '0']);
}

static struct svg_tick *add_tick(struct svg_range *r, double value)
{
    struct svg_tick *tick = &r->ticks[r->tick_count];
    if (r->tick_count < SVG_TICKS_MAX)
        r->tick_count++;
    else
        tick--;
    *tick = (struct svg_tick){.value = value};
    return tick;
}

/* Ticks at multiples of a nice step between two values. */
static void tick_evenly(struct svg_range *r, double low, double high)
{
    double step = nice_step((high - low) / TICKS_WANTED);
    if (r->axis->whole && (step < 1 || high - low <= 10))
        step = 1;
    int power = (int)floor(log10(step) + 1e-9);
    bool plain = power >= -5 && fmax(fabs(low), fabs(high)) < 1e7;
    double first = ceil(low / step - 1e-6), last = floor(high / step + 1e-6);
    for (int i = 0; i <= last - first; i++) {
        double k = first + i, value = k == 0 ? 0 : k * step;
        struct svg_tick *tick = add_tick(r, value);
        if (plain)
            snprintf(tick->label, sizeof tick->label, "%.*f", power < 0 ? -power : 0, value);
        else
            svg_number(tick->label, value);
        if (*tick->label == '-') { /* the minus of typographers */
            char digits[SVG_NUMBER_SIZE];
            snprintf(digits, sizeof digits, "%s", tick->label + 1);
            snprintf(tick->label, sizeof tick->label, "−%.*s", SVG_NUMBER_SIZE - 4, digits);
        }
    }
}

/* Ticks at powers of ten, and where there is room at 2 and 5 times them; small marks at the others. */
static void tick_powers(struct svg_range *r)
{
    int first = (int)floor(r->low + 1e-9), last = (int)ceil(r->high - 1e-9);
    double span = r->high - r->low;
    int stride = (int)ceil(span / TICKS_WANTED);
    stride = stride < 1 ? 1 : stride;
    bool plain = r->low > -3.01 && r->high < 5;
    for (int power = first; power <= last; power++)
        for (int lead = 1; lead <= (stride > 1 ? 1 : 9); lead++) {
            double at = power + log10(lead);
            if (at < r->low - 1e-9 || at > r->high + 1e-9)
                continue;
            struct svg_tick *tick = add_tick(r, pow(10, power) * lead);
            bool named =
                lead == 1 ? (power % stride + stride) % stride == 0 : span < 2.2 && (lead == 5 || lead == 2);
            if (named && plain)
                snprintf(tick->label, sizeof tick->label, "%.*f", power < 0 ? -power : 0, tick->value);
            else if (named)
                label_power(tick->label, lead, power);
        }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static bool tick_exactly(struct svg_range *r)
{
    if (!r->axis->exact || r->met_count > SVG_EXACT_MAX)
        return false;
    qsort(r->met, r->met_count, sizeof *r->met, by_value);
    for (size_t i = 0; i < r->met_count; i++)
        svg_number(add_tick(r, r->met[i])->label, r->met[i]);
    return true;
}

static void finish_log(struct svg_range *r)
{
    if (r->low > r->high) /* nothing but zeros */
        r->low = 0, r->high = 1;
    double margin = fmin(fmax(0.04 * (r->high - r->low), 0.05), 5);
    r->low -= margin;
    r->high += margin;
    if (tick_exactly(r))
        return;
    if (r->high - r->low < 0.7)
        tick_evenly(r, pow(10, r->low), pow(10, r->high));
    else
        tick_powers(r);
    if (r->has_zero)
        snprintf(add_tick(r, 0)->label, SVG_NUMBER_SIZE, "0");
}

void svg_range_finish(struct svg_range *r)
{
    if (r->axis->scale == SVG_LOG) {
        finish_log(r);
        return;
    }
    if (!r->any)
        r->low = 0, r->high = 1;
    if (r->axis->zero)
        r->low = fmin(r->low, 0), r->high = fmax(r->high, 0);
    double span = r->high - r->low, size = fmax(fabs(r->low), fabs(r->high));
    if (span <= 1e-9 * size || span < VALUE_MIN) { /* one value: a range around it that has some ticks */
        double around = r->axis->whole && size < WHOLE_MAX ? 1 : size > VALUE_MIN ? 0.1 * size : 1;
        r->low -= around;
        r->high += around;
    } else if (!r->axis->whole) {
        r->high += 0.04 * span;
        if (!r->axis->zero || r->low < 0)
            r->low -= 0.04 * span;
    }
    if (!tick_exactly(r))
        tick_evenly(r, r->low, r->high);
}

void svg_range_place(struct svg_range *r, double from, double to)
{
    double direction = to > from ? 1 : -1;
    r->zero_at = from + 4 * direction;
    r->from = r->axis->scale == SVG_LOG && r->has_zero ? r->zero_at + ZERO_GAP * direction : from;
    r->to = to;
}

double svg_range_pixel(const struct svg_range *r, double value)
{
    if (r->axis->scale == SVG_LOG) {
        if (value == 0)
            return r->zero_at;
        value = log10(value);
    }
    return r->from + (value - r->low) / (r->high - r->low) * (r->to - r->from);
}
