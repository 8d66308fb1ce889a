/*
 * Places the names of series next to their points, where they do not overlap anything else.
 */
#ifndef MPILORA_REPORT_SVG_LABEL_H
#define MPILORA_REPORT_SVG_LABEL_H

#include "report/svg_scale.h"

#define SVG_LABELS_MAX 32 /* further labels are placed next to their points, even if they overlap something */

struct svg_box {
    double left, top, right, bottom;
};

struct svg_label {
    struct svg_box box;
    double from_x, from_y; /* its point */
    double to_x, to_y;     /* the corner or edge of the box that is nearest to the point */
    int side;              /* -1: the text ends at the point, 1: it starts there, 0: it is centred */
    bool apart;            /* so far away that a line must connect it with the point */
};

/* The plot on which labels are placed, and those already placed. */
struct svg_labels {
    const struct svg_plot *plot;
    const struct svg_range *x, *y;
    struct svg_box area;
    struct svg_box placed[SVG_LABELS_MAX];
    size_t count;
};

/* Finds the best free place for a text of this width at the last drawn point of a series; false: no point is
 * drawn. */
bool svg_label_place(struct svg_label *label, struct svg_labels *l, const struct svg_series *s, double width);

#endif
