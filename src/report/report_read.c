#include "report_data.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/limits.h"
#include "io/json.h"
#include "report_trace.h"
#include "run/folder.h"
#include "run/options.h"
#include "run/rundir.h"
#include "run/study_grid.h"

#define SLOWEST_MOST  64 /* ranks of which the steps are counted */
#define FAILURE_LIMIT ((size_t)1 << 16)
#define STEP_LIMIT    UINT64_C(1000000000000000) /* below it a step is exact on an axis */

enum err_code report_read_config(struct report_cell *c, struct arena *a, const char *path, struct err *e)
{
    struct str bytes = {0};
    enum err_code code = file_read_all(&bytes, path, LIMIT_YAML, e);
    if (!code)
        code = yaml_read(&c->config, a, path, bytes.data, bytes.length, e);
    str_release(&bytes);
    return code;
}

/* `_` and `-` are the same in a configuration. */
static bool is_name(const char *key, const char *name)
{
    for (; *key && *name; key++, name++)
        if ((*key == '_' ? '-' : *key) != *name)
            return false;
    return !*key && !*name;
}

const char *report_option(const struct report_cell *c, const char *name)
{
    for (size_t i = 0; i < c->config.count; i++)
        if (is_name(c->config.entries[i].key, name) && c->config.entries[i].count > 0)
            return c->config.entries[i].values[0].text;
    const struct opt_spec *spec = opt_find(&options_table, name);
    if (spec && options_shapes_adapter(spec) && *report_option(c, "adapter"))
        return ""; /* it is that adapter's, and not recorded */
    return spec ? spec->initial : "";
}

const char *report_option_text(struct report *r, const struct report_cell *c, const char *name, struct err *e)
{
    struct str text = {0};
    enum err_code code = ERR_OK;
    for (size_t i = 0; !code && i < c->config.count; i++)
        for (size_t k = 0; !code && is_name(c->config.entries[i].key, name) && k < c->config.entries[i].count; k++)
            code = str_appendf(&text, e, "%s%s", k ? ", " : "", c->config.entries[i].values[k].text);
    const char *made = report_option(c, name);
    if (!code && text.length)
        made = arena_strndup(&r->arena, text.data, text.length, e);
    str_release(&text);
    return code ? NULL : made;
}

double report_number(const struct report_cell *c, const char *name)
{
    const char *text = report_option(c, name);
    char *end;
    double x = strtod(text, &end);
    return end == text || *end ? NAN : x;
}

bool report_has(const struct report_cell *c, const char *name, const char *value)
{
    return !strcmp(report_option(c, name), value);
}

/* Time per phase: rows of an older program have none. */
static enum err_code read_phases(struct metrics_row *row, const struct json_fields *line, struct err *e)
{
    struct json_fields phases = {.part = "phases"};
    if (json_get_value(&phases.object, line, "phases", JSON_KIND_OBJECT, e))
        return e->code;
    for (int i = 0; i < PROF_COUNT; i++)
        if (json_get_number(&row->phases[i], &phases, prof_name((enum prof_phase)i), NAN, e))
            return e->code;
    return ERR_OK;
}

/* Of preference training. */
static enum err_code read_rewards(struct metrics_rewards *rewards, const struct json_fields *line, const char *prefix,
                                  struct err *e)
{
    for (size_t i = 0; i < METRICS_REWARDS; i++) {
        const struct metrics_field *field = &metrics_rewards_fields[i];
        char key[32];
        snprintf(key, sizeof key, "%s%s", prefix, field->name);
        if (json_get_number((double *)(void *)((char *)rewards + field->offset), line, key, NAN, e))
            return e->code;
    }
    return ERR_OK;
}

