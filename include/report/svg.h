/*
 * Draws plots as inline SVG: lines with markers and bands over linear or logarithmic axes, with ticks, titles and a
 * legend. Texts are text elements. Colours, fonts and line styles come from svg_style(), so that a plot follows the
 * reader's light or dark mode. There are no scripts and no external references.
 *
 * Each series has its own colour, dash pattern and marker, so that series never differ by colour alone. A series is
 * a group with the attributes data-series (its name) and data-points (the number of points drawn), and each marker
 * has its numbers as a tooltip.
 *
 * On a logarithmic axis, values that are exactly 0 are drawn on a separate line at its lower end, marked "0",
 * because a gradient of 0 is a result and not a missing value. Values that are not finite or beyond 1e300, and on a
 * logarithmic axis also negative values and those below 1e-300, are left out and leave a gap in the line.
 */
#ifndef MPILORA_REPORT_SVG_H
#define MPILORA_REPORT_SVG_H

#include "base/err.h"
#include "base/str.h"
#include "report/svg_plot.h"

/* Colours of the light mode. */
#define SVG_PAPER "#fdfdfc"
#define SVG_INK   "#1b1e23"
#define SVG_SOFT  "#59606b"
#define SVG_RULE  "#e7e7e3"
#define SVG_FAINT "#b9bcc2"
/* The colours that the page must declare for svg_style(), in light and in dark mode. */
#define SVG_DAY                                                                                              \
    "--paper:" SVG_PAPER ";--ink:" SVG_INK ";--soft:" SVG_SOFT ";--rule:" SVG_RULE ";--faint:" SVG_FAINT ";"
#define SVG_NIGHT "--paper:#15171b;--ink:#e8e9ec;--soft:#a3a9b4;--rule:#2c3037;--faint:#555b66;"

/* Appends one <svg> element. For a plot without points, it contains a text that says so. */
enum err_code svg_append_plot(struct str *out, const struct svg_plot *plot, struct err *e);

/* The CSS rules that all plots of a page share, for its <style> element. */
const char *svg_style(void);

#endif
