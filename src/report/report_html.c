#include "report/svg_scale.h"
#include "report_data.h"
#include "run/rundir.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "report/markup.h"
#include "run/parameters.h"

#define CELLS_NAMED 6 /* named with a claim; report.json names all of them */

static void put_fact(struct markup *m, const char *name, const char *value)
{
    markup_put(m, "<div><dt>%s</dt><dd>", name);
    markup_text(m, *value ? value : "–");
    markup_put(m, "</dd></div>\n");
}

static void put_count(struct markup *m, const char *name, double value)
{
    char text[SVG_NUMBER_SIZE];
    put_fact(m, name, svg_number(text, value));
}

void report_last_part(char *part, size_t size, const char *path)
{
    size_t length;
    const char *last = file_last_part(&length, path);
    snprintf(part, size, "%.*s", (int)length, last);
}

static void put_place(struct markup *m, const char *name, const char *path)
{
    char part[PATH_MAX];
    report_last_part(part, sizeof part, path);
    put_fact(m, name, part);
}

static size_t count_status(const struct report *r, enum report_status status)
{
    size_t count = 0;
    for (size_t i = 0; i < r->count; i++)
        count += r->cells[i].status == status;
    return count;
}

static double longest_run(const struct report *r)
{
    double steps = 0;
    for (size_t i = 0; i < r->count; i++)
        if (r->cells[i].row_count)
            steps = fmax(steps, (double)r->cells[i].rows[r->cells[i].row_count - 1].step);
    return steps;
}

static double seconds_of_all(const struct report *r)
{
    double sum = 0;
    for (size_t i = 0; i < r->count; i++)
        for (size_t k = 0; k < r->cells[i].row_count; k++)
            sum += isfinite(r->cells[i].rows[k].seconds) ? r->cells[i].rows[k].seconds : 0;
    return sum;
}

static size_t most_modules(const struct report *r)
{
    size_t modules = 0;
    for (size_t i = 0; i < r->count; i++)
        modules = r->cells[i].trace.modules > modules ? r->cells[i].trace.modules : modules;
    return modules;
}

/* "dpo, beta 0.1, label smoothing 0.2": of the parameters those that act, and are not 0. */
static void put_objective(struct markup *m, const struct report_cell *c)
{
    const char *objective = report_option(c, "objective");
    markup_put(m, "<div><dt>Objective</dt><dd>");
    markup_text(m, objective);
    for (size_t i = 0; i < PARAMETERS; i++) {
        const struct parameter *p = &parameters[i];
        if (!parameter_acts_with(p, objective) || !(report_number(c, p->option) > 0))
            continue;
        markup_put(m, ", %s ", p->label);
        markup_text(m, report_option(c, p->option));
    }
    markup_put(m, "</dd></div>\n");
}

/* That of --lora-rank, or of the adapter that the run began with. */
static void put_rank(struct markup *m, const struct report_cell *c)
{
    char text[64] = "";
    if (c->least_rank < c->most_rank)
        snprintf(text, sizeof text, "%zu to %zu", c->least_rank, c->most_rank);
    else if (c->most_rank)
        snprintf(text, sizeof text, "%zu", c->most_rank);
    else if (!*report_option(c, "adapter"))
        snprintf(text, sizeof text, "%.32s", report_option(c, "lora-rank"));
    put_fact(m, "Rank", text);
}

/* Is the objective, or a parameter of it, what a study varies? */
static bool varies_objective(const struct report *r)
{
    for (size_t i = 0; i < r->difference_count; i++)
        for (size_t k = 0; report_measure(k); k++)
            if (!strcmp(r->differences[i]->name, report_measure(k)))
                return true;
    return false;
}

static void put_facts(struct markup *m, const struct report *r)
{
    const struct report_cell *any = NULL;
    char time[32];
    for (size_t i = 0; i < r->count && !any; i++)
        any = r->cells[i].config.count ? &r->cells[i] : NULL;
    markup_put(m, "<dl class=\"facts\">\n");
    if (any) {
        put_place(m, "Base model", report_option(any, "model"));
        put_place(m, "Data", report_option(any, "data"));
        if (!report_has(any, "objective", "sft") && !varies_objective(r))
            put_objective(m, any);
        else if (!report_has(any, "objective", "sft") && !report_mixes_objectives(r))
            put_fact(m, "Objective", report_option(any, "objective"));
    }
    put_count(m, "Steps", longest_run(r));
    if (r->is_study) {
        markup_put(m, "<div><dt>Cells finished</dt><dd>%zu of %zu</dd></div>\n", count_status(r, REPORT_DONE),
                   r->count);
    } else if (any) {
        const char *adapter = report_option(any, "adapter");
        if (*adapter)
            put_place(m, "Begun with", adapter);
        else if (strcmp(report_option(any, "lora-init"), "normal") != 0)
            put_fact(m, "Initialisation", report_option(any, "lora-init"));
        put_rank(m, any);
        put_fact(m, "Learning rate", report_option(any, "learning-rate"));
    }
    if (most_modules(r))
        put_count(m, "Adapted modules", (double)most_modules(r));
    str_format_time(time, sizeof time, seconds_of_all(r));
    put_fact(m, "Time of training", time);
    markup_put(m, "</dl>\n");
}

