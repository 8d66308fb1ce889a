/* Several runs in one page: their curves on top of each other, and a table of what they end with and differ in. */
#include "report_sketch.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "report/svg_scale.h"
#include "run/folder.h"
#include "run/rundir.h"

/* The names of paths are their last parts, where these differ. */
static const char *name_run(struct report *r, const char *const *folders, size_t count, size_t index, struct err *e)
{
    char name[PATH_MAX], other[PATH_MAX];
    report_last_part(name, sizeof name, folders[index]);
    for (size_t i = 0; i < count; i++) {
        report_last_part(other, sizeof other, folders[i]);
        if (i != index && strcmp(name, other) == 0)
            return folders[index];
    }
    return arena_strndup(&r->arena, name, strlen(name), e);
}

enum err_code report_read_several(struct report *r, const char *const *folders, size_t count, struct err *e)
{
    *r = (struct report){.folder = folders[0], .is_several = true};
    if (count > SKETCH_SERIES_MAX)
        return err_set(e, ERR_USAGE, "a page has at most %d runs, and these are %zu", SKETCH_SERIES_MAX, count);
    r->cells = arena_alloc(&r->arena, count, sizeof *r->cells, "runs", e);
    if (!r->cells)
        return e->code;
    for (; r->count < count; r->count++) {
        struct report_cell *c = &r->cells[r->count];
        c->name = name_run(r, folders, count, r->count, e);
        if (!c->name)
            return e->code;
        if (!rundir_has(folders[r->count], RUNDIR_CONFIG))
            return folder_refuse(folders[r->count], "the folder of a run", e);
        if (report_read_cell(r, c, folders[r->count], e))
            return e->code;
    }
    return report_compare_cells(r, e);
}

/* A figure with a line for each run, or for each with the objective of `like`. */
static void draw_runs(struct sketch *s, const char *id, const char *title, const char *caption, struct svg_axis y,
                      const struct report_cell *like, double (*value)(const struct metrics_row *))
{
    sketch_figure(s, id, title, caption, report_steps, y);
    for (size_t i = 0; i < s->report->count; i++) {
        const struct report_cell *cell = &s->report->cells[i];
        if (like && !report_same(cell, like, "objective"))
            continue;
        sketch_rows(s, cell->name, (unsigned)i % SVG_STYLES, &(struct report_group){.cells = &cell, .count = 1}, value);
    }
    sketch_end_figure(s);
}

enum err_code report_draw_several(struct report *r, struct err *e)
{
    e->code = ERR_OK;
    struct sketch s = {.report = r, .e = e};
    sketch_by_objective(&s, draw_runs, "loss", "Training loss", "Of each batch.", (struct svg_axis){.title = "loss"},
                        report_row_loss);
    sketch_by_objective(&s, draw_runs, "eval-loss", "Evaluation loss",
                        "Of the evaluation data, which may not be the same in all runs.",
                        (struct svg_axis){.title = "eval loss"}, report_row_eval_loss);
    draw_runs(&s, "reward-accuracy", "Reward accuracy",
              "Share of pairs whose chosen answer has the higher reward, in training.",
              (struct svg_axis){.title = "share of pairs", .zero = true}, NULL, report_row_accuracy);
    sketch_by_objective(&s, draw_runs, "margin", "Reward margin",
                        "By how much the reward of the chosen answer exceeds that of the rejected one, in training.",
                        (struct svg_axis){.title = "reward"}, report_row_margin);
    draw_runs(&s, "learning-rate", "Learning rate", "From the schedule.",
              (struct svg_axis){.title = "learning rate", .zero = true}, NULL, report_row_learning_rate);
    draw_runs(&s, "gradient-norm", "Gradient norm", "Of the whole adapter, before clipping.",
              (struct svg_axis){.title = "2-norm of the gradient", .scale = SVG_LOG}, NULL, report_row_grad_norm);
    draw_runs(&s, "speed", "Speed", "Tokens of the step over its time, all ranks together.",
              (struct svg_axis){.title = "tokens per second", .zero = true}, NULL, report_row_speed);
    return e->code;
}

static double steps_of(const struct report_cell *c)
{
    return c->row_count ? (double)c->rows[c->row_count - 1].step : NAN;
}

/* The evaluation with the lowest loss; NULL: there is none. */
static const struct metrics_row *best_row(const struct report_cell *c)
{
    const struct metrics_row *best = NULL;
    for (size_t i = 0; i < c->row_count; i++)
        if (c->rows[i].evaluated && isfinite(c->rows[i].eval_loss) && (!best || c->rows[i].eval_loss < best->eval_loss))
            best = &c->rows[i];
    return best;
}

static double best_of(const struct report_cell *c)
{
    return best_row(c) ? best_row(c)->eval_loss : NAN;
}

static double best_step_of(const struct report_cell *c)
{
    return best_row(c) ? (double)best_row(c)->step : NAN;
}

static double tokens_of(const struct report_cell *c)
{
    double sum = 0;
    for (size_t i = 0; i < c->row_count; i++)
        sum += (double)c->rows[i].tokens;
    return c->row_count ? sum : NAN;
}

static double speed_of(const struct report_cell *c)
{
    return report_seconds(c) > 0 ? tokens_of(c) / report_seconds(c) : NAN;
}

