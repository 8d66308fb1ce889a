#include "report/curve.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define VALUE_MOST 1e100 /* sums and differences of such values are finite */

static void halve(struct curve *c)
{
    for (size_t i = 0; i < CURVE_ROOM / 2; i++) {
        const struct curve_range *a = &c->ranges[2 * i], *b = &c->ranges[2 * i + 1];
        c->ranges[i] = (struct curve_range){a->step_sum + b->step_sum, a->sum + b->sum, a->count + b->count};
    }
    memset(&c->ranges[CURVE_ROOM / 2], 0, CURVE_ROOM / 2 * sizeof *c->ranges);
    c->width *= 2;
    c->used = (c->used + 1) / 2;
}

void curve_add(struct curve *c, uint64_t step, double value)
{
    if (!(fabs(value) <= VALUE_MOST))
        return;
    c->width = c->width ? c->width : 1;
    while (step / c->width >= CURVE_ROOM)
        halve(c);
    const size_t at = (size_t)(step / c->width);
    c->ranges[at].step_sum += (double)step;
    c->ranges[at].sum += value;
    c->ranges[at].count++;
    c->used = at >= c->used ? at + 1 : c->used;
}

/* Dots of a cell: their bits in the characters from U+2800 on. */
static const unsigned char braille[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};

enum { BRAILLE = 0x2800, DISC = 0x25CF, ACROSS = 2, DOWN = 4, ASCII_DOWN = 2 };

/* The mean in a column of dots. */
struct dot {
    double sum;
    uint64_t count;
};

struct drawing {
    struct chart *chart;
    size_t across, down; /* dots */
    unsigned char dots[CHART_ROWS][CHART_COLUMNS];
};

static double step_of(const struct curve_range *r)
{
    return r->step_sum / (double)r->count;
}

static double value_of(const struct curve_range *r)
{
    return r->sum / (double)r->count;
}

static void take_steps(struct chart *chart, const struct curve *c)
{
    for (size_t i = 0; i < c->used; i++) {
        if (!c->ranges[i].count)
            continue;
        const double step = step_of(&c->ranges[i]);
        chart->first = chart->any ? fmin(chart->first, step) : step;
        chart->last = chart->any ? fmax(chart->last, step) : step;
        chart->any = true;
    }
}

static void take_value(struct chart *chart, bool *any, double value)
{
    chart->low = *any ? fmin(chart->low, value) : value;
    chart->high = *any ? fmax(chart->high, value) : value;
    *any = true;
}

static size_t place(double x, double from, double to, size_t count)
{
    const double share = to > from ? (x - from) / (to - from) : 0;
    return (size_t)lround(fmin(fmax(share, 0), 1) * (double)(count - 1));
}

static void set_dot(struct drawing *d, size_t x, size_t y)
{
    const size_t high = d->chart->ascii ? ASCII_DOWN : DOWN, wide = d->chart->ascii ? 1 : ACROSS;
    const int dot = d->chart->ascii ? 1 << y % high : braille[y % high][x % wide];
    d->dots[y / high][x / wide] = (unsigned char)(d->dots[y / high][x / wide] | dot);
}

/* A line from one dot to another further right: one dot in each column, or in each row if it is steep (Bresenham). */
static void set_line(struct drawing *d, long x, long y, long x1, long y1)
{
    const long across = x1 - x, down = labs(y1 - y), way = y1 > y ? 1 : -1;
    for (long error = across - down;;) {
        set_dot(d, (size_t)x, (size_t)y);
        if (x == x1 && y == y1)
            return;
        const long twice = 2 * error;
        if (twice > -down && x < x1) {
            error -= down;
            x++;
        }
        if (twice < across && y != y1) {
            error += across;
            y += way;
        }
    }
}

static long height(const struct drawing *d, const struct dot *dot)
{
    return (long)(d->down - 1 - place(dot->sum / (double)dot->count, d->chart->low, d->chart->high, d->down));
}

static void draw_line(struct drawing *d, const struct dot *dots)
{
    size_t before = SIZE_MAX;
    for (size_t x = 0; x < d->across; x++) {
        if (!dots[x].count)
            continue;
        before = before == SIZE_MAX ? x : before;
        set_line(d, (long)before, height(d, &dots[before]), (long)x, height(d, &dots[x]));
        before = x;
    }
}

static void fill_cells(const struct drawing *d)
{
    static const char ascii[] = {' ', '\'', '.', ':'};
    for (size_t y = 0; y < d->chart->rows; y++)
        for (size_t x = 0; x < d->chart->columns; x++) {
            const unsigned char dots = d->dots[y][x];
            d->chart->cells[y][x] = (struct chart_cell){
                .character = d->chart->ascii ? ascii[dots] : dots ? BRAILLE + dots : ' '};
        }
}

static void draw_marks(struct chart *chart, const struct curve *marks)
{
    for (size_t i = 0; i < marks->used; i++) {
        if (!marks->ranges[i].count)
            continue;
        const size_t x = place(step_of(&marks->ranges[i]), chart->first, chart->last, chart->columns);
        const size_t y = chart->rows - 1 - place(value_of(&marks->ranges[i]), chart->low, chart->high, chart->rows);
        chart->cells[y][x] = (struct chart_cell){.character = chart->ascii ? 'o' : DISC, .marked = true};
    }
}

void chart_draw(struct chart *chart, const struct curve *line, const struct curve *marks)
{
    struct drawing d = {.chart = chart};
    struct dot dots[CHART_COLUMNS * ACROSS] = {{0}};
    assert(chart->columns && chart->columns <= CHART_COLUMNS && chart->rows && chart->rows <= CHART_ROWS);
    chart->any = false;
    take_steps(chart, line);
    take_steps(chart, marks);
    d.across = chart->columns * (chart->ascii ? 1 : ACROSS);
    d.down = chart->rows * (chart->ascii ? ASCII_DOWN : DOWN);
    for (size_t i = 0; i < line->used; i++)
        if (line->ranges[i].count) {
            struct dot *dot = &dots[place(step_of(&line->ranges[i]), chart->first, chart->last, d.across)];
            dot->sum += line->ranges[i].sum;
            dot->count += line->ranges[i].count;
        }
    bool any = false; /* as high as what is drawn, which are means of many steps, not their highest */
    for (size_t x = 0; x < d.across; x++)
        if (dots[x].count)
            take_value(chart, &any, dots[x].sum / (double)dots[x].count);
    for (size_t i = 0; i < marks->used; i++)
        if (marks->ranges[i].count)
            take_value(chart, &any, value_of(&marks->ranges[i]));
    draw_line(&d, dots);
    fill_cells(&d);
    draw_marks(chart, marks);
}
