#include "report_data.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run/parameters.h"

const struct report_scheme report_schemes[] = {
    {"normal", "random, normal", "0", REPORT_B_ZERO | REPORT_A_RANDOM},
    {"both-normal", "random, normal", "random, normal", REPORT_A_RANDOM},
    {"kaiming-uniform", "random, uniform", "0", REPORT_B_ZERO | REPORT_A_RANDOM},
    {"constant", "all entries equal", "0", REPORT_B_ZERO},
    {"b-normal", "0", "random, normal", 0},
    {"gaussian", "random, normal, std 1/r", "0", REPORT_B_ZERO | REPORT_A_RANDOM},
    {"zero", "0", "0", REPORT_B_ZERO},
    {"orthogonal", "orthogonal to B", "orthogonal to A", 0},
    {"pissa", "largest singular directions of W", "largest singular directions of W", 0},
    {"olora", "R of W = QR", "Q of W = QR", 0},
};
const size_t report_scheme_count = sizeof report_schemes / sizeof *report_schemes;

const struct report_scheme *report_scheme_of(const struct report_cell *c)
{
    for (size_t i = 0; i < report_scheme_count; i++)
        if (report_has(c, "lora-init", report_schemes[i].name))
            return &report_schemes[i];
    return NULL;
}

const char *report_textf(struct report *r, struct err *e, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return arena_strndup(&r->arena, text, strlen(text), e);
}

bool report_is_measured(const struct report *r, const struct report_cell *c)
{
    return c->status == REPORT_DONE || !r->is_study;
}

static bool is_among(const char *name, const char *const *names)
{
    while (*names && strcmp(*names, name) != 0)
        names++;
    return *names != NULL;
}

bool report_same(const struct report_cell *a, const struct report_cell *b, const char *name)
{
    return report_has(a, name, report_option(b, name)) || report_number(a, name) == report_number(b, name);
}

static bool agree(const struct report *r, const struct report_cell *a, const struct report_cell *b,
                  const char *const *free_names)
{
    for (size_t i = 0; i < r->difference_count; i++)
        if (!is_among(r->differences[i]->name, free_names) && !report_same(a, b, r->differences[i]->name))
            return false;
    return true;
}

static bool some_differ(const struct report *r, const struct opt_spec *spec)
{
    for (size_t i = 1; i < r->count; i++)
        if (!report_same(&r->cells[0], &r->cells[i], spec->name))
            return true;
    return false;
}

const char *report_measure(size_t i)
{
    return i == 0 ? "objective" : i <= PARAMETERS ? parameters[i - 1].option : NULL;
}

bool report_mixes_objectives(const struct report *r)
{
    for (size_t i = 1; i < r->count; i++)
        if (report_begins_objective(r, i))
            return true;
    return false;
}

bool report_begins_objective(const struct report *r, size_t cell)
{
    for (size_t i = 0; i < cell; i++)
        if (report_same(&r->cells[i], &r->cells[cell], report_measure(0)))
            return false;
    return true;
}

/* How a cell starts, and how fast it learns: what a study of schemes varies around one setting. */
static const char *const around[] = {"lora-init", "learning-rate", "init-std", "init-std-b", "seed", NULL};

/* The setting that most cells have stands for the study; sweeps of rank and scaling, say, are around it. */
static const struct report_cell *find_usual(const struct report *r)
{
    const struct report_cell *usual = NULL;
    size_t most = 0;
    for (size_t i = 0; i < r->count; i++) {
        if (!report_is_measured(r, &r->cells[i]))
            continue;
        size_t same = 0;
        for (size_t k = 0; k < r->count; k++)
            same += report_is_measured(r, &r->cells[k]) && agree(r, &r->cells[i], &r->cells[k], around);
        if (same > most) {
            most = same;
            usual = &r->cells[i];
        }
    }
    return usual;
}

enum err_code report_compare_cells(struct report *r, struct err *e)
{
    r->difference_count = 0;
    r->differences =
        arena_alloc(&r->arena, options_table.spec_count, sizeof(*r->differences), "options of a study", e);
    if (!r->differences)
        return e->code;
    for (size_t i = 0; i < options_table.spec_count; i++) {
        const struct opt_spec *spec = &options_table.specs[i];
        if (options_fixes_result(spec) && some_differ(r, spec))
            r->differences[r->difference_count++] = spec;
    }
    r->usual = find_usual(r);
    return ERR_OK;
}

