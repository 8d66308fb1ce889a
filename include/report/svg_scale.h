/*
 * One axis of a plot: the range of its values, the pixel of a value, and its ticks.
 */
#ifndef MPILORA_REPORT_SVG_SCALE_H
#define MPILORA_REPORT_SVG_SCALE_H

#include "report/svg_plot.h"

/* A number as text for readers: four significant digits, "1.2e-5" if that is shorter. */
#define SVG_NUMBER_SIZE 32
const char *svg_number(char text[SVG_NUMBER_SIZE], double x);

#define SVG_TICKS_MAX 64
#define SVG_EXACT_MAX 12 /* with more values, an exact axis has round ticks, too */

struct svg_tick {
    double value;
    char label[SVG_NUMBER_SIZE]; /* "": a small mark without a number */
};

struct svg_range {
    const struct svg_axis *axis;
    double low, high;              /* for a logarithmic axis, decimal logarithms */
    bool any;                      /* some value can be shown on the axis */
    bool has_zero;                 /* logarithmic: some value is 0 */
    double met[SVG_EXACT_MAX + 1]; /* the different values, for an exact axis */
    size_t met_count;
    double from, to; /* pixels of low and high */
    double zero_at;  /* pixel of 0 on a logarithmic axis */
    struct svg_tick ticks[SVG_TICKS_MAX];
    size_t tick_count;
};

/* To be called in this order: begin, add for all values, finish (which rounds the range and makes the ticks),
 * place. */
void svg_range_begin(struct svg_range *r, const struct svg_axis *axis);
void svg_range_add(struct svg_range *r, double value);
void svg_range_finish(struct svg_range *r);
void svg_range_place(struct svg_range *r, double from, double to);

/* Can the value be shown on this axis? And its pixel. */
bool svg_range_holds(const struct svg_range *r, double value);
double svg_range_pixel(const struct svg_range *r, double value);

#endif
