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

#include "base/err.h"
#include "base/str.h"
#include "report/svg_plot.h"

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

/* Appends one <svg> element. A plot without any point to draw says so in its place. */
enum err_code svg_append_plot(struct str *out, const struct svg_plot *plot, struct err *e);

/* The rules that all plots of a page share, for its <style> element. */
const char *svg_style(void);

#endif
