/* What the page of a report is made of besides its content: style sheet, script, the numbers of its curves. */
#include "report_data.h"

#include <string.h>

#include "report/svg.h"

static const unsigned char style[] = {
#include "report/report.css.inc"
};
static const unsigned char script[] = {
#include "report/report.js.inc"
};

static void put_raw(struct markup *m, const void *bytes, size_t length)
{
    if (!m->e->code)
        str_append(m->out, bytes, length, m->e);
}

void report_put_head(struct markup *m, const struct report *r, const char *title)
{
    markup_put(m, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                  "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    markup_put(m, "<title>mpilora: ");
    markup_text(m, title);
    markup_put(m, "</title>\n");
    if (r->reload)
        markup_put(m, "<noscript><meta http-equiv=\"refresh\" content=\"%u\"></noscript>\n", r->reload);
    markup_put(m, "<style>\n:root{" SVG_DAY "}\n@media screen and (prefers-color-scheme:dark){:root{" SVG_NIGHT
                  "}}\n");
    put_raw(m, style, sizeof style);
    put_raw(m, svg_style(), strlen(svg_style()));
    markup_put(m, "</style>\n</head>\n<body");
    if (r->reload)
        markup_put(m, " data-reload=\"%u\"", r->reload);
    markup_put(m, ">\n");
}

/* JSON inside an element: no text in it can end that. */
static void put_json(struct markup *m, const struct str *json)
{
    for (size_t i = 0; i < json->length && !m->e->code; i++) {
        const size_t length = strcspn(json->data + i, "<");
        put_raw(m, json->data + i, length);
        i += length;
        if (i < json->length)
            put_raw(m, "\\u003c", 6);
    }
}

void report_put_script(struct markup *m, const struct report *r)
{
    struct str json = {0};
    bool first = true;
    for (size_t i = 0; i < r->figure_count && !m->e->code; i++)
        if (r->figures[i].of_steps) {
            report_append_figure(&json, &r->figures[i].plot, first, m->e);
            first = false;
        }
    markup_put(m, "<script type=\"application/json\" id=\"curves\">[\n");
    if (!first)
        put_json(m, &json);
    markup_put(m, "\n]</script>\n<script>\n");
    put_raw(m, script, sizeof script);
    markup_put(m, "</script>\n");
    str_release(&json);
}

static double mean(const struct report_cell *c, double (*value)(const struct metrics_row *, size_t), size_t index)
{
    double sum = 0;
    size_t count = 0;
    for (size_t i = 0; i < c->row_count; i++) {
        const double x = value(&c->rows[i], index);
        sum += isfinite(x) ? x : 0;
        count += isfinite(x) ? 1 : 0;
    }
    return count ? sum / (double)count : NAN;
}

static double phase_of(const struct metrics_row *row, size_t index)
{
    return row->phases[index];
}

static double seconds_of(const struct metrics_row *row, size_t index)
{
    (void)index;
    return row->seconds;
}

static double waiting_of(const struct metrics_row *row, size_t index)
{
    return index == 0 ? row->wait_seconds : index == 1 ? row->data_seconds : row->comm_seconds;
}

static void put_share(struct markup *m, const char *name, double seconds, double whole)
{
    if (!isfinite(seconds))
        return;
    const double share = whole > 0 ? 100 * seconds / whole : 0;
    markup_put(m,
               "<tr><td>%s</td><td class=\"number\">%.4f s</td><td class=\"number\">%.1f %%</td>"
               "<td class=\"share\"><i style=\"width:%.1f%%\"></i></td></tr>\n",
               name, seconds, share, fmin(share, 100));
}

void report_put_time(struct markup *m, const struct report_cell *c)
{
    static const char *const waits[] = {"a rank waits for the slowest one", "a rank waits for data",
                                        "communication that nothing hides"};
    const double whole = mean(c, seconds_of, 0);
    if (!(whole > 0) || !isfinite(mean(c, phase_of, 0)))
        return;
    markup_put(m,
               "<h2>Where the time of a step goes</h2>\n<p>Means over all steps, which took %.3f s. The phases are "
               "those of the first rank.",
               whole);
    if (c->slowest_host) {
        markup_put(m, " The slowest rank was most often rank %zu on ", c->slowest_rank);
        markup_text(m, c->slowest_host);
        markup_put(m, ", in %.0f %% of the steps.", 100 * c->slowest_share);
    }
    markup_put(m, "</p>\n<div class=\"wide\"><table class=\"shares\">\n<thead><tr><th>Phase</th>"
                  "<th class=\"number\">Time</th><th class=\"number\">Share</th><th></th></tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < PROF_COUNT; i++)
        put_share(m, prof_name((enum prof_phase)i), mean(c, phase_of, i), whole);
    markup_put(m, "<tr><th colspan=\"4\">Waiting, which these phases contain</th></tr>\n");
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++)
        put_share(m, waits[i], mean(c, waiting_of, i), whole);
    markup_put(m, "</tbody>\n</table></div>\n");
}
