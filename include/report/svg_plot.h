/*
 * The data of a plot, which svg.h draws.
 */
#ifndef MPILORA_REPORT_SVG_PLOT_H
#define MPILORA_REPORT_SVG_PLOT_H

#include <stdbool.h>
#include <stddef.h>

#define SVG_STYLES 12 /* number of different styles; higher numbers repeat them */

enum svg_scale { SVG_LINEAR, SVG_LOG };

struct svg_axis {
    const char *title; /* with the unit: "step", "loss (nats per token)" */
    enum svg_scale scale;
    bool whole; /* values are whole numbers, so ticks are, too */
    bool zero;  /* a linear axis starts at 0 */
    bool exact; /* ticks at the values of the points, not at round numbers; for a few values */
};

struct svg_series {
    const char *name;
    unsigned style;           /* colour, dashes and marker; below SVG_STYLES */
    const double *x, *y;      /* [count] */
    const double *low, *high; /* [count] the band around y, or both NULL */
    size_t count;
    bool no_line;  /* only markers */
    bool no_marks; /* only the line */
    bool beside;   /* the name is written next to the last point, not in the legend */
};

struct svg_plot {
    const char *id;                  /* unique in the document; a name of letters, digits and "-" */
    const char *title, *description; /* for readers who cannot see the plot */
    struct svg_axis x, y;
    const struct svg_series *series;
    size_t count;
    const char *level_name; /* a horizontal line at `level`; NULL: none */
    double level;
    bool alone; /* a separate document, which contains its own colours, rules and background */
};

#endif