enum err_code report_read_row(struct metrics_row *row, uint64_t before, const struct json_value *object, struct err *e)
{
    const struct json_fields f = {.object = object};
    double tokens;
    size_t step;
    *row = (struct metrics_row){0};
    if (json_need_size(&step, &f, "step", e))
        return e->code;
    if (step <= before || step >= STEP_LIMIT)
        return err_set(e, ERR_FORMAT, "step %zu does not follow step %" PRIu64, step, before);
    if (json_kind(json_get(object, "loss")) == JSON_KIND_NONE)
        return err_set(e, ERR_FORMAT, "\"loss\" is missing");
    if (json_get_number(&row->loss, &f, "loss", NAN, e) ||
        json_get_number(&row->epoch, &f, "epoch", NAN, e) ||
        json_get_number(&row->learning_rate, &f, "learning_rate", NAN, e) ||
        json_get_number(&row->grad_norm, &f, "grad_norm", NAN, e) ||
        json_get_number(&row->seconds, &f, "seconds", NAN, e) ||
        json_get_number(&row->data_seconds, &f, "data_seconds", NAN, e) ||
        json_get_number(&row->comm_seconds, &f, "comm_seconds", NAN, e) ||
        json_get_number(&row->wait_seconds, &f, "wait_seconds", NAN, e) ||
        json_get_size(&row->slowest_rank, &f, "slowest_rank", 0, e) ||
        json_get_text(&row->slowest_host, &f, "slowest_host", NULL, e) ||
        json_get_text(&row->skipped, &f, "skipped", NULL, e) ||
        json_get_number(&tokens, &f, "tokens", NAN, e) ||
        json_get_number(&row->eval_loss, &f, "eval_loss", NAN, e) || read_phases(row, &f, e))
        return e->code;
    row->prefers = json_kind(json_get(object, metrics_rewards_fields[0].name)) != JSON_KIND_NONE;
    if (read_rewards(&row->rewards, &f, "", e) || read_rewards(&row->eval_rewards, &f, "eval_", e))
        return e->code;
    row->step = step;
    row->tokens = tokens > 0 && tokens < 1e18 ? (uint64_t)tokens : 0;
    row->evaluated = json_kind(json_get(object, "eval_loss")) != JSON_KIND_NONE;
    return ERR_OK;
}

enum err_code report_read_lines(const char *path, const struct report_lines *to, struct err *e)
{
    struct file_map map;
    if (!file_exists(path))
        return ERR_OK;
    if (file_map_open(&map, path, e))
        return e->code;
    const char *at = (const char *)map.data, *end = at + map.size;
    size_t lines = 0;
    for (const char *p = at; p < end && (p = memchr(p, '\n', (size_t)(end - p))); p++)
        lines++;
    enum err_code code = to->begin(to->context, lines, e);
    for (size_t line = 1; !code && line <= lines; line++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        struct json *doc = NULL;
        code = json_open_bytes(&doc, at, (size_t)(newline - at), NULL, e);
        if (!code)
            code = to->take(to->context, json_root(doc), e);
        if (code)
            err_wrap(e, "%s:%zu", path, line);
        json_close(doc);
        at = newline + 1;
    }
    file_map_close(&map);
    return code;
}

/* A cell whose lines are read. */
struct reading {
    struct report *report;
    struct report_cell *cell;
    struct slowest {
        size_t rank, steps;
        const char *host;
    } slowest[SLOWEST_MOST];
    size_t slowest_count;
};

/* Counts the step for its slowest rank. The texts of the row belong to the line. */
static enum err_code slowest_note(struct reading *r, struct metrics_row *row, struct err *e)
{
    const char *host = row->slowest_host;
    size_t i = 0;
    row->slowest_host = row->skipped = NULL;
    while (host && i < r->slowest_count &&
           (r->slowest[i].rank != row->slowest_rank || strcmp(r->slowest[i].host, host) != 0))
        i++;
    if (!host || i == SLOWEST_MOST)
        return ERR_OK;
    if (i == r->slowest_count) {
        r->slowest[i] = (struct slowest){.rank = row->slowest_rank,
                                         .host = arena_strndup(&r->report->arena, host, strlen(host), e)};
        if (!r->slowest[i].host)
            return e->code;
        r->slowest_count++;
    }
    r->slowest[i].steps++;
    return ERR_OK;
}

static void slowest_settle(const struct reading *r)
{
    size_t most = 0;
    for (size_t i = 0; i < r->slowest_count; i++)
        if (r->slowest[i].steps > most) {
            most = r->slowest[i].steps;
            r->cell->slowest_host = r->slowest[i].host;
            r->cell->slowest_rank = r->slowest[i].rank;
            r->cell->slowest_share = (double)most / (double)r->cell->row_count;
        }
}

