/* What runs were computed on. */
#include "report_data.h"

#include <string.h>

#include "report_sketch.h"

enum { COLUMNS_MOST = 6 }; /* machines of a table */

/* A machine, and where it was at work: of a run the first step, of a study the number of cells. */
struct machine_column {
    const struct machine *machine;
    uint64_t number;
};

static void put_fact(struct markup *m, const struct machine *machine, size_t fact)
{
    struct str text = {0};
    if (!m->e->code)
        machine_append_fact(&text, machine, fact, m->e);
    markup_text(m, text.length ? text.data : "–");
    str_release(&text);
}

static bool facts_equal(struct markup *m, const struct machine *a, const struct machine *b, size_t fact)
{
    struct str texts[2] = {0};
    if (!m->e->code && !machine_append_fact(&texts[0], a, fact, m->e))
        machine_append_fact(&texts[1], b, fact, m->e);
    const bool equal = texts[0].length == texts[1].length &&
                       (!texts[0].length || memcmp(texts[0].data, texts[1].data, texts[0].length) == 0);
    str_release(&texts[0]);
    str_release(&texts[1]);
    return equal;
}

/* The machines of a run, in the order of its starts; of a study, each that is another one. *more: there is no room for
 * all. */
static size_t list_columns(struct machine_column columns[COLUMNS_MOST], bool *more, const struct report *r)
{
    size_t count = 0;
    *more = false;
    for (size_t i = 0; i < r->count; i++)
        for (const struct machine_start *s = r->cells[i].machines.first; s; s = s->next) {
            size_t k = r->is_study ? 0 : count;
            while (k < count && !machine_equals(columns[k].machine, &s->machine))
                k++;
            if (k == COLUMNS_MOST) {
                *more = true;
                continue;
            }
            if (k == count)
                columns[count++] = (struct machine_column){&s->machine, r->is_study ? 0 : s->step};
            columns[k].number += r->is_study;
        }
    return count;
}

static void put_heads(struct markup *m, const struct report *r, const struct machine_column *columns, size_t count)
{
    markup_put(m, "<thead><tr><th></th>");
    for (size_t i = 0; i < count; i++)
        if (r->is_study)
            markup_put(m, "<th>%zu cell%s</th>", (size_t)columns[i].number, columns[i].number == 1 ? "" : "s");
        else
            markup_put(m, "<th>From step %zu</th>", (size_t)columns[i].number);
    markup_put(m, "</tr></thead>\n");
}

void report_put_machine(struct markup *m, struct report *r)
{
    struct machine_column columns[COLUMNS_MOST];
    bool more;
    const size_t count = list_columns(columns, &more, r);
    if (!count)
        return;
    markup_put(m, "<h2>Machine</h2>\n");
    if (more)
        markup_put(m, "<p>The first %zu; there were more.</p>\n", count);
    markup_put(m, "<div class=\"wide\"><table class=\"machine\">\n");
    if (count > 1)
        put_heads(m, r, columns, count);
    markup_put(m, "<tbody>\n");
    for (size_t fact = 0; fact < MACHINE_FACTS; fact++) {
        markup_put(m, "<tr><td>%s</td>", machine_fact_name(fact));
        for (size_t i = 0; i < count; i++) {
            markup_put(m, "<td>");
            put_fact(m, columns[i].machine, fact);
            markup_put(m, "</td>");
        }
        markup_put(m, "</tr>\n");
    }
    markup_put(m, "</tbody>\n</table></div>\n");
}

size_t report_put_machine_rows(struct markup *m, struct report *r)
{
    static const struct machine unknown = {
        .dtype = "", .kernels = "", .products = "", .mpi = "", .hdf5 = "", .program = ""};
    const struct machine *machines[SKETCH_SERIES_MAX];
    size_t rows = 0;
    for (size_t i = 0; i < r->count; i++)
        machines[i] = r->cells[i].machines.last ? &r->cells[i].machines.last->machine : &unknown;
    for (size_t fact = 0; fact < MACHINE_FACTS; fact++) {
        size_t same = 1;
        while (same < r->count && facts_equal(m, machines[0], machines[same], fact))
            same++;
        if (same == r->count)
            continue;
        rows++;
        markup_put(m, "<tr data-machine=\"%s\"><td>%s</td>", machine_fact_name(fact), machine_fact_name(fact));
        for (size_t i = 0; i < r->count; i++) {
            markup_put(m, "<td class=\"option\">");
            put_fact(m, machines[i], fact);
            markup_put(m, "</td>");
        }
        markup_put(m, "</tr>\n");
    }
    return rows;
}