enum err_code report_select(struct report_group *g, struct report *r, const struct report_cell *like,
                            const char *const *free_names, struct err *e)
{
    *g = (struct report_group){.cells = arena_alloc(&r->arena, r->count, sizeof *g->cells, "cells", e)};
    if (!g->cells)
        return e->code;
    for (size_t i = 0; i < r->count; i++)
        if (report_is_measured(r, &r->cells[i]) && agree(r, like, &r->cells[i], free_names))
            g->cells[g->count++] = &r->cells[i];
    return ERR_OK;
}

double report_first_loss(const struct report_cell *c)
{
    return c->row_count && c->rows[0].step == 1 ? c->rows[0].loss : NAN;
}

/* NULL: there is none. */
static const struct metrics_row *last_evaluation(const struct report_cell *c)
{
    for (size_t i = c->row_count; i-- > 0;)
        if (c->rows[i].evaluated)
            return &c->rows[i];
    return NULL;
}

double report_final_loss(const struct report_cell *c)
{
    const struct metrics_row *row = last_evaluation(c);
    return row ? row->eval_loss : NAN;
}

double report_final_accuracy(const struct report_cell *c)
{
    const struct metrics_row *row = last_evaluation(c);
    return row ? row->eval_rewards.accuracy : NAN;
}

double report_final_margin(const struct report_cell *c)
{
    const struct metrics_row *row = last_evaluation(c);
    return row ? row->eval_rewards.margin : NAN;
}

struct report_spread report_spread(const struct report_group *g, double (*value)(const struct report_cell *))
{
    struct report_spread s = {.low = INFINITY, .high = -INFINITY};
    for (size_t i = 0; i < g->count; i++) {
        double x = value(g->cells[i]);
        if (!isfinite(x))
            continue;
        s.mean += x;
        s.low = fmin(s.low, x);
        s.high = fmax(s.high, x);
        s.count++;
    }
    s.mean = s.count ? s.mean / (double)s.count : NAN;
    return s;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double report_median(double *values, size_t count)
{
    if (!count)
        return NAN;
    qsort(values, count, sizeof *values, by_value);
    return count % 2 ? values[count / 2] : 0.5 * (values[count / 2 - 1] + values[count / 2]);
}

struct report_spread report_modules(const struct report_trace *t, enum report_column column, size_t step)
{
    struct report_spread s = {.mean = NAN, .low = INFINITY, .high = -INFINITY};
    double *copy = malloc(t->modules * sizeof *copy);
    if (!copy)
        return s;
    for (size_t i = 0; i < t->modules; i++) {
        double x = t->column[column][step * t->modules + i];
        if (!isfinite(x))
            continue;
        copy[s.count++] = x;
        s.low = fmin(s.low, x);
        s.high = fmax(s.high, x);
    }
    s.mean = report_median(copy, s.count);
    free(copy);
    return s;
}

enum err_code report_best(struct report_group *g, struct report *r, const char *scheme, struct err *e)
{
    static const char *const seeds[] = {"seed", NULL};
    struct report_group all = {0}, one;
    *g = (struct report_group){0};
    double lowest = INFINITY;
    if (!r->usual || report_select(&all, r, r->usual, around, e))
        return r->usual ? e->code : ERR_OK;
    for (size_t i = 0; i < all.count; i++) {
        if (!report_has(all.cells[i], "lora-init", scheme))
            continue;
        if (report_select(&one, r, all.cells[i], seeds, e))
            return e->code;
        struct report_spread s = report_spread(&one, report_final_loss);
        if (!g->count || (s.count == one.count && s.mean < lowest)) {
            *g = one;
            lowest = s.count == one.count ? s.mean : INFINITY;
        }
    }
    return ERR_OK;
}

const char *report_shown_option(const struct report *r, const char *const *always, size_t count, size_t index)
{
    if (index < count)
        return always[index];
    for (size_t i = 0, more = count; i < r->difference_count; i++) {
        size_t k = 0;
        while (k < count && strcmp(always[k], r->differences[i]->name) != 0)
            k++;
        if (k == count && more++ == index)
            return r->differences[i]->name;
    }
    return NULL;
}