static const struct {
    const char *name, *format; /* NULL: a time */
    double (*value)(const struct report_cell *);
    int better; /* 1: higher, -1: lower is better, if `value` is no loss or all runs have the same */
    bool is_loss;
} results[] = {{"Steps", "%.0f", steps_of, 0, false},
               {"Last training loss", "%.4f", report_last_loss, 0, false},
               {"Final eval loss", "%.4f", report_final_loss, -1, true},
               {"Final eval reward accuracy", "%.3f", report_final_accuracy, 1, false},
               {"Final eval reward margin", "%.4f", report_final_margin, 0, false},
               {"Best eval loss", "%.4f", best_of, -1, true},
               {"at step", "%.0f", best_step_of, 0, false},
               {"Tokens", "%.0f", tokens_of, 0, false},
               {"Tokens per second", "%.0f", speed_of, 1, false},
               {"Time of training", NULL, report_seconds, 0, false}};

/* Objectives, and their parameters, make other losses of the same answers. */
static bool have_one_loss(const struct report *r)
{
    for (size_t i = 1; i < r->count; i++)
        for (size_t k = 0; report_measure(k); k++)
            if (!report_same(&r->cells[0], &r->cells[i], report_measure(k)))
                return false;
    return true;
}

static bool is_best(const struct report *r, size_t cell, size_t result)
{
    const double x = results[result].value(&r->cells[cell]);
    if (!results[result].better || !isfinite(x) || (results[result].is_loss && !have_one_loss(r)))
        return false;
    for (size_t i = 0; i < r->count; i++)
        if ((results[result].value(&r->cells[i]) - x) * results[result].better > 0)
            return false;
    return true;
}

static void put_results(struct markup *m, const struct report *r)
{
    for (size_t k = 0; k < sizeof results / sizeof *results; k++) {
        bool any = false;
        for (size_t i = 0; i < r->count; i++)
            any = any || isfinite(results[k].value(&r->cells[i]));
        if (!any)
            continue;
        markup_put(m, "<tr><td>%s</td>", results[k].name);
        for (size_t i = 0; i < r->count; i++) {
            const double x = results[k].value(&r->cells[i]);
            char text[64] = "–";
            if (isfinite(x) && results[k].format)
                snprintf(text, sizeof text, results[k].format, x);
            else if (isfinite(x))
                str_format_time(text, sizeof text, x);
            markup_put(m, "<td class=\"number%s\">%.60s</td>", is_best(r, i, k) ? " best" : "", text);
        }
        markup_put(m, "</tr>\n");
    }
}

/* Does it say where a run is, not how it trains? */
static bool is_place(const struct opt_spec *spec)
{
    static const char *const names[] = {"output", "config", "resume", "overwrite"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(spec->name, names[i]) == 0)
            return true;
    return spec->unrecorded;
}

/* All options in which the runs differ, those too that change no result, and what they were computed on. */
static void put_differences(struct markup *m, struct report *r)
{
    const char *texts[SKETCH_SERIES_MAX];
    size_t rows = 0;
    for (size_t i = 0; i < options_table.spec_count && !m->e->code; i++) {
        const struct opt_spec *spec = &options_table.specs[i];
        if (!spec->name || is_place(spec))
            continue;
        bool differ = false;
        for (size_t k = 0; k < r->count; k++) {
            texts[k] = report_option_text(r, &r->cells[k], spec->name, m->e);
            if (!texts[k])
                return;
            differ = differ || (strcmp(texts[k], texts[0]) != 0 &&
                                report_number(&r->cells[k], spec->name) != report_number(&r->cells[0], spec->name));
        }
        if (!differ)
            continue;
        rows++;
        markup_put(m, "<tr data-option=\"%s\"><td>%s</td>", spec->name, spec->name);
        for (size_t k = 0; k < r->count; k++) {
            markup_put(m, "<td class=\"option\">");
            markup_text(m, *texts[k] ? texts[k] : "–");
            markup_put(m, "</td>");
        }
        markup_put(m, "</tr>\n");
    }
    rows += report_put_machine_rows(m, r);
    if (!rows)
        markup_put(m, "<tr><td colspan=\"%zu\">none</td></tr>\n", r->count + 1);
}

static void put_heads(struct markup *m, const struct report *r, const char *first, const char *class)
{
    markup_put(m, "<div class=\"wide\"><table class=\"beside\">\n<thead><tr><th>%s</th>", first);
    for (size_t i = 0; i < r->count; i++) {
        markup_put(m, "<th class=\"%s\">", class);
        markup_text(m, r->cells[i].name);
        markup_put(m, "</th>");
    }
    markup_put(m, "</tr></thead>\n<tbody>\n");
}

void report_put_several(struct markup *m, struct report *r)
{
    markup_put(m, "<h2>Results</h2>\n");
    put_heads(m, r, "Run", "number");
    markup_put(m, "<tr><td>State</td>");
    for (size_t i = 0; i < r->count; i++)
        markup_put(m, "<td class=\"number\">%s</td>", report_status_name(r->cells[i].status));
    markup_put(m, "</tr>\n");
    put_results(m, r);
    markup_put(m, "</tbody>\n</table></div>\n<h2>What differs</h2>\n");
    put_heads(m, r, "Option", "option");
    put_differences(m, r);
    markup_put(m, "</tbody>\n</table></div>\n");
}
