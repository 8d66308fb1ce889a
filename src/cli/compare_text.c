#include <inttypes.h>
#include <string.h>

#include "cli/compare.h"
#include "cli/wrap.h"

#define GAP          2
#define LEAST        24 /* width of a model's column */
#define LABEL        8  /* width of "expected" */
#define PROMPT_LINES 12 /* of a longer prompt its beginning and its end are shown */

static const char bold[] = "\033[1m", green[] = "\033[32m";

struct table {
    struct str *out;
    const struct comparison *c;
    size_t width, beside; /* columns, and models beside each other */
    bool colour;
};

static enum err_code set_text(struct wrap_cell *cell, const char *text, struct err *e)
{
    str_clear(&cell->text);
    if (!*text)
        text = "(nothing)";
    for (;; text++) {
        const size_t length = strcspn(text, "\t");
        if (str_append_visible(&cell->text, text, length, "\n", e) ||
            (text[length] && str_append(&cell->text, "    ", 4, e)))
            return e->code;
        text += length;
        if (!*text)
            return ERR_OK;
    }
}

/* "prompt    the text" */
static enum err_code append_given(const struct table *t, const char *label, const char *text, struct err *e)
{
    struct wrap_cell cells[] = {{.width = LABEL}, {.width = t->width - LABEL - GAP}};
    enum err_code code = set_text(&cells[0], label, e);
    if (!code)
        code = set_text(&cells[1], text, e);
    if (!code)
        code = wrap_shorten(&cells[1], PROMPT_LINES, e);
    if (!code)
        code = wrap_append(t->out, cells, 2, GAP, e);
    str_release(&cells[0].text);
    str_release(&cells[1].text);
    return code;
}

static enum err_code append_names(const struct table *t, struct wrap_cell *cells, const struct compare_row *row,
                                  size_t first, size_t count, struct err *e)
{
    for (size_t i = 0; i < count; i++) {
        const bool exact = row->answers[first + i].exact;
        cells[i].colour = t->colour ? bold : NULL;
        if (set_text(&cells[i], t->c->models[first + i].name, e) ||
            (exact && str_appendf(&cells[i].text, e, " (exact)")))
            return e->code;
    }
    return wrap_append(t->out, cells, count, GAP, e);
}

static enum err_code append_rules(const struct table *t, struct wrap_cell *cells, size_t count, struct err *e)
{
    char rule[WRAP_WIDTH_MAX + 1];
    for (size_t i = 0; i < count; i++) {
        memset(rule, '-', cells[i].width);
        rule[cells[i].width] = '\0';
        cells[i].colour = NULL;
        if (set_text(&cells[i], rule, e))
            return e->code;
    }
    return wrap_append(t->out, cells, count, GAP, e);
}

/* Models first, first + 1, ... beside each other. */
static enum err_code append_answers(const struct table *t, const struct compare_row *row, size_t first, size_t count,
                                    struct err *e)
{
    struct wrap_cell cells[WRAP_CELLS_MAX] = {0};
    for (size_t i = 0; i < count; i++)
        cells[i].width = (t->width - (count - 1) * GAP) / count;
    enum err_code code = str_append(t->out, "\n", 1, e);
    if (!code)
        code = append_names(t, cells, row, first, count, e);
    if (!code)
        code = append_rules(t, cells, count, e);
    for (size_t i = 0; !code && i < count; i++) {
        cells[i].colour = t->colour && row->answers[first + i].exact ? green : NULL;
        code = set_text(&cells[i], row->answers[first + i].text, e);
    }
    if (!code)
        code = wrap_append(t->out, cells, count, GAP, e);
    for (size_t i = 0; i < count; i++)
        str_release(&cells[i].text);
    return code;
}

static enum err_code append_row(const struct table *t, const struct compare_row *row, struct err *e)
{
    const size_t models = t->c->model_count, bands = (models + t->beside - 1) / t->beside;
    if (str_appendf(t->out, e, "%s--- example %zu%s\n", t->colour ? bold : "", row->example,
                    t->colour ? "\033[0m" : "") ||
        append_given(t, "prompt", row->prompt, e) ||
        (row->expected && append_given(t, "expected", row->expected, e)))
        return e->code;
    for (size_t band = 0; band < bands; band++) {
        const size_t first = models * band / bands, end = models * (band + 1) / bands;
        if (append_answers(t, row, first, end - first, e))
            return e->code;
    }
    return str_append(t->out, "\n", 1, e);
}

/* The models with their whole paths, and their exact answers. */
static enum err_code append_summary(const struct table *t, struct err *e)
{
    const struct comparison *c = t->c;
    for (size_t i = 0; i < c->model_count; i++) {
        const struct compare_model *m = &c->models[i];
        const char *path = m->adapter ? m->adapter : m->name;
        if (str_append_visible(t->out, path, strlen(path), "", e) ||
            (c->expected && str_appendf(t->out, e, ": %" PRIu64 " of %" PRIu64 " answers are exact (%.1f %%)", m->exact,
                                        c->expected, 100 * (double)m->exact / (double)c->expected)) ||
            str_append(t->out, "\n", 1, e))
            return e->code;
    }
    return ERR_OK;
}

enum err_code compare_append_text(struct str *out, const struct comparison *c, struct err *e)
{
    const size_t width = wrap_width(), room = (width + GAP) / (LEAST + GAP);
    const struct table t = {.out = out,
                            .c = c,
                            .width = width,
                            .beside = room < WRAP_CELLS_MAX ? room : WRAP_CELLS_MAX,
                            .colour = facts_coloured()};
    for (size_t i = 0; i < c->row_count; i++)
        if (append_row(&t, &c->rows[i], e))
            return e->code;
    return append_summary(&t, e);
}
