/*
 * How figures of a report are put together. Errors are sticky: after one, figures may be begun and points
 * added, and nothing happens.
 */
#ifndef MPILORA_REPORT_REPORT_SKETCH_H
#define MPILORA_REPORT_REPORT_SKETCH_H

#include "report_data.h"

#define SKETCH_SERIES_MAX 24

struct sketch {
    struct report *report;
    struct err *e; /* e->code is set after an error */
    struct report_figure *figure;
    struct svg_series *all;    /* of the figure */
    struct svg_series *series; /* the one being made */
    double *values;            /* its x, y, low and high, each [room] */
    size_t room;
};

/* Begins a figure; series follow. `caption` says what to look for. */
void sketch_figure(struct sketch *s, const char *id, const char *title, const char *caption,
                   struct svg_axis x, struct svg_axis y);
void sketch_series(struct sketch *s, const char *name, unsigned style, size_t points);
void sketch_point(struct sketch *s, double x, double y);
void sketch_point_spread(struct sketch *s, double x, struct report_spread spread);

/* Takes back the series if it has no point; the figure if it has no series. */
void sketch_end_series(struct sketch *s);
void sketch_end_figure(struct sketch *s);

/* A value of the rows of a group, step by step: mean, lowest and highest over its cells; buckets of steps
 * where there are very many. */
void sketch_rows(struct sketch *s, const char *name, unsigned style, const struct report_group *g,
                 double (*value)(const struct metrics_row *));

/* One line against one option, for the cells that share all the rest with `like`, but for the seed. */
void sketch_against(struct sketch *s, const char *name, unsigned style, const struct report_cell *like,
                    const char *option, double (*value)(const struct report_cell *));
/* Is this the first cell of such a line? */
bool sketch_begins_line(struct sketch *s, const struct report_cell *c, const char *option);
/* How many values the option has along it. */
size_t sketch_count_values(const struct sketch *s, const struct report_cell *like, const char *option);

#endif
