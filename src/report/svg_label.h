/*
 * Where the names of points stand: beside them, on nothing else.
 */
#ifndef MPILORA_REPORT_SVG_LABEL_H
#define MPILORA_REPORT_SVG_LABEL_H

#include "report/svg_scale.h"

#define SVG_LABELS_MAX 32 /* later ones are set beside their points, whatever is there */

struct svg_box {
    double left, top, right, bottom;
};

struct svg_label {
    struct svg_box box;
    double from_x, from_y; /* its point */
    double to_x, to_y;     /* its corner or edge next to the point */
    int side;              /* of the point: -1 the text ends there, 1 it begins there, 0 it is centred */
    bool apart;            /* so far away that a line must lead to it */
};

/* What labels are placed on, and those that were. */
struct svg_labels {
    const struct svg_plot *plot;
    const struct svg_range *x, *y;
    struct svg_box area;
    struct svg_box placed[SVG_LABELS_MAX];
    size_t count;
};

/* The best free place for a text of this width at the last drawn point of a series; false: it has none. */
bool svg_label_place(struct svg_label *label, struct svg_labels *l, const struct svg_series *s, double width);

#endif
