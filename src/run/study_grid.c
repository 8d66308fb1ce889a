#include "run/study_grid.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/yaml.h"
#include "run/rundir.h"

/* What a name is allowed to hold of a value; anything else becomes a hash after it. */
#define NAME_VALUE_MAX 40

struct study_axis {
    const char *sweep; /* "" for a plain key */
    const struct opt_spec *spec;
    struct yaml_entry *entry;
};

/* Options that all cells share, because what they name is opened once, or because they say how a study runs.
 */
static const char *const shared[] = {
    "model",
    "data",
    "eval-data",
    "output",
    "base-name",
    "dtype",
    "base-storage",
    "load",
    "gemm",
    "threads",
    "max-length",
    "resume",
    "overwrite",
    "train-on",
    "columns",
    "chat-template",
    "chat-template-kwargs",
    "chat-date",
    "skip-bad-lines",
    "max-eval-examples",
    "allow-changed-options",
};
#define SHARED_COUNT (sizeof shared / sizeof *shared)

/* Options that are in every name, in this order, each after its letter. */
static const struct {
    const char *option, *letters;
} named[] = {{"lora-init", ""}, {"learning-rate", "-lr"}, {"lora-rank", "-r"}, {"seed", "-s"}};
#define NAMED_COUNT (sizeof named / sizeof *named)

static bool is_one_of(const char *name, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(name, list[i]) == 0)
            return true;
    return false;
}

static bool is_named(const char *option)
{
    for (size_t i = 0; i < NAMED_COUNT; i++)
        if (strcmp(named[i].option, option) == 0)
            return true;
    return false;
}

/* A list of values for an option that takes one is an axis; lists of files are values themselves. */
static bool is_axis(const struct study_axis *axis)
{
    return axis->entry->is_sequence && !opt_takes_several(opt_find_command(&options_table, "train"), axis->spec);
}

static const struct opt_spec *find_option(const struct study_grid *g, const char *name, int line,
                                          struct err *e)
{
    if (strcmp(name, OPT_CONFIG) == 0) {
        err_set(e, ERR_USAGE, "%s:%d: a configuration cannot name another one", g->file, line);
        return NULL;
    }
    const struct opt_command *train = opt_find_command(&options_table, "train");
    const struct opt_spec *spec = opt_require(&options_table, train, name, "", e);
    if (!spec)
        err_wrap(e, "%s:%d", g->file, line);
    return spec;
}

/* One key: [sweep.]option. */
static enum err_code take_entry(struct study_grid *g, struct yaml_entry *entry, struct err *e)
{
    struct study_axis axis = {.sweep = "", .entry = entry};
    char *name = arena_strndup(&g->arena, entry->key, strlen(entry->key), e);
    if (!name)
        return e->code;
    char *dot = strchr(name, '.');
    if (dot) {
        *dot = '\0';
        axis.sweep = name;
        name = dot + 1;
        for (const char *p = axis.sweep; *p || p == axis.sweep; p++)
            if (!isalnum((unsigned char)*p) && *p != '-' && *p != '_')
                return err_set(e, ERR_USAGE, "%s:%d: '%s' is no name of a sweep: letters, digits, - and _",
                               g->file, entry->line, axis.sweep);
    }
    opt_dash(name);
    axis.spec = find_option(g, name, entry->line, e);
    if (!axis.spec)
        return e->code;
    if ((dot || is_axis(&axis)) && is_one_of(name, shared, SHARED_COUNT))
        return err_set(e, ERR_USAGE, "%s:%d: all cells share one %s: give it once, without a sweep's name",
                       g->file, entry->line, name);
    if (!entry->count && is_axis(&axis))
        return err_set(e, ERR_USAGE, "%s:%d: %s has no values", g->file, entry->line, entry->key);
    for (size_t i = 0; i < g->axis_count; i++)
        if (g->axes[i].spec == axis.spec && strcmp(g->axes[i].sweep, axis.sweep) == 0)
            return err_set(e, ERR_USAGE, "%s:%d: %s is given twice, first in line %d", g->file, entry->line,
                           entry->key, g->axes[i].entry->line);
    if (dot && !is_one_of(axis.sweep, g->sweeps, g->sweep_count))
        g->sweeps[g->sweep_count++] = axis.sweep;
    g->axes[g->axis_count++] = axis;
    return ERR_OK;
}

