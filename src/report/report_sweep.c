#include <string.h>

#include "report_sketch.h"

/* What a study of how the matrices start varies. */
static const char *const starts[] = {"lora-init", "init-std", "init-std-b"};

bool report_is_sweep(const struct report *r)
{
    for (size_t i = 0; i < r->difference_count; i++)
        for (size_t k = 0; k < sizeof starts / sizeof *starts; k++)
            if (strcmp(r->differences[i]->name, starts[k]) == 0)
                return false;
    return r->is_study;
}

static bool is_seed(const struct opt_spec *spec)
{
    return strcmp(spec->name, "seed") == 0;
}

const char *report_sweep_title(struct report *r, struct err *e)
{
    const char *title = "Study";
    for (size_t i = 0, named = 0; i < r->difference_count && title; i++)
        if (!is_seed(r->differences[i]))
            title = report_textf(r, e, "%s%s%s", title, named++ ? " × " : " of ", r->differences[i]->name);
    return title;
}

/* "learning-rate 1e-3, lora-rank 4": what tells a cell from the others, but for its seed and `along` (or NULL). */
static const char *name_cell(struct sketch *s, const struct report_cell *c, const char *along)
{
    const char *name = "";
    for (size_t i = 0; i < s->report->difference_count && name; i++) {
        const struct opt_spec *spec = s->report->differences[i];
        if (!is_seed(spec) && !(along && strcmp(spec->name, along) == 0))
            name = report_textf(s->report, s->e, "%s%s%s %s", name, *name ? ", " : "", spec->name,
                                report_option(c, spec->name));
    }
    return name && !*name ? "all cells" : name;
}

/* The cells that are seeds of this one, if it is the first of them. */
static bool begins_seeds(struct sketch *s, struct report_group *g, const struct report_cell *c)
{
    static const char *const seeds[] = {"seed", NULL};
    return !s->e->code && report_is_measured(s->report, c) && !report_select(g, s->report, c, seeds, s->e) &&
           g->cells[0] == c;
}

/* Do the cells learn from pairs? A loss is that of the objective then, and has no unit. */
static bool prefers(const struct report *r)
{
    for (size_t i = 0; i < r->count; i++)
        if (r->cells[i].row_count && r->cells[i].rows[0].prefers)
            return true;
    return false;
}

/* Of the cells with the objective of `like`, or of all. */
static void draw_curves(struct sketch *s, const char *id, const char *title, const char *caption, struct svg_axis axis,
                        const struct report_cell *like, double (*value)(const struct metrics_row *))
{
    if (s->report->figure_count == REPORT_FIGURES_MAX)
        return;
    sketch_figure(s, id, title, caption, report_steps, axis);
    unsigned style = 0;
    for (size_t i = 0; i < s->report->count; i++) {
        const struct report_cell *c = &s->report->cells[i];
        struct report_group seeds;
        if ((!like || report_same(c, like, "objective")) && begins_seeds(s, &seeds, c))
            sketch_rows(s, name_cell(s, c, like ? "objective" : NULL), style++, &seeds, value);
    }
    sketch_end_figure(s);
}

/* What the cells have at their end: its name in ids and in titles, its unit, what is better. */
struct end {
    const char *id, *name, *unit, *better;
    double (*value)(const struct report_cell *);
};

/* Numbers have an axis; over wide ranges, all above zero, a logarithmic one. */
static void draw_option(struct sketch *s, const char *option, const struct end *end)
{
    double low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < s->report->count; i++) {
        double x = report_number(&s->report->cells[i], option);
        low = fmin(low, x);
        high = fmax(high, x);
    }
    if (!isfinite(low) || !(high > low) || s->report->figure_count == REPORT_FIGURES_MAX)
        return;
    struct svg_axis axis = {.title = option, .exact = true};
    if (low > 0 && high >= 4 * low)
        axis.scale = SVG_LOG;
    sketch_figure(s, report_textf(s->report, s->e, "%s-%s", end->id, option),
                  report_textf(s->report, s->e, "Final %s against %s", end->name, option),
                  report_textf(s->report, s->e, "%s is better. Mean over seeds, bars from the lowest to the highest.",
                               end->better),
                  axis,
                  (struct svg_axis){.title = report_textf(s->report, s->e, "final %s%s", end->name, end->unit)});
    unsigned style = 0;
    for (size_t i = 0; i < s->report->count; i++) {
        const struct report_cell *c = &s->report->cells[i];
        if (sketch_begins_line(s, c, option) && sketch_count_values(s, c, option) > 1)
            sketch_against(s, name_cell(s, c, option), style++, c, option, end->value);
    }
    sketch_end_figure(s);
}

enum err_code report_draw_sweep(struct report *r, struct err *e)
{
    e->code = ERR_OK;
    struct sketch s = {.report = r, .e = e};
    const char *unit = prefers(r) ? "" : ", nats per token";
    const struct svg_axis loss = {.title = prefers(r) ? "loss" : "loss, nats per token"};
    const struct end ends[] = {{"final", "eval loss", unit, "Lower", report_final_loss},
                               {"accuracy", "eval reward accuracy", "", "Higher", report_final_accuracy}};
    const char *const lines = "One line for each setting: mean over seeds, band from the lowest to the highest seed.";
    const bool mixed = report_mixes_objectives(r);
    sketch_by_objective(&s, draw_curves, "loss", "Training loss", lines, loss, report_row_loss);
    sketch_by_objective(&s, draw_curves, "eval-loss", "Evaluation loss", lines, loss, report_row_eval_loss);
    draw_curves(&s, "eval-reward-accuracy", "Reward accuracy of the evaluation data", lines,
                (struct svg_axis){.title = "share of pairs", .zero = true}, NULL, report_row_eval_accuracy);
    sketch_by_objective(&s, draw_curves, "eval-reward-margin", "Reward margin of the evaluation data", lines,
                        (struct svg_axis){.title = "reward"}, report_row_eval_margin);
    for (size_t i = 0; i < r->difference_count; i++)
        for (size_t k = mixed; k < sizeof ends / sizeof *ends; k++) /* a loss is no end that objectives share */
            if (!is_seed(r->differences[i]))
                draw_option(&s, r->differences[i]->name, &ends[k]);
    return e->code;
}
