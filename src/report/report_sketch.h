/*
 * Builds the figures of a report. Errors are sticky: after one, all calls do nothing.
 */
#ifndef MPILORA_REPORT_REPORT_SKETCH_H
#define MPILORA_REPORT_REPORT_SKETCH_H

#include "report_data.h"

#define SKETCH_SERIES_MAX 24

/* report_figures.c: the axis of steps, and values of a step; NAN if it has none. */
extern const struct svg_axis report_steps;
double report_row_loss(const struct metrics_row *row);
double report_row_eval_loss(const struct metrics_row *row);
double report_row_learning_rate(const struct metrics_row *row);
double report_row_grad_norm(const struct metrics_row *row);
double report_row_speed(const struct metrics_row *row);
double report_row_margin(const struct metrics_row *row); /* of rewards */
double report_row_accuracy(const struct metrics_row *row);
double report_row_eval_margin(const struct metrics_row *row);
double report_row_eval_accuracy(const struct metrics_row *row);

struct sketch {
    struct report *report;
    struct err *e; /* e->code is set after an error */
    struct report_figure *figure;
    struct svg_series *all;    /* of the figure */
    struct svg_series *series; /* the one being made */
    double *values;            /* its x, y, low and high, each [room] */
    size_t room;
};

/* Starts a figure, and a series in it, and adds points to the series. `caption` tells the reader what to look
 * for. */
void sketch_figure(struct sketch *s, const char *id, const char *title, const char *caption,
                   struct svg_axis x, struct svg_axis y);
void sketch_series(struct sketch *s, const char *name, unsigned style, size_t points);
void sketch_point(struct sketch *s, double x, double y);
void sketch_point_spread(struct sketch *s, double x, struct report_spread spread);

/* End the series, or the figure. A series without points, and a figure without series, are removed. */
void sketch_end_series(struct sketch *s);
void sketch_end_figure(struct sketch *s);

/* Adds a series with a value of each step: mean, lowest and highest over the cells of a group. If there are very
 * many steps, several steps are combined. */
void sketch_rows(struct sketch *s, const char *name, unsigned style, const struct report_group *g,
                 double (*value)(const struct metrics_row *));

/* Draws a figure with a value of the steps of all cells, or of those with the objective of `like`. */
typedef void sketch_draw(struct sketch *s, const char *id, const char *title, const char *caption, struct svg_axis y,
                         const struct report_cell *like, double (*value)(const struct metrics_row *));
/* Of what each objective measures in its own way: if the cells have several, a figure for each of these. */
void sketch_by_objective(struct sketch *s, sketch_draw *draw, const char *id, const char *title, const char *caption,
                         struct svg_axis y, double (*value)(const struct metrics_row *));

/* Adds a series of a value against one option, for the cells with the same other options as `like`, except the
 * seed. */
void sketch_against(struct sketch *s, const char *name, unsigned style, const struct report_cell *like,
                    const char *option, double (*value)(const struct report_cell *));
/* Is this the first cell of such a line? */
bool sketch_begins_line(struct sketch *s, const struct report_cell *c, const char *option);
/* Number of values of the option along this line. */
size_t sketch_count_values(const struct sketch *s, const struct report_cell *like, const char *option);

#endif
