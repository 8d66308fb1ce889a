#include "report_sketch.h"

void sketch_against(struct sketch *s, const char *name, unsigned style, const struct report_cell *like,
                    const char *option, double (*value)(const struct report_cell *))
{
    const char *const along[] = {option, "seed", NULL};
    static const char *const seeds[] = {"seed", NULL};
    struct report_group line, point;
    if (s->e->code || report_select(&line, s->report, like, along, s->e))
        return;
    sketch_series(s, name, style, line.count);
    double done = -INFINITY;
    for (size_t n = 0; n < line.count; n++) { /* in ascending order, each value once */
        const struct report_cell *next = NULL;
        double lowest = INFINITY;
        for (size_t i = 0; i < line.count; i++) {
            double x = report_number(line.cells[i], option);
            if (x > done && x < lowest) {
                lowest = x;
                next = line.cells[i];
            }
        }
        if (!next || report_select(&point, s->report, next, seeds, s->e))
            break;
        sketch_point_spread(s, lowest, report_spread(&point, value));
        done = lowest;
    }
    sketch_end_series(s);
}

bool sketch_begins_line(struct sketch *s, const struct report_cell *c, const char *option)
{
    const char *const along[] = {option, "seed", NULL};
    struct report_group line;
    return !s->e->code && report_is_measured(s->report, c) &&
           !report_select(&line, s->report, c, along, s->e) && line.cells[0] == c;
}

size_t sketch_count_values(const struct sketch *s, const struct report_cell *like, const char *option)
{
    const char *const along[] = {option, "seed", NULL};
    struct report_group line;
    size_t count = 0;
    if (s->e->code || report_select(&line, s->report, like, along, s->e))
        return 0;
    for (size_t i = 0; i < line.count; i++) {
        size_t k = 0;
        while (k < i && !report_has(line.cells[k], option, report_option(line.cells[i], option)))
            k++;
        count += k == i;
    }
    return count;
}