static enum err_code begin_metrics(void *context, size_t lines, struct err *e)
{
    struct reading *r = context;
    r->cell->rows = arena_alloc(&r->report->arena, lines, sizeof *r->cell->rows, "metrics", e);
    return r->cell->rows ? ERR_OK : e->code;
}

static enum err_code take_metrics(void *context, const struct json_value *object, struct err *e)
{
    struct report_cell *c = ((struct reading *)context)->cell;
    enum err_code code =
        report_read_row(&c->rows[c->row_count], c->row_count ? c->rows[c->row_count - 1].step : 0, object, e);
    if (!code)
        code = slowest_note((struct reading *)context, &c->rows[c->row_count], e);
    if (!code)
        code = machine_list_note(&c->machines, c->rows[c->row_count].step, object,
                                 &((struct reading *)context)->report->arena, e);
    c->row_count += !code;
    return code;
}

static enum err_code read_metrics(struct report *r, struct report_cell *c, const char *path, struct err *e)
{
    struct reading reading = {.report = r, .cell = c};
    const struct report_lines to = {begin_metrics, take_metrics, &reading};
    if (report_read_lines(path, &to, e))
        return e->code;
    slowest_settle(&reading);
    return ERR_OK;
}

/* The first line of the message that a failed cell left. */
static enum err_code read_failure(struct report *r, struct report_cell *c, const char *path, struct err *e)
{
    struct str text = {0};
    enum err_code code = file_read_all(&text, path, FAILURE_LIMIT, e);
    if (!code) {
        c->failure = arena_strndup(&r->arena, text.length ? text.data : "",
                                   strcspn(text.length ? text.data : "", "\n"), e);
        code = c->failure ? ERR_OK : e->code;
    }
    c->status = REPORT_FAILED;
    str_release(&text);
    return code;
}

/* A checkpoint that does not verify fails its cell, not the report. */
static enum err_code read_checkpoint(struct report *r, struct report_cell *c, const char *folder,
                                     struct err *e)
{
    struct ckpt ckpt;
    bool found;
    struct err trouble;
    if (rundir_open_newest(&ckpt, &found, folder, &trouble)) {
        c->status = REPORT_FAILED;
        c->failure = arena_strndup(&r->arena, trouble.message, strlen(trouble.message), e);
        return c->failure ? ERR_OK : e->code;
    }
    if (!found)
        return ERR_OK;
    c->status = ckpt.state.finished ? REPORT_DONE : REPORT_NOT_DONE;
    c->least_rank = ckpt.module_count ? SIZE_MAX : 0;
    for (size_t i = 0; i < ckpt.module_count; i++) {
        c->least_rank = ckpt.modules[i].rank < c->least_rank ? ckpt.modules[i].rank : c->least_rank;
        c->most_rank = ckpt.modules[i].rank > c->most_rank ? ckpt.modules[i].rank : c->most_rank;
    }
    enum err_code code = report_trace_read(&c->trace, &ckpt, &r->arena, e);
    ckpt_close(&ckpt);
    return code;
}

enum err_code report_read_cell(struct report *r, struct report_cell *c, const char *folder, struct err *e)
{
    char path[PATH_MAX];
    c->status = REPORT_NOT_DONE;
    c->trace.logit_difference = c->trace.base_eval_loss = c->trace.start_eval_loss = NAN;
    if (rundir_path(path, folder, RUNDIR_CONFIG, e) ||
        (file_exists(path) && report_read_config(c, &r->arena, path, e)) ||
        rundir_path(path, folder, RUNDIR_METRICS, e) || read_metrics(r, c, path, e) ||
        rundir_path(path, folder, RUNDIR_SAMPLES, e) ||
        (!r->is_study && report_read_samples(r, c, path, e)) ||
        rundir_path(path, folder, RUNDIR_FAILURE, e))
        return e->code;
    return file_exists(path) ? read_failure(r, c, path, e) : read_checkpoint(r, c, folder, e);
}

static int by_name(const void *a, const void *b)
{
    return strverscmp(((const struct report_cell *)a)->name, ((const struct report_cell *)b)->name);
}

