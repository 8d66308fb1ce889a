/* Sample answers: read from samples.jsonl, and shown by prompt, with the steps at which an answer changed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/json.h"
#include "report_data.h"
#include "run/rundir.h"

#define PROMPTS_SHOWN 50

static enum err_code take_text(const char **text, struct report *r, const struct json_fields *f, const char *key,
                               struct err *e)
{
    const char *found;
    if (json_need_text(&found, f, key, e))
        return e->code;
    *text = arena_strndup(&r->arena, found, strlen(found), e);
    return *text ? ERR_OK : e->code;
}

static enum err_code read_sample(struct report_sample *s, struct report *r, const struct json_value *object,
                                 struct err *e)
{
    const struct json_fields f = {.object = object};
    size_t step;
    if (json_need_size(&step, &f, "step", e) || json_need_size(&s->example, &f, "example", e) ||
        take_text(&s->prompt, r, &f, "prompt", e) || take_text(&s->expected, r, &f, "expected", e) ||
        take_text(&s->answer, r, &f, "answer", e))
        return e->code;
    s->step = step;
    return ERR_OK;
}

static bool same_prompt(const struct report_sample *a, const struct report_sample *b)
{
    return a->example == b->example && !strcmp(a->prompt, b->prompt);
}

/* Where the evaluation data has changed in between, an example's number stands for two prompts. */
static int by_prompt(const void *a, const void *b)
{
    const struct report_sample *x = a, *y = b;
    if (x->example != y->example)
        return x->example < y->example ? -1 : 1;
    if (!same_prompt(x, y))
        return strcmp(x->prompt, y->prompt);
    return (x->step > y->step) - (x->step < y->step);
}

/* A cell whose sample answers are read. */
struct reading {
    struct report *report;
    struct report_cell *cell;
};

static enum err_code begin_samples(void *context, size_t lines, struct err *e)
{
    struct reading *r = context;
    r->cell->samples = arena_alloc(&r->report->arena, lines, sizeof *r->cell->samples, "sample answers", e);
    return r->cell->samples ? ERR_OK : e->code;
}

static enum err_code take_sample(void *context, const struct json_value *object, struct err *e)
{
    struct reading *r = context;
    enum err_code code = read_sample(&r->cell->samples[r->cell->sample_count], r->report, object, e);
    r->cell->sample_count += !code;
    return code;
}

enum err_code report_read_samples(struct report *r, struct report_cell *c, const char *path, struct err *e)
{
    struct reading reading = {r, c};
    const struct report_lines to = {begin_samples, take_sample, &reading};
    enum err_code code = report_read_lines(path, &to, e);
    if (!code && c->sample_count)
        qsort(c->samples, c->sample_count, sizeof *c->samples, by_prompt);
    return code;
}

static void put_row(struct markup *m, const char *class, const char *what, const char *text)
{
    markup_put(m, "<tr class=\"%s\"><td class=\"number\">%s</td><td>", class, what);
    markup_text(m, text);
    markup_put(m, "</td></tr>\n");
}

/* The answers to one prompt: those that are not what the one before was. */
static void put_prompt(struct markup *m, const struct report_sample *s, size_t count)
{
    char steps[64];
    markup_put(m,
               "<h3>Example %zu</h3>\n<div class=\"wide\"><table>\n<thead><tr><th class=\"number\">Step</th>"
               "<th>Text</th></tr></thead>\n<tbody>\n",
               s->example);
    put_row(m, "given", "prompt", s->prompt);
    put_row(m, "given", "data", s->expected);
    for (size_t i = 0, next; i < count; i = next) {
        for (next = i + 1; next < count && !strcmp(s[next].answer, s[i].answer);)
            next++;
        if (next == i + 1)
            snprintf(steps, sizeof steps, "%llu", (unsigned long long)s[i].step);
        else
            snprintf(steps, sizeof steps, "%llu to %llu", (unsigned long long)s[i].step,
                     (unsigned long long)s[next - 1].step);
        put_row(m, strcmp(s[i].answer, s->expected) ? "answer" : "same", steps, s[i].answer);
    }
    markup_put(m, "</tbody>\n</table></div>\n");
}

void report_put_samples(struct markup *m, const struct report_cell *c)
{
    size_t first = 0;
    if (!c->sample_count)
        return;
    markup_put(m,
               "<h2>Sample answers</h2>\n<p>Prompts of the evaluation data, answered greedily at each evaluation. An "
               "answer that did not change stands once; one that is the data's is green.</p>\n"
               "<div class=\"answers\">\n");
    for (size_t shown = 0; first < c->sample_count && shown < PROMPTS_SHOWN; shown++) {
        size_t next = first + 1;
        while (next < c->sample_count && same_prompt(&c->samples[next], &c->samples[first]))
            next++;
        put_prompt(m, &c->samples[first], next - first);
        first = next;
    }
    if (first < c->sample_count)
        markup_put(m, "<p>These are the first %d prompts; %s has the others.</p>\n", PROMPTS_SHOWN,
                   rundir_name(RUNDIR_SAMPLES));
    markup_put(m, "</div>\n");
}