/* Is the key in force for the cells of the sweep? Not one of another sweep, nor a plain one that it replaces.
 */
static bool applies(const struct study_grid *g, const struct study_axis *axis, const char *sweep)
{
    if (strcmp(axis->sweep, sweep) == 0)
        return true;
    if (*axis->sweep)
        return false;
    for (size_t i = 0; i < g->axis_count; i++)
        if (g->axes[i].spec == axis->spec && strcmp(g->axes[i].sweep, sweep) == 0)
            return false;
    return true;
}

static enum err_code set_value(const struct study_grid *g, struct options *o, const struct study_axis *axis,
                               const struct yaml_value *value, struct err *e)
{
    if (opt_set_value(&o->set, axis->spec, value->text, e))
        return err_wrap(e, "%s:%d: %s", g->file, value->line, axis->entry->key);
    return ERR_OK;
}

static enum err_code set_all_values(const struct study_grid *g, struct options *o,
                                    const struct study_axis *axis, struct err *e)
{
    for (size_t i = 0; i < axis->entry->count; i++)
        if (set_value(g, o, axis, &axis->entry->values[i], e))
            return e->code;
    return ERR_OK;
}

static enum err_code read_base(struct study_grid *g, struct err *e)
{
    struct options *o = &g->base;
    if (opt_init(&o->set, &options_table, o, "train", e))
        return e->code;
    for (size_t i = 0; i < g->axis_count; i++)
        if (!*g->axes[i].sweep && !is_axis(&g->axes[i]) && set_all_values(g, o, &g->axes[i], e))
            return e->code;
    opt_copy_arguments(&o->set, &g->given->set);
    if (opt_check_required(&o->set, g->given->set.command, e))
        return err_wrap(e, "%s", g->file);
    if (o->resume.word != RESUME_AUTO || o->overwrite)
        return err_set(e, ERR_USAGE,
                       "%s: a study always goes on where it was: resume stays auto, overwrite false; "
                       "delete the folder of a cell to train it anew",
                       g->file);
    return ERR_OK;
}

/* The options of a combination, --output aside. */
static enum err_code set_options(const struct study_grid *g, const char *sweep, size_t number,
                                 struct options *o, struct err *e)
{
    *o = (struct options){0};
    if (opt_init(&o->set, &options_table, o, "train", e))
        return e->code;
    for (size_t i = g->axis_count; i-- > 0;) {
        const struct study_axis *axis = &g->axes[i];
        if (!applies(g, axis, sweep))
            continue;
        enum err_code code;
        if (is_axis(axis)) {
            code = set_value(g, o, axis, &axis->entry->values[number % axis->entry->count], e);
            number /= axis->entry->count;
        } else {
            code = set_all_values(g, o, axis, e);
        }
        if (code)
            return code;
    }
    opt_copy_arguments(&o->set, &g->given->set);
    if (!*o->chat_date)
        o->chat_date = g->base.chat_date;
    return ERR_OK;
}

/* A value as part of a file's name. */
static enum err_code append_name_value(struct str *name, const struct opt_set *set,
                                       const struct opt_spec *spec, struct err *e)
{
    struct str text = {0};
    enum err_code code = opt_append_value(set, spec, &text, e);
    if (!code) {
        char hash[FILE_HASH_SIZE];
        const char *bytes = text.data ? text.data : "";
        file_hash_bytes(hash, bytes, text.length);
        bool whole = text.length <= NAME_VALUE_MAX;
        for (size_t i = 0; i < text.length && i < NAME_VALUE_MAX && !code; i++) {
            char c = bytes[i];
            bool fine = isalnum((unsigned char)c) || strchr("._+-", c);
            whole = whole && fine;
            code = str_append(name, fine ? &c : "_", 1, e);
        }
        if (!code && !whole)
            code = str_appendf(name, e, "-%.8s", hash);
    }
    str_release(&text);
    return code;
}

/* Does some sweep set this option, or is it an axis of all? */
static bool is_varied(const struct study_grid *g, const struct opt_spec *spec)
{
    for (size_t i = 0; i < g->axis_count; i++)
        if (g->axes[i].spec == spec && (*g->axes[i].sweep || is_axis(&g->axes[i])))
            return true;
    return false;
}