static struct report_cell *find_cell(struct report *r, const char *name)
{
    for (size_t i = 0; i < r->count; i++)
        if (!strcmp(r->cells[i].name, name))
            return &r->cells[i];
    return NULL;
}

static enum err_code add_cell(struct report *r, const char *name, struct err *e)
{
    struct report_cell *c = &r->cells[r->count];
    *c = (struct report_cell){.name = arena_strndup(&r->arena, name, strlen(name), e)};
    if (!c->name)
        return e->code;
    r->count++;
    return ERR_OK;
}

/* The options of a cell that has not begun, as it will record them. */
static enum err_code plan_cell(struct report *r, const struct study_grid *g, const struct study_cell *cell,
                               struct err *e)
{
    struct options o;
    struct str text = {0};
    struct report_cell *c = &r->cells[r->count - 1];
    enum err_code code = study_grid_options(g, cell, &o, e);
    if (!code)
        code = options_write_yaml(&o, &text, e);
    if (!code)
        code = yaml_read(&c->config, &r->arena, cell->name, text.data, text.length, e);
    str_release(&text);
    options_release(&o);
    return code;
}

/* Folders of cells, and room for `planned` more. */
static enum err_code list_folders(struct report *r, const char *folder, size_t planned, struct err *e)
{
    char path[PATH_MAX];
    DIR *dir = opendir(folder);
    if (!dir && errno != ENOENT)
        return err_set_errno(e, errno, "cannot open %s", folder);
    size_t room = 0;
    while (dir && readdir(dir))
        room++;
    r->cells = arena_alloc(&r->arena, room + planned, sizeof *r->cells, "cells", e);
    enum err_code code = r->cells ? ERR_OK : ERR_MEMORY;
    if (dir)
        rewinddir(dir);
    for (struct dirent *entry; !code && dir && r->count < room && (entry = readdir(dir));) {
        if (entry->d_name[0] == '.')
            continue;
        code = file_join(path, sizeof path, folder, entry->d_name, e);
        if (!code && file_is_folder(path))
            code = add_cell(r, entry->d_name, e);
    }
    if (dir)
        closedir(dir);
    return code;
}

/* Cells that have a folder, and those that study.yaml plans. */
static enum err_code list_cells(struct report *r, const char *folder, struct err *e)
{
    struct options given;
    struct study_grid grid;
    enum err_code code = study_grid_open(&grid, &given, r->folder, e);
    if (!code)
        code = list_folders(r, folder, grid.count, e);
    for (size_t i = 0; !code && i < grid.count; i++) {
        if (find_cell(r, grid.cells[i].name))
            continue;
        code = add_cell(r, grid.cells[i].name, e);
        if (!code)
            code = plan_cell(r, &grid, &grid.cells[i], e);
    }
    if (!code)
        qsort(r->cells, r->count, sizeof *r->cells, by_name);
    study_grid_release(&grid);
    options_release(&given);
    return code;
}

static enum err_code read_study(struct report *r, struct err *e)
{
    char cells[PATH_MAX], path[PATH_MAX];
    if (rundir_path(cells, r->folder, RUNDIR_CELLS, e) || list_cells(r, cells, e))
        return e->code;
    for (size_t i = 0; i < r->count; i++)
        if (file_join(path, sizeof path, cells, r->cells[i].name, e) || report_read_cell(r, &r->cells[i], path, e))
            return e->code;
    return report_compare_cells(r, e);
}

enum err_code report_read(struct report *r, const char *folder, struct err *e)
{
    *r = (struct report){.folder = folder, .is_study = rundir_has(folder, RUNDIR_STUDY)};
    if (r->is_study)
        return read_study(r, e);
    if (!rundir_has(folder, RUNDIR_CONFIG))
        return folder_refuse(folder, "the folder of a run or of a study", e);
    r->cells = arena_alloc(&r->arena, 1, sizeof *r->cells, "cells", e);
    if (!r->cells)
        return e->code;
    r->count = 1;
    r->cells[0].name = ".";
    return report_read_cell(r, &r->cells[0], folder, e) ? e->code : report_compare_cells(r, e);
}
