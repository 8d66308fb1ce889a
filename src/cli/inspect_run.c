#include <limits.h>
#include <string.h>

#include "base/limits.h"
#include "cli/inspect.h"
#include "io/json.h"
#include "io/store/store.h"
#include "run/machine.h"
#include "run/machine.h"
#include "run/ckpt.h"
#include "run/metrics.h"
#include "run/options.h"
#include "run/rundir.h"
#include "run/study_grid.h"

/* The options of a run as its checkpoint recorded them, each in its own type; for people, those alone that are not as
 * they are by themselves. */
static enum err_code add_config(struct facts *f, const char *yaml, struct err *e)
{
    struct options o, plain = {0};
    struct str text = {0};
    enum err_code code =
        options_read_yaml(&o, "train", "options recorded in the checkpoint", yaml, strlen(yaml), e);
    if (!code)
        code = opt_init(&plain.set, &options_table, &plain, o.set.command->name, e);
    facts_object(f, "config");
    for (size_t i = 0; !code && i < options_table.spec_count; i++) {
        const struct opt_spec *spec = &options_table.specs[i];
        if (!spec->name || !strcmp(spec->name, OPT_CONFIG) || spec->unrecorded ||
            !opt_takes(o.set.command, spec) || (o.adapter.count && options_shapes_adapter(spec)) ||
            (!f->json && opt_values_equal(&o.set, &plain.set, spec)))
            continue;
        const void *value = (const char *)&o + spec->offset;
        if (spec->type == OPT_FLAG) {
            facts_flag(f, spec->name, *(const bool *)value);
        } else if (spec->type == OPT_REAL || spec->type == OPT_AMOUNT) {
            facts_real(f, spec->name, *(const double *)value);
        } else if (spec->type == OPT_INT) {
            facts_int(f, spec->name, (uint64_t) * (const int64_t *)value); /* no range begins below 0 */
        } else if (opt_takes_several(o.set.command, spec)) {
            const struct opt_list *list = value;
            facts_list(f, spec->name);
            for (size_t k = 0; k < list->count; k++)
                facts_text(f, NULL, list->items[k]);
            facts_end(f);
        } else {
            str_clear(&text);
            code = opt_append_value(&o.set, spec, &text, e);
            facts_text(f, spec->name, text.length ? text.data : "");
        }
    }
    str_release(&text);
    facts_end(f);
    options_release(&plain);
    options_release(&o);
    return code;
}

static void add_best(struct facts *f, const struct best *best)
{
    if (!best->step)
        return;
    facts_int(f, "best_step", best->step);
    facts_real(f, "best_eval_loss", best->loss);
}

static void add_modules(struct facts *f, const struct ckpt *c)
{
    size_t smallest = SIZE_MAX, largest = 0;
    for (size_t i = 0; i < c->module_count; i++) {
        smallest = c->modules[i].rank < smallest ? c->modules[i].rank : smallest;
        largest = c->modules[i].rank > largest ? c->modules[i].rank : largest;
    }
    facts_int(f, "modules", c->module_count);
    facts_int(f, "lora_rank", largest);
    if (smallest < largest)
        facts_int(f, "smallest_lora_rank", smallest);
    facts_text(f, "lora_init", c->lora_init);
}

enum err_code inspect_checkpoint(struct facts *f, const char *path, struct err *e)
{
    struct ckpt c;
    enum err_code code = ckpt_open(&c, path, e);
    if (code)
        return code;
    facts_text(f, "kind", "checkpoint");
    facts_text(f, "path", path);
    facts_int(f, "step", c.state.step);
    facts_int(f, "cursor", c.state.cursor);
    facts_flag(f, "finished", c.state.finished);
    add_best(f, &c.state.best);
    add_modules(f, &c);
    facts_text(f, "base_hash", c.identity.base);
    facts_text(f, "tokenizer_hash", c.identity.tokenizer);
    facts_text(f, "data_hash", c.identity.data);
    if (*c.identity.adapter)
        facts_text(f, "adapter_hash", c.identity.adapter);
    if (prompts_name(c.identity.prompts))
        facts_text(f, "prompts", prompts_name(c.identity.prompts));
    facts_text(f, "version", c.version);
    code = add_config(f, c.config, e);
    if (code)
        err_wrap(e, "%s", path);
    ckpt_close(&c);
    return code;
}