static enum err_code append_name(struct str *name, const struct study_grid *g, const struct opt_set *set,
                                 struct err *e)
{
    for (size_t i = 0; i < NAMED_COUNT; i++)
        if (str_appendf(name, e, "%s", named[i].letters) ||
            append_name_value(name, set, opt_find(&options_table, named[i].option), e))
            return e->code;
    for (size_t i = 0; i < options_table.spec_count; i++) {
        const struct opt_spec *spec = &options_table.specs[i];
        if (!spec->name || is_named(spec->name) || !is_varied(g, spec) ||
            opt_values_equal(set, &g->base.set, spec))
            continue;
        const bool *flag =
            spec->type == OPT_FLAG ? (const void *)((const char *)set->values + spec->offset) : NULL;
        if (str_appendf(name, e, flag && !*flag ? "-no-%s" : "-%s", spec->name) ||
            (!flag && append_name_value(name, set, spec, e)))
            return e->code;
    }
    return ERR_OK;
}

/* The data are pairs for all cells, or for none. */
static enum err_code check_objective(struct study_grid *g, const struct options *o, struct err *e)
{
    const bool pairs = o->objective != OBJECTIVE_SFT;
    if (!g->count)
        g->pairs = pairs;
    return g->pairs == pairs
               ? ERR_OK
               : err_set(e, ERR_USAGE,
                         "%s: objective: all cells share the data, and sft does not learn from pairs as the others do: "
                         "give it a study of its own",
                         g->file);
}

static enum err_code add_cell(struct study_grid *g, const char *sweep, size_t number, size_t *room,
                              struct err *e)
{
    struct options o;
    struct str name = {0};
    enum err_code code = set_options(g, sweep, number, &o, e);
    if (!code)
        code = check_objective(g, &o, e);
    if (!code)
        code = append_name(&name, g, &o.set, e);
    options_release(&o);
    for (size_t i = 0; i < g->count && !code; i++)
        if (strcmp(g->cells[i].name, name.data) == 0)
            goto out; /* another sweep has it too */
    if (!code && g->count == LIMIT_STUDY_CELLS)
        code = err_set(e, ERR_USAGE, "%s: more than %d cells", g->file, LIMIT_STUDY_CELLS);
    if (!code && g->count == *room) {
        size_t more = *room ? 2 * *room : 64;
        struct study_cell *cells = arena_alloc(&g->arena, more, sizeof *cells, "cells of a study", e);
        code = cells ? ERR_OK : e->code;
        if (cells && g->count)
            memcpy(cells, g->cells, g->count * sizeof *cells);
        if (cells) {
            g->cells = cells;
            *room = more;
        }
    }
    char *copy = code ? NULL : arena_strndup(&g->arena, name.data, name.length, e);
    if (copy)
        g->cells[g->count++] = (struct study_cell){.name = copy, .sweep = sweep, .number = number};
    else
        code = e->code;
out:
    str_release(&name);
    return code;
}

static enum err_code expand(struct study_grid *g, struct err *e)
{
    size_t room = 0;
    for (size_t s = 0; s < g->sweep_count; s++) {
        size_t combinations = 1;
        for (size_t i = 0; i < g->axis_count; i++)
            if (is_axis(&g->axes[i]) && applies(g, &g->axes[i], g->sweeps[s]) &&
                (__builtin_mul_overflow(combinations, g->axes[i].entry->count, &combinations) ||
                 combinations > LIMIT_STUDY_CELLS))
                return err_set(e, ERR_USAGE, "%s: the sweep %s has more than %d cells", g->file, g->sweeps[s],
                               LIMIT_STUDY_CELLS);
        for (size_t i = 0; i < combinations; i++)
            if (add_cell(g, g->sweeps[s], i, &room, e))
                return e->code;
    }
    return ERR_OK;
}