/* Of a run: a gap in the curve is easily overlooked. */
static void put_trouble(struct markup *m, const struct report_cell *c)
{
    size_t count = 0, first = 0;
    for (size_t i = c->row_count; i-- > 0;)
        if (!isfinite(c->rows[i].loss)) {
            count++;
            first = i;
        }
    if (count)
        markup_put(m,
                   "<p class=\"failed-text\">The loss was not finite in %zu of %zu steps, first in step %zu: see "
                   "--learning-rate, --warmup-steps, --max-grad-norm and --skip-nonfinite.</p>\n",
                   count, c->row_count, (size_t)c->rows[first].step);
}

static void put_intro(struct markup *m)
{
    markup_put(
        m, "<div class=\"intro\">\n<p>LoRA fine-tunes a large model without changing its weights. To a weight matrix "
           "W it adds the product of two small matrices, A and B, and trains only these:</p>\n"
           "<p class=\"formula\">y <span>=</span> W x <span>+</span> s B A x</p>\n"
           "<p>A projects the input x down to r numbers, B projects them up again, and s is a constant scale. The "
           "rank r is small, so that there are few numbers to train. A and B need initial values. The usual choice "
           "looks strange: <b>A is random, and B is zero.</b></p>\n"
           "<p>This page asks why. It compares training of the same model on the same data from these and from "
           "other initial values. Each claim below has tests that were fixed beforehand; if the measurements "
           "contradict a test, the claim is marked as not held. All numbers come from the runs in this folder; "
           "a <i>cell</i> is one of these runs.</p>\n</div>\n");
}

static void put_sources(struct markup *m, const struct report_claim *c)
{
    if (!c->cell_count)
        return;
    markup_put(m, "<div class=\"source\">From %zu cell%s: ", c->cell_count, c->cell_count == 1 ? "" : "s");
    for (size_t i = 0; i < c->cell_count && i < CELLS_NAMED; i++) {
        markup_put(m, "%s", i ? ", " : "");
        markup_text(m, c->cells[i]->name);
    }
    if (c->cell_count > CELLS_NAMED)
        markup_put(m, " and %zu more", c->cell_count - CELLS_NAMED);
    markup_put(m, "</div>\n");
}

static void put_claim(struct markup *m, const struct report_claim *c, size_t number)
{
    static const char *const classes[] = {[REPORT_NOT_MEASURED] = "unknown",
                                          [REPORT_HELD] = "held",
                                          [REPORT_NOT_HELD] = "not-held",
                                          [REPORT_PARTLY_MEASURED] = "unknown"};
    markup_put(m, "<tr data-claim=\"%zu\"><td class=\"which\"><b>%zu</b>", number, number);
    markup_text(m, c->statement);
    markup_put(m, "</td><td><ul class=\"checks\">\n");
    for (size_t i = 0; i < c->check_count; i++) {
        enum report_verdict v = c->checks[i].verdict;
        markup_put(m, "<li%s><i>%s</i><span>",
                   v == REPORT_HELD       ? " class=\"yes\""
                   : v == REPORT_NOT_HELD ? " class=\"no\""
                                          : "",
                   v == REPORT_HELD       ? "✓"
                   : v == REPORT_NOT_HELD ? "✗"
                                          : "–");
        markup_text(m, c->checks[i].criterion);
        markup_put(m, "<em>");
        markup_text(m, c->checks[i].measured);
        markup_put(m, "</em></span></li>\n");
    }
    markup_put(m, "</ul>");
    put_sources(m, c);
    markup_put(m, "</td><td class=\"verdict\"><span class=\"badge %s\">%s</span></td></tr>\n",
               classes[c->verdict], report_verdict_name(c->verdict));
}

