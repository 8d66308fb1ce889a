#include <inttypes.h>

#include "cli/compare.h"
#include "report/page.h"

static void put_given(struct markup *m, const char *label, const char *text)
{
    markup_put(m, "<h3>%s</h3>\n<pre class=\"soft\">\n", label);
    markup_text(m, text);
    markup_put(m, "</pre>\n");
}

static void put_row(struct markup *m, const struct comparison *c, const struct compare_row *row)
{
    markup_put(m, "<h2>Example %zu</h2>\n<div class=\"beside\">\n<div>", row->example);
    put_given(m, "prompt", row->prompt);
    markup_put(m, "</div>\n");
    if (row->expected) {
        markup_put(m, "<div>");
        put_given(m, "expected", row->expected);
        markup_put(m, "</div>\n");
    }
    markup_put(m, "</div>\n<div class=\"beside\">\n");
    for (size_t i = 0; i < c->model_count; i++) {
        const struct compare_answer *answer = &row->answers[i];
        markup_put(m, "<div><h3>");
        markup_text(m, c->models[i].name);
        markup_put(m, answer->exact ? "<mark>exact</mark></h3>\n<pre class=\"exact\">\n" : "</h3>\n<pre>\n");
        markup_text(m, answer->text);
        markup_put(m, "</pre></div>\n");
    }
    markup_put(m, "</div>\n");
}

static void put_summary(struct markup *m, const struct comparison *c)
{
    markup_put(m, "<table>\n<thead><tr><th>Model</th>%s</tr></thead>\n<tbody>\n",
               c->expected ? "<th>Exact answers</th>" : "");
    for (size_t i = 0; i < c->model_count; i++) {
        const struct compare_model *model = &c->models[i];
        markup_put(m, "<tr><td>");
        markup_text(m, model->adapter ? model->adapter : model->name);
        markup_put(m, "</td>");
        if (c->expected)
            markup_put(m, "<td>%" PRIu64 " of %" PRIu64 " (%.1f %%)</td>", model->exact, c->expected,
                       100 * (double)model->exact / (double)c->expected);
        markup_put(m, "</tr>\n");
    }
    markup_put(m, "</tbody>\n</table>\n");
}

enum err_code compare_write_page(const struct comparison *c, const struct options *o, const char *path, struct err *e)
{
    struct str page = {0};
    struct markup m = {&page, e};
    e->code = ERR_OK;
    page_begin(&m, "comparison", 1180);
    markup_put(&m, "<h1>");
    markup_text(&m, o->model);
    markup_put(&m, "</h1>\n<p>%zu prompt%s%s", c->row_count, c->row_count == 1 ? "" : "s", o->data.count ? " of " : "");
    if (o->data.count)
        markup_text(&m, o->data.items[0]);
    markup_put(&m, "%s, answered by the base model and with each adapter, in up to %" PRId64 " tokens",
               o->data.count > 1 ? " and others" : "", o->max_new_tokens);
    if (o->temperature > 0)
        markup_put(&m, ", drawn at temperature %g, top-p %g, seed %" PRId64, o->temperature, o->top_p, o->seed);
    markup_put(&m, "%s.</p>\n", o->temperature > 0 ? "" : ", always the most likely one");
    put_summary(&m, c);
    for (size_t i = 0; i < c->row_count; i++)
        put_row(&m, c, &c->rows[i]);
    page_end(&m);
    return page_write(&m, path);
}