enum err_code study_grid_read(struct study_grid *g, const struct options *given, const char *file,
                              const void *bytes, size_t length, struct err *e)
{
    struct yaml_map map;
    *g = (struct study_grid){.given = given, .file = file};
    if (yaml_read(&map, &g->arena, file, bytes, length, e))
        return e->code;
    g->axes = arena_alloc(&g->arena, map.count, sizeof *g->axes, "axes of a study", e);
    g->sweeps = arena_alloc(&g->arena, map.count + 1, sizeof *g->sweeps, "sweeps of a study", e);
    if (!g->axes || !g->sweeps)
        return e->code;
    for (size_t i = 0; i < map.count; i++)
        if (take_entry(g, &map.entries[i], e))
            return e->code;
    if (!g->sweep_count)
        g->sweeps[g->sweep_count++] = "";
    return read_base(g, e) ? e->code : expand(g, e);
}

enum err_code study_grid_open(struct study_grid *g, struct options *given, const char *folder, struct err *e)
{
    char output[] = "--output", path[PATH_MAX];
    struct str text = {0};
    *g = (struct study_grid){0};
    *given = (struct options){0};
    if (rundir_path(path, folder, RUNDIR_STUDY, e) || opt_init(&given->set, &options_table, given, "study", e))
        return e->code;
    char *file = arena_strndup(&given->set.arena, path, strlen(path), e);
    char *place = arena_strndup(&given->set.arena, folder, strlen(folder), e);
    enum err_code code = file && place ? file_read_all(&text, file, LIMIT_YAML, e) : e->code;
    if (!code) /* the folder may have moved since */
        code = opt_read_arguments(&given->set, 2, (char *const[]){output, place}, e);
    if (!code)
        code = study_grid_read(g, given, file, text.data, text.length, e);
    str_release(&text);
    return code;
}

void study_grid_release(struct study_grid *g)
{
    options_release(&g->base);
    arena_release(&g->arena);
}

enum err_code study_grid_options(const struct study_grid *g, const struct study_cell *cell, struct options *o,
                                 struct err *e)
{
    struct str folder = {0};
    enum err_code code = set_options(g, cell->sweep, cell->number, o, e);
    if (!code)
        code = str_appendf(&folder, e, "%s/cells/%s", g->base.output, cell->name);
    char *copy = code ? NULL : arena_strndup(&o->set.arena, folder.data, folder.length, e);
    str_release(&folder);
    o->output = copy;
    return copy ? ERR_OK : e->code;
}

/* The values of a key as the sweep's own. */
static enum err_code append_axis(struct str *out, const struct study_axis *axis, const char *sweep,
                                 struct err *e)
{
    enum err_code code = str_appendf(out, e, "%s.%s: %s", *sweep ? sweep : "grid", axis->spec->name,
                                     axis->entry->is_sequence ? "[" : "");
    for (size_t i = 0; i < axis->entry->count && !code; i++) {
        const char *text = axis->entry->values[i].text;
        code = str_appendf(out, e, "%s", i ? ", " : "");
        if (!code)
            code =
                opt_is_text(axis->spec) ? yaml_append_string(out, text, e) : str_appendf(out, e, "%s", text);
    }
    return code ? code : str_appendf(out, e, "%s\n", axis->entry->is_sequence ? "]" : "");
}

enum err_code study_grid_write_yaml(const struct study_grid *g, struct str *out, struct err *e)
{
    if (opt_append_config(&g->base.set, NULL, out, e))
        return e->code;
    for (size_t s = 0; s < g->sweep_count; s++)
        for (size_t i = 0; i < g->axis_count; i++) {
            const struct study_axis *axis = &g->axes[i];
            if ((*axis->sweep || is_axis(axis)) && applies(g, axis, g->sweeps[s]) &&
                append_axis(out, axis, g->sweeps[s], e))
                return e->code;
        }
    return ERR_OK;
}

enum err_code study_parse_share(size_t *part, size_t *parts, const char *text, struct err *e)
{
    *part = *parts = 1;
    if (!*text)
        return ERR_OK;
    uint64_t i, n;
    int length = 0;
    bool digits = isdigit((unsigned char)text[0]) && strspn(text, "0123456789/") == strlen(text);
    if (!digits || sscanf(text, "%" SCNu64 "/%" SCNu64 "%n", &i, &n, &length) != 2 || text[length] || i < 1 ||
        i > n)
        return err_set(e, ERR_USAGE, "--cells %s: it is i/n, the part i of n, from 1/n to n/n", text);
    *part = (size_t)i;
    *parts = (size_t)n;
    return ERR_OK;
}