/* What people look for; the rest is about speed. */
static bool is_of_learning(const char *key)
{
    static const char evaluated[] = "eval_";
    const char *reward = key + (strncmp(key, evaluated, strlen(evaluated)) ? 0 : strlen(evaluated));
    for (size_t i = 0; i < METRICS_REWARDS; i++)
        if (!strcmp(reward, metrics_rewards_fields[i].name))
            return true;
    static const char *const keys[] = {"step", "epoch", "loss", "learning_rate", "grad_norm", "eval_loss"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (!strcmp(key, keys[i]))
            return true;
    return false;
}

/* A line of metrics: numbers and texts, and objects of them; what was not finite or is not known is null. */
static void add_members(struct facts *f, const struct json_value *object, bool inner)
{
    for (struct json_member m = json_first(object); m.key; m = json_next(m)) {
        if ((!f->json && !is_of_learning(m.key)) || !strcmp(m.key, MACHINE_KEY)) /* that has facts of its own */
            continue;
        switch (json_kind(m.value)) {
        case JSON_KIND_INT:
        case JSON_KIND_REAL:
            facts_real(f, m.key, json_number(m.value, 0));
            break;
        case JSON_KIND_OBJECT:
            if (inner)
                break;
            facts_object(f, m.key);
            add_members(f, m.value, true);
            facts_end(f);
            break;
        default:
            facts_text(f, m.key, json_text(m.value));
        }
    }
}

/* The last whole line of metrics.jsonl, where a run has got to; none is no error. */
static enum err_code add_metrics(struct facts *f, const char *folder, struct err *e)
{
    char path[PATH_MAX];
    struct file_map map;
    struct json *doc;
    enum err_code code = rundir_path(path, folder, RUNDIR_METRICS, e);
    if (code || !file_exists(path))
        return code;
    code = file_map_open(&map, path, e);
    if (code)
        return code;
    const char *begin = (const char *)map.data, *end = map.size ? memrchr(begin, '\n', map.size) : NULL;
    if (end) {
        const char *before = memrchr(begin, '\n', (size_t)(end - begin));
        const char *line = before ? before + 1 : begin;
        code = json_open_bytes(&doc, line, (size_t)(end - line), path, e);
        if (!code) {
            facts_object(f, "last_metrics");
            add_members(f, json_root(doc), false);
            facts_end(f);
            json_close(doc);
        }
    }
    file_map_close(&map);
    return code;
}

/* What it was computed on, by the first step of each start on another machine. */
static enum err_code add_machines(struct facts *f, const char *folder, struct err *e)
{
    struct machine_list list = {0};
    struct arena arena = {0};
    char path[PATH_MAX];
    enum err_code code = rundir_path(path, folder, RUNDIR_METRICS, e);
    if (!code)
        code = machine_list_read(&list, path, &arena, e);
    facts_list(f, "machines");
    for (const struct machine_start *s = list.first; !code && s; s = s->next) {
        const struct machine *m = &s->machine;
        facts_object(f, NULL);
        facts_int(f, "from_step", s->step);
        facts_list(f, "processors");
        for (size_t i = 0; i < m->count; i++) {
            facts_object(f, NULL);
            facts_text(f, "name", m->processors[i].name);
            facts_int(f, "hosts", m->processors[i].hosts);
            facts_int(f, "ranks", m->processors[i].ranks);
            facts_end(f);
        }
        facts_end(f);
        for (size_t i = 0; i < MACHINE_FIELDS; i++)
            if (machine_field_text(m, i))
                facts_text(f, machine_field_key(i), machine_field_text(m, i));
            else
                facts_int(f, machine_field_key(i), machine_field_count(m, i));
        facts_end(f);
    }
    facts_end(f);
    arena_release(&arena);
    return code;
}

enum err_code inspect_run(struct facts *f, const char *path, struct err *e)
{
    struct arena arena = {0};
    struct ckpt c;
    uint64_t *steps;
    size_t count;
    char adapter[PATH_MAX];
    bool found = false;
    enum err_code code = rundir_list(&steps, &count, path, &arena, e);
    if (code)
        goto out;
    facts_text(f, "kind", "run");
    facts_text(f, "path", path);
    facts_list(f, "checkpoints");
    for (size_t i = 0; i < count; i++)
        facts_int(f, NULL, steps[i]);
    facts_end(f);
    code = rundir_open_newest(&c, &found, path, e);
    if (code)
        goto out;
    facts_flag(f, "finished", found && c.state.finished);
    facts_flag(f, "exported_adapter", rundir_has(path, RUNDIR_ADAPTER));
    if (rundir_has(path, RUNDIR_ADAPTER) && !rundir_path(adapter, path, RUNDIR_ADAPTER, e))
        facts_text(f, "adapter", adapter);
    code = add_metrics(f, path, e);
    if (!code)
        code = add_machines(f, path, e);
    if (found && !code) {
        facts_int(f, "step", c.state.step);
        facts_int(f, "cursor", c.state.cursor);
        add_best(f, &c.state.best);
        add_modules(f, &c);
        code = add_config(f, c.config, e);
    }
    if (found)
        ckpt_close(&c);
out:
    arena_release(&arena);
    return code;
}

/* How far a cell is, from what is in its folder; nothing of it is locked. */
static enum err_code add_cell(struct facts *f, size_t counts[2], const char *name, const char *folder, struct err *e)
{
    struct ckpt c;
    bool found = false;
    enum err_code code = file_is_folder(folder) ? rundir_open_newest(&c, &found, folder, e) : ERR_OK;
    if (code)
        return code;
    const bool failed = rundir_has(folder, RUNDIR_FAILURE), finished = found && c.state.finished && !failed;
    counts[0] += finished;
    counts[1] += failed;
    facts_object(f, name);
    facts_text(f, "state", failed ? "failed" : finished ? "finished" : found ? "not finished" : "no checkpoint yet");
    if (found) {
        facts_int(f, "step", c.state.step);
        add_best(f, &c.state.best);
        ckpt_close(&c);
    }
    facts_end(f);
    return ERR_OK;
}

enum err_code inspect_study(struct facts *f, const char *path, struct err *e)
{
    struct options given;
    struct study_grid grid;
    char cells[PATH_MAX], folder[PATH_MAX];
    size_t counts[2] = {0};
    enum err_code code = study_grid_open(&grid, &given, path, e);
    if (!code)
        code = rundir_path(cells, path, RUNDIR_CELLS, e);
    facts_text(f, "kind", "study");
    facts_text(f, "path", path);
    facts_int(f, "planned_cells", grid.count);
    facts_object(f, "cells");
    for (size_t i = 0; i < grid.count && !code; i++) {
        code = file_join(folder, sizeof folder, cells, grid.cells[i].name, e);
        if (!code)
            code = add_cell(f, counts, grid.cells[i].name, folder, e);
    }
    facts_end(f);
    facts_int(f, "finished_cells", counts[0]);
    facts_int(f, "failed_cells", counts[1]);
    study_grid_release(&grid);
    options_release(&given);
    return code;
}
