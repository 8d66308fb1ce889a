/*
 * Plots as inline SVG: lines with markers and bands over linear or logarithmic axes, with ticks, titles and a
 * legend. Text stays text; colours, fonts and line styles come from svg_style(), through which a plot follows
 * the reader's light or dark scheme. No script, no reference to anything outside.
 *
 * A series is drawn with a colour, a dash pattern and a marker of its own, so that none of them has to be
 * told apart by colour alone. Each is a group with the attributes data-series (its name) and data-points (how
 * many of its points are drawn), and each marker carries its numbers as a tooltip.
 *
 * On a logarithmic axis, values that are exactly 0 are drawn on a line of their own at its lower end, marked
 * "0": a gradient that is 0 is a finding, not a missing value. Negative values there, values that are not
 * finite and those beyond 1e300 (and below 1e-300 there) are left out, and break the line.
 */
#ifndef MPILORA_REPORT_SVG_H
#define MPILORA_REPORT_SVG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/str.h"

/* Colours by day. */
#define SVG_PAPER "#fdfdfc"
#define SVG_INK   "#1b1e23"
#define SVG_SOFT  "#59606b"
#define SVG_RULE  "#e7e7e3"
#define SVG_FAINT "#b9bcc2"
/* What the rules of svg_style() ask of the page: its colours by day and by night, as declarations. */
#define SVG_DAY                                                                                              \
    "--paper:" SVG_PAPER ";--ink:" SVG_INK ";--soft:" SVG_SOFT ";--rule:" SVG_RULE ";--faint:" SVG_FAINT ";"
#define SVG_NIGHT "--paper:#15171b;--ink:#e8e9ec;--soft:#a3a9b4;--rule:#2c3037;--faint:#555b66;"

#define SVG_STYLES 12 /* styles that differ; higher numbers begin again */

enum svg_scale { SVG_LINEAR, SVG_LOG };

struct svg_axis {
    const char *title; /* with the unit: "step", "loss (nats per token)" */
    enum svg_scale scale;
    bool whole; /* values are whole numbers: so are the ticks */
    bool zero;  /* a linear axis begins at 0 */
    bool exact; /* ticks at the values of the points, which are few, not at round numbers */
};

struct svg_series {
    const char *name;
    unsigned style;           /* colour, dashes and marker; below SVG_STYLES */
    const double *x, *y;      /* [count] */
    const double *low, *high; /* [count] the band around y, or both NULL */
    size_t count;
    bool no_line;  /* markers alone */
    bool no_marks; /* the line alone */
    bool beside;   /* the name stands beside the last point, not in the legend */
};

struct svg_plot {
    const char *id;                  /* unique in the document; a name of letters, digits and "-" */
    const char *title, *description; /* for readers who do not see it */
    struct svg_axis x, y;
    const struct svg_series *series;
    size_t count;
    const char *level_name; /* a horizontal line at `level`; NULL: none */
    double level;
    bool alone; /* a document by itself, which has its colours, rules and paper with it */
};

/* Appends one <svg> element. A plot without any point to draw says so in its place. */
enum err_code svg_append_plot(struct str *out, const struct svg_plot *plot, struct err *e);

/* The rules that all plots of a page share, for its <style> element. */
const char *svg_style(void);

/* Text as the content of an element or attribute of HTML and XML; bytes that are not UTF-8 and control
 * characters become U+FFFD. */
enum err_code svg_append_text(struct str *out, const char *text, struct err *e);

/* A number for people: four significant digits, "1.2e-5" where that is shorter. */
#define SVG_NUMBER_SIZE 32
const char *svg_number(char text[SVG_NUMBER_SIZE], double x);

#endif
