#include "svg_label.h"

#include <math.h>

#define HEIGHT      13.0 /* of a line of text */
#define MARKER      5.5  /* half of a marker, with some air */
#define NEAR        9.0  /* from a point to its label */
#define FAR         73.0
#define STEP        8.0
#define LEADER_FROM 16.0

static bool is_drawn(const struct svg_labels *l, const struct svg_series *s, size_t i)
{
    return svg_range_holds(l->x, s->x[i]) && svg_range_holds(l->y, s->y[i]);
}

static bool meet(const struct svg_box *a, const struct svg_box *b)
{
    return a->left < b->right && b->left < a->right && a->top < b->bottom && b->top < a->bottom;
}

/* Whether a piece of a line passes through a box: cuts the piece at each side in turn. */
static bool crosses(const struct svg_box *b, double x0, double y0, double x1, double y1)
{
    double from = 0, to = 1;
    const double run[] = {x0 - x1, x1 - x0, y0 - y1, y1 - y0};
    const double room[] = {x0 - b->left, b->right - x0, y0 - b->top, b->bottom - y0};
    for (int side = 0; side < 4; side++) {
        if (run[side] == 0 && room[side] < 0)
            return false;
        if (run[side] < 0)
            from = fmax(from, room[side] / run[side]);
        else if (run[side] > 0)
            to = fmin(to, room[side] / run[side]);
    }
    return from <= to;
}

static bool meets_series(const struct svg_labels *l, const struct svg_series *s, const struct svg_box *box)
{
    for (size_t i = 0; i < s->count; i++) {
        if (!is_drawn(l, s, i))
            continue;
        double x = svg_range_pixel(l->x, s->x[i]), y = svg_range_pixel(l->y, s->y[i]);
        const struct svg_box marker = {x - MARKER, y - MARKER, x + MARKER, y + MARKER};
        if (!s->no_marks && meet(box, &marker))
            return true;
        if (!s->no_line && i > 0 && is_drawn(l, s, i - 1) &&
            crosses(box, svg_range_pixel(l->x, s->x[i - 1]), svg_range_pixel(l->y, s->y[i - 1]), x, y))
            return true;
    }
    return false;
}

static bool is_free(const struct svg_labels *l, const struct svg_box *box)
{
    if (box->left < l->area.left || box->right > l->area.right || box->top < l->area.top ||
        box->bottom > l->area.bottom)
        return false;
    for (size_t i = 0; i < l->count; i++)
        if (meet(box, &l->placed[i]))
            return false;
    for (size_t i = 0; i < l->plot->count; i++)
        if (meets_series(l, &l->plot->series[i], box))
            return false;
    return true;
}

/* A label on one of eight sides of its point. */
static struct svg_label set_beside(double x, double y, double width, double distance, int side)
{
    static const double across[] = {1, -1, 0, 0, 1, 1, -1, -1}, down[] = {0, 0, -1, 1, -1, 1, -1, 1};
    double length = hypot(across[side], down[side]);
    double to_x = x + across[side] * distance / length, to_y = y + down[side] * distance / length;
    double left = to_x - width * (1 - across[side]) / 2, top = to_y - HEIGHT * (1 - down[side]) / 2;
    return (struct svg_label){.box = {left, top, left + width, top + HEIGHT},
                              .from_x = x,
                              .from_y = y,
                              .to_x = to_x,
                              .to_y = to_y,
                              .side = (int)across[side],
                              .apart = distance >= LEADER_FROM};
}

bool svg_label_place(struct svg_label *label, struct svg_labels *l, const struct svg_series *s, double width)
{
    size_t last = s->count;
    while (last > 0 && !is_drawn(l, s, last - 1))
        last--;
    if (last == 0)
        return false;
    double x = svg_range_pixel(l->x, s->x[last - 1]), y = svg_range_pixel(l->y, s->y[last - 1]);
    bool found = false;
    for (double distance = NEAR; !found && distance <= FAR; distance += STEP)
        for (int side = 0; !found && side < 8; side++) {
            *label = set_beside(x, y, width, distance, side);
            found = is_free(l, &label->box);
        }
    if (!found)
        *label = set_beside(x, y, width, NEAR, 0);
    if (l->count < SVG_LABELS_MAX)
        l->placed[l->count++] = label->box;
    return true;
}
