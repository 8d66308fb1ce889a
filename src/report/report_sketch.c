#include "report_sketch.h"

#include <stdlib.h>
#include <string.h>

#define POINTS_MAX 400 /* of a line; more would be less than two pixels apart */

void sketch_figure(struct sketch *s, const char *id, const char *title, const char *caption,
                   struct svg_axis x, struct svg_axis y)
{
    struct report *r = s->report;
    s->figure = NULL;
    s->series = NULL;
    if (s->e->code)
        return;
    struct svg_series *series =
        arena_alloc(&r->arena, SKETCH_SERIES_MAX, sizeof *series, "the lines of a figure", s->e);
    if (!series)
        return;
    s->all = series;
    s->figure = &r->figures[r->figure_count++];
    *s->figure = (struct report_figure){
        .caption = caption,
        .plot = {.id = id, .title = title, .description = caption, .x = x, .y = y, .series = series}};
}

void sketch_series(struct sketch *s, const char *name, unsigned style, size_t points)
{
    s->series = NULL;
    if (s->e->code || !s->figure || s->figure->plot.count == SKETCH_SERIES_MAX)
        return;
    double *values = arena_alloc(&s->report->arena, points, 4 * sizeof *values, "a line of a figure", s->e);
    if (!values || !name)
        return;
    s->series = &s->all[s->figure->plot.count++];
    *s->series = (struct svg_series){.name = name,
                                     .style = style,
                                     .x = values,
                                     .y = values + points,
                                     .low = values + 2 * points,
                                     .high = values + 3 * points};
    s->values = values;
    s->room = points;
}

void sketch_point_spread(struct sketch *s, double x, struct report_spread spread)
{
    if (!s->series || s->series->count == s->room)
        return;
    double *at = s->values + s->series->count++;
    at[0] = x;
    at[s->room] = spread.mean;
    at[2 * s->room] = spread.low;
    at[3 * s->room] = spread.high;
}

void sketch_point(struct sketch *s, double x, double y)
{
    sketch_point_spread(s, x, (struct report_spread){.mean = y, .low = y, .high = y, .count = 1});
}

static bool has_band(const struct svg_series *s)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->high[i] > s->low[i])
            return true;
    return false;
}

void sketch_end_series(struct sketch *s)
{
    if (!s->series)
        return;
    bool any = false;
    for (size_t i = 0; i < s->series->count; i++)
        any = any || isfinite(s->series->y[i]);
    if (!any)
        s->figure->plot.count--;
    else if (!has_band(s->series))
        s->series->low = s->series->high = NULL;
    s->series = NULL;
}

void sketch_end_figure(struct sketch *s)
{
    if (s->figure && !s->figure->plot.count)
        s->report->figure_count--;
    s->figure = NULL;
}

struct bucket {
    double step_sum, sum, low, high;
    size_t count;
};

static void sketch_buckets(struct sketch *s, const struct bucket *buckets, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (buckets[i].count)
            sketch_point_spread(s, buckets[i].step_sum / (double)buckets[i].count,
                                (struct report_spread){.mean = buckets[i].sum / (double)buckets[i].count,
                                                       .low = buckets[i].low,
                                                       .high = buckets[i].high});
    sketch_end_series(s);
}

void sketch_rows(struct sketch *s, const char *name, unsigned style, const struct report_group *g,
                 double (*value)(const struct metrics_row *))
{
    uint64_t last = 0;
    if (s->figure)
        s->figure->of_steps = true;
    for (size_t i = 0; i < g->count; i++)
        if (g->cells[i]->row_count)
            last = g->cells[i]->rows[g->cells[i]->row_count - 1].step > last
                       ? g->cells[i]->rows[g->cells[i]->row_count - 1].step
                       : last;
    uint64_t width = last / POINTS_MAX + 1;
    size_t count = (size_t)(last / width) + 1;
    struct bucket *buckets = calloc(count, sizeof *buckets);
    if (!buckets) {
        if (!s->e->code)
            err_set(s->e, ERR_MEMORY, "no memory for a line of %zu points", count);
        return;
    }
    for (size_t i = 0; i < g->count; i++)
        for (size_t k = 0; k < g->cells[i]->row_count; k++) {
            const struct metrics_row *row = &g->cells[i]->rows[k];
            double x = value(row);
            if (!isfinite(x))
                continue;
            struct bucket *b = &buckets[row->step / width];
            b->low = b->count ? fmin(b->low, x) : x;
            b->high = b->count ? fmax(b->high, x) : x;
            b->sum += x;
            b->step_sum += (double)row->step;
            b->count++;
        }
    sketch_series(s, name, style, count);
    sketch_buckets(s, buckets, count);
    free(buckets);
}

void sketch_by_objective(struct sketch *s, sketch_draw *draw, const char *id, const char *title, const char *caption,
                         struct svg_axis y, double (*value)(const struct metrics_row *))
{
    struct report *r = s->report;
    if (!report_mixes_objectives(r)) {
        draw(s, id, title, caption, y, NULL, value);
        return;
    }
    for (size_t i = 0; i < r->count && !s->e->code; i++) {
        const char *objective = report_option(&r->cells[i], "objective");
        if (!report_begins_objective(r, i))
            continue;
        const char *own_id = report_textf(r, s->e, "%s-%s", id, objective);
        const char *own_title = own_id ? report_textf(r, s->e, "%s, %s", title, objective) : NULL;
        const char *own_caption =
            own_title ? report_textf(r, s->e, "%s Not comparable with that of another objective.", caption) : NULL;
        if (own_caption)
            draw(s, own_id, own_title, own_caption, y, &r->cells[i], value);
    }
}