static void put_claims(struct markup *m, const struct report *r)
{
    markup_put(
        m, "<h2>Six claims and their tests</h2>\n<p>A claim holds if all of its tests hold. ✓ holds, ✗ does not hold, "
           "– was not measured.</p>\n<table class=\"claims\">\n<thead><tr><th>Claim</th><th>Test, and what was "
           "measured</th><th class=\"number\">Verdict</th></tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < REPORT_CLAIMS; i++)
        put_claim(m, &r->claims[i], i + 1);
    markup_put(m, "</tbody>\n</table>\n");
}

/* Each scheme at its best learning rate, in the order of the table of schemes. */
static void put_schemes(struct markup *m, struct report *r)
{
    markup_put(
        m, "<h2>The initialisation schemes, each at its best learning rate</h2>\n<p>Differences that are smaller than "
           "the spread over seeds are not significant.</p>\n<div class=\"wide\"><table>\n<thead><tr><th>Scheme</th>"
           "<th>Initial A</th><th>Initial B</th><th class=\"number\">Learning rate</th><th class=\"number\">Seeds</th>"
           "<th class=\"number\">Loss before<br>the first step</th><th class=\"number\">Final eval loss</th>"
           "<th class=\"number\">Lowest to highest seed</th></tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < report_scheme_count && !m->e->code; i++) {
        struct report_group best;
        if (report_best(&best, r, report_schemes[i].name, m->e) || !best.count)
            continue;
        struct report_spread final = report_spread(&best, report_final_loss);
        struct report_spread first = report_spread(&best, report_first_loss);
        markup_put(m, "<tr><td><b>%s</b></td><td>%s</td><td>%s</td><td class=\"number\">",
                   report_schemes[i].name, report_schemes[i].a, report_schemes[i].b);
        markup_text(m, report_option(best.cells[0], "learning-rate"));
        markup_put(m, "</td><td class=\"number\">%zu</td>", best.count);
        if (first.count)
            markup_put(m, "<td class=\"number\">%.4f</td>", first.mean);
        else
            markup_put(m, "<td class=\"number\">–</td>");
        if (final.count)
            markup_put(m,
                       "<td class=\"number\"><b>%.4f</b></td><td class=\"number\">%.4f to %.4f</td></tr>\n",
                       final.mean, final.low, final.high);
        else
            markup_put(m, "<td class=\"number\">–</td><td class=\"number\">–</td></tr>\n");
    }
    markup_put(m, "</tbody>\n</table></div>\n");
}

static void put_figures(struct markup *m, const struct report *r)
{
    markup_put(m, "<h2>%s</h2>\n<div class=\"controls\" id=\"controls\" hidden></div>\n",
               r->is_study ? "The measurements" : "Curves");
    if (!r->figure_count)
        markup_put(m, "<p>%s</p>\n",
                   longest_run(r) > 0 ? "No number can be drawn." : "Nothing has been measured yet.");
    markup_put(m, "<div class=\"figures\">\n");
    for (size_t i = 0; i < r->figure_count && !m->e->code; i++) {
        markup_put(m, "<figure>\n<figcaption><b>");
        markup_text(m, r->figures[i].plot.title);
        markup_put(m, "</b>");
        markup_text(m, r->figures[i].caption);
        markup_put(m, "</figcaption>\n<div class=\"drawing\">\n");
        if (!m->e->code)
            svg_append_plot(m->out, &r->figures[i].plot, m->e);
        markup_put(m, "</div>\n</figure>\n");
    }
    markup_put(m, "</div>\n");
}

static void put_missing(struct markup *m, const struct report *r)
{
    size_t failed = count_status(r, REPORT_FAILED), waiting = count_status(r, REPORT_NOT_DONE);
    if (!failed && !waiting && r->count)
        return;
    markup_put(m,
               "<h2>Missing cells</h2>\n<p>%zu cell%s failed, %zu %s not finished; they are not part of the results "
               "above.</p>\n",
               failed, failed == 1 ? "" : "s", waiting, waiting == 1 ? "is" : "are");
    markup_put(
        m,
        "<div "
        "class=\"wide\"><table>\n<thead><tr><th>Cell</th><th>State</th><th>Why</th></tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < r->count; i++) {
        const struct report_cell *c = &r->cells[i];
        if (c->status == REPORT_DONE)
            continue;
        markup_put(m, "<tr><td>");
        markup_text(m, c->name);
        markup_put(m, "</td><td>%s</td><td class=\"failed-text\">", report_status_name(c->status));
        markup_text(m, c->failure ? c->failure : "");
        markup_put(m, "</td></tr>\n");
    }
    markup_put(m, "</tbody>\n</table></div>\n");
}

/* The columns: those that a study of initialisations always shows, and the options in which its cells differ; for any
 * other study, only the latter. */
static const char *column(const struct report *r, size_t index)
{
    static const char *const always[] = {"lora-init", "learning-rate", "lora-rank", "seed"};
    const size_t count = report_is_sweep(r) ? 0 : sizeof always / sizeof *always;
    return report_shown_option(r, always, count, index);
}

static const struct {
    const char *title;
    double (*value)(const struct report_cell *);
} cell_results[] = {{"First loss", report_first_loss},
                    {"Final eval loss", report_final_loss},
                    {"Final eval reward accuracy", report_final_accuracy},
                    {"Final eval reward margin", report_final_margin}};
#define CELL_RESULTS (sizeof cell_results / sizeof *cell_results)

static bool any_has(const struct report *r, double (*value)(const struct report_cell *))
{
    for (size_t i = 0; i < r->count; i++)
        if (isfinite(value(&r->cells[i])))
            return true;
    return false;
}

static void put_cells(struct markup *m, const struct report *r)
{
    const char *name;
    bool shown[CELL_RESULTS];
    for (size_t k = 0; k < CELL_RESULTS; k++)
        shown[k] = any_has(r, cell_results[k].value);
    markup_put(m,
               "<h2>All finished cells</h2>\n<p>%s has these and more columns, with a row for each cell.</p>\n"
               "<div class=\"wide\"><table class=\"dense\">\n<thead><tr><th>Cell</th>",
               rundir_name(RUNDIR_REPORT_CSV));
    for (size_t i = 0; (name = column(r, i)); i++)
        markup_put(m, "<th class=\"number\">%s</th>", name);
    for (size_t k = 0; k < CELL_RESULTS; k++)
        if (shown[k])
            markup_put(m, "<th class=\"number\">%s</th>", cell_results[k].title);
    markup_put(m, "</tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < r->count; i++) {
        const struct report_cell *c = &r->cells[i];
        if (c->status != REPORT_DONE)
            continue;
        markup_put(m, "<tr><td>");
        markup_text(m, c->name);
        markup_put(m, "</td>");
        for (size_t k = 0; (name = column(r, k)); k++) {
            markup_put(m, "<td class=\"number\">");
            markup_text(m, report_option(c, name));
            markup_put(m, "</td>");
        }
        for (size_t k = 0; k < CELL_RESULTS; k++) {
            const double x = cell_results[k].value(c);
            if (shown[k] && isfinite(x))
                markup_put(m, "<td class=\"number\">%.4f</td>", x);
            else if (shown[k])
                markup_put(m, "<td class=\"number\">–</td>");
        }
        markup_put(m, "</tr>\n");
    }
    markup_put(m, "</tbody>\n</table></div>\n");
}

enum err_code report_make_html(struct str *out, struct report *r, struct err *e)
{
    e->code = ERR_OK;
    struct markup m = {.out = out, .e = e};
    const bool sweep = report_is_sweep(r), starts = r->is_study && !sweep;
    const char *title = sweep    ? report_sweep_title(r, e)
                        : starts ? "Why is A random and B zero?"
                        : r->is_several ? report_textf(r, e, "%zu training runs", r->count)
                                 : "Training run";
    if (!title)
        return e->code;
    report_put_head(&m, r, title);
    markup_put(&m, "<header>\n<h1>%s</h1>\n<p class=\"place\">", title);
    if (!r->is_several) {
        markup_put(&m, "%s ", starts ? "A study of the initial values of LoRA’s matrices, in" : "Measurements of");
        markup_text(&m, r->folder);
    }
    markup_put(&m, "</p>\n</header>\n");
    if (starts)
        put_intro(&m);
    if (r->is_several)
        report_put_several(&m, r);
    else
        put_facts(&m, r);
    if (!r->is_several && !r->is_study)
        put_trouble(&m, &r->cells[0]);
    if (starts) {
        put_claims(&m, r);
        put_schemes(&m, r);
    }
    put_figures(&m, r);
    if (!r->is_study && !r->is_several) {
        report_put_time(&m, &r->cells[0]);
        report_put_samples(&m, &r->cells[0]);
    }
    if (r->is_study) {
        put_missing(&m, r);
        put_cells(&m, r);
    }
    if (!r->is_several)
        report_put_machine(&m, r);
    markup_put(&m, "<footer>Made by mpilora %s.", MPILORA_VERSION);
    if (!r->is_alone)
        markup_put(&m, " The numbers of all figures are in %s.", rundir_name(RUNDIR_REPORT_JSON));
    markup_put(&m, "</footer>\n");
    report_put_script(&m, r);
    markup_put(&m, "</body>\n</html>\n");
    return e->code;
}
