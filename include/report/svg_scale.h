/*
 * One axis of a plot: which values it spans, where a value lies on it, and where its ticks are.
 */
#ifndef MPILORA_REPORT_SVG_SCALE_H
#define MPILORA_REPORT_SVG_SCALE_H

#include "report/svg_plot.h"

/* A number for people: four significant digits, "1.2e-5" where that is shorter. */
#define SVG_NUMBER_SIZE 32
const char *svg_number(char text[SVG_NUMBER_SIZE], double x);

#define SVG_TICKS_MAX 64
#define SVG_EXACT_MAX 12 /* with more values than that, an exact axis has round ticks after all */

struct svg_tick {
    double value;
    char label[SVG_NUMBER_SIZE]; /* "": a small mark without a number */
};

struct svg_range {
    const struct svg_axis *axis;
    double low, high;              /* of a logarithmic axis: decimal logarithms */
    bool any;                      /* a value was met that has a place on the axis */
    bool has_zero;                 /* logarithmic: some value is 0 */
    double met[SVG_EXACT_MAX + 1]; /* different values, for an exact axis */
    size_t met_count;
    double from, to; /* pixels of low and high */
    double zero_at;  /* pixel of 0 on a logarithmic axis */
    struct svg_tick ticks[SVG_TICKS_MAX];
    size_t tick_count;
};

/* In this order: begin, all values, finish (which rounds the range and makes the ticks), place. */
void svg_range_begin(struct svg_range *r, const struct svg_axis *axis);
void svg_range_add(struct svg_range *r, double value);
void svg_range_finish(struct svg_range *r);
void svg_range_place(struct svg_range *r, double from, double to);

/* Has the value a place on this axis? And its pixel. */
bool svg_range_holds(const struct svg_range *r, double value);
double svg_range_pixel(const struct svg_range *r, double value);

#endif
