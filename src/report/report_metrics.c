#include <inttypes.h>
#include <limits.h>
#include <stdio.h>

#include "base/file.h"
#include "base/prof.h"
#include "io/json.h"
#include "report_data.h"
#include "run/rundir.h"

/* A number or text of a line of metrics.jsonl; that of an object in it has the name OBJECT.KEY. */
struct metrics_column {
    const char *object; /* NULL: of the line itself */
    char key[32];
};

static const char *const before_rewards[] = {"step", "epoch", "loss"};
static const char *const after_rewards[] = {"learning_rate",     "grad_norm",    "tokens",       "supervised_tokens",
                                            "tokens_per_second", "seconds",      "data_seconds", "comm_seconds",
                                            "wait_seconds",      "slowest_rank", "slowest_host"};
static const char *const after_phases[] = {"skipped", "eval_loss"};
#define COUNT(list) (sizeof(list) / sizeof *(list))

struct metrics_columns {
    struct metrics_column columns[COUNT(before_rewards) + COUNT(after_rewards) + COUNT(after_phases) +
                                  METRICS_REWARDS + METRICS_REWARDS + PROF_COUNT + 1 + METRICS_TRACE];
    size_t count;
};

static void add_column(struct metrics_columns *l, const char *object, const char *prefix, const char *name)
{
    struct metrics_column *c = &l->columns[l->count++];
    c->object = object;
    snprintf(c->key, sizeof c->key, "%s%s", prefix, name);
}

/* Every file has the same ones, in the order of a line. */
static void list_columns(struct metrics_columns *l)
{
    *l = (struct metrics_columns){0};
    for (size_t i = 0; i < COUNT(before_rewards); i++)
        add_column(l, NULL, "", before_rewards[i]);
    for (size_t i = 0; i < METRICS_REWARDS; i++)
        add_column(l, NULL, "", metrics_rewards_fields[i].name);
    for (size_t i = 0; i < COUNT(after_rewards); i++)
        add_column(l, NULL, "", after_rewards[i]);
    for (int i = 0; i < PROF_COUNT; i++)
        add_column(l, "phases", "", prof_name((enum prof_phase)i));
    for (size_t i = 0; i < COUNT(after_phases); i++)
        add_column(l, NULL, "", after_phases[i]);
    for (size_t i = 0; i < METRICS_REWARDS; i++)
        add_column(l, NULL, "eval_", metrics_rewards_fields[i].name);
    add_column(l, "trace", "", "step");
    for (size_t i = 0; i < METRICS_TRACE; i++)
        add_column(l, "trace", "", metrics_trace_fields[i].name);
}

/* What is null was not finite; it is empty, as what is not there. */
static enum err_code append_value(struct str *out, const struct json_value *v, struct err *e)
{
    switch (json_kind(v)) {
    case JSON_KIND_STRING:
        return report_append_csv(out, json_text(v), e);
    case JSON_KIND_INT:
        return str_appendf(out, e, "%" PRId64, json_int(v, 0));
    case JSON_KIND_REAL:
        return json_append_real(out, json_number(v, 0), e);
    default:
        return ERR_OK;
    }
}

/* The file as it grows. */
struct table {
    struct str *out;
    const struct metrics_columns *list;
    const char *cell; /* NULL: the rows of one run */
};

static enum err_code begin_lines(void *table, size_t lines, struct err *e)
{
    (void)table, (void)lines, (void)e;
    return ERR_OK;
}

static enum err_code take_line(void *context, const struct json_value *line, struct err *e)
{
    const struct table *t = context;
    if (t->cell && (report_append_csv(t->out, t->cell, e) || str_append(t->out, ",", 1, e)))
        return e->code;
    for (size_t i = 0; i < t->list->count; i++) {
        const struct metrics_column *c = &t->list->columns[i];
        const struct json_value *from = c->object ? json_get(line, c->object) : line;
        if ((i && str_append(t->out, ",", 1, e)) || append_value(t->out, json_get(from, c->key), e))
            return e->code;
    }
    return str_append(t->out, "\n", 1, e);
}

static enum err_code append_head(const struct table *t, bool is_study, struct err *e)
{
    if (is_study && str_appendf(t->out, e, "cell,"))
        return e->code;
    for (size_t i = 0; i < t->list->count; i++) {
        const struct metrics_column *c = &t->list->columns[i];
        if (str_appendf(t->out, e, "%s%s%s%s", i ? "," : "", c->object ? c->object : "", c->object ? "." : "", c->key))
            return e->code;
    }
    return str_append(t->out, "\n", 1, e);
}

enum err_code report_make_metrics_csv(struct str *out, const struct report *r, struct err *e)
{
    struct metrics_columns list;
    struct table table = {.out = out, .list = &list};
    const struct report_lines to = {begin_lines, take_line, &table};
    char cells[PATH_MAX], folder[PATH_MAX], path[PATH_MAX];
    list_columns(&list);
    if (append_head(&table, r->is_study, e) || rundir_path(cells, r->folder, RUNDIR_CELLS, e))
        return e->code;
    for (size_t i = 0; i < r->count; i++) {
        table.cell = r->is_study ? r->cells[i].name : NULL;
        if (file_join(folder, sizeof folder, cells, r->cells[i].name, e) ||
            rundir_path(path, r->is_study ? folder : r->folder, RUNDIR_METRICS, e) || report_read_lines(path, &to, e))
            return e->code;
    }
    return ERR_OK;
}
