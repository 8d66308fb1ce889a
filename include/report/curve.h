/*
 * A curve of any length in memory of a fixed size, and its drawing with characters.
 *
 * The curve keeps the means of ranges of steps. When it has CURVE_ROOM of them, each two neighbours become one; so it
 * always has at least half as many as that, which is more than a terminal has columns.
 *
 * A chart is a table of characters, each with 2 x 4 dots (Unicode's braille patterns), or in plain ASCII with 1 x 2.
 */
#ifndef MPILORA_REPORT_CURVE_H
#define MPILORA_REPORT_CURVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CURVE_ROOM = 2048 }; /* even */

struct curve_range {
    double step_sum, sum;
    uint64_t count; /* of values; 0: none in this range */
};

struct curve {
    uint64_t width; /* steps of a range; 0: nothing was added yet */
    size_t used;    /* ranges 0 ... used - 1 were reached: range i has the steps from i * width on */
    struct curve_range ranges[CURVE_ROOM];
};

/* A zeroed curve is empty. Values that are not finite, or beyond 1e100, are left out. */
void curve_add(struct curve *c, uint64_t step, double value);

struct chart_cell {
    int32_t character; /* ' ': nothing is here */
    bool marked;       /* a point of `marks` */
};

enum { CHART_COLUMNS = 240, CHART_ROWS = 40 };

struct chart {
    size_t columns, rows; /* up to CHART_COLUMNS and CHART_ROWS */
    bool ascii;
    /* Set by chart_draw(): */
    double first, last; /* steps at the left and the right edge */
    double low, high;   /* values at the lower and the upper edge */
    bool any;           /* is anything drawn? */
    struct chart_cell cells[CHART_ROWS][CHART_COLUMNS]; /* row 0 is the uppermost */
};

/* Draws `line` as one connected line through the means of the dots' columns, and each range of `marks` as a point of
 * its own on top of it. Either may be empty. */
void chart_draw(struct chart *chart, const struct curve *line, const struct curve *marks);

#endif
