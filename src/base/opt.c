/* Reading options: defaults, command line, configuration file. */
#include "base/opt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/yaml.h"

static size_t index_of(const struct opt_set *set, const struct opt_spec *spec)
{
    return (size_t)(spec - set->table->specs);
}

static void *value_of(const struct opt_set *set, const struct opt_spec *spec)
{
    return (char *)set->values + spec->offset;
}

/* The items of `list` and one more. Lists are short: a new array each time. */
static enum err_code list_append(struct opt_set *set, struct opt_list *list, const char *item, struct err *e)
{
    const char **items = arena_alloc(&set->arena, list->count + 1, sizeof *items, "option values", e);
    if (!items)
        return e->code;
    if (list->count)
        memcpy(items, list->items, list->count * sizeof *items);
    items[list->count] = item;
    *list = (struct opt_list){items, list->count + 1};
    return ERR_OK;
}

static enum err_code store(struct opt_set *set, const struct opt_spec *spec, const struct opt_value *value,
                           struct err *e)
{
    void *field = value_of(set, spec);
    switch (spec->type) {
    case OPT_LIST:
        return value->text[0] ? list_append(set, field, value->text, e) : ERR_OK;
    case OPT_STRING:
        *(const char **)field = value->text;
        break;
    case OPT_INT:
        *(int64_t *)field = value->integer;
        break;
    case OPT_REAL:
    case OPT_AMOUNT:
        *(double *)field = value->real;
        break;
    case OPT_FLAG:
        *(bool *)field = value->flag;
        break;
    case OPT_CHOICE:
        *(int *)field = value->word;
        break;
    case OPT_TEXT:
    case OPT_NAMES:
        *(struct opt_text *)field = (struct opt_text){value->word, value->text};
        break;
    case OPT_TIME:
        *(struct opt_time *)field = (struct opt_time){value->word, value->real};
        break;
    case OPT_HEADING:
        break;
    }
    return ERR_OK;
}

/* Checks `text` and, if this origin is not weaker than that of the present value, stores it. */
static enum err_code assign(struct opt_set *set, const struct opt_spec *spec, const char *text,
                            enum opt_origin origin, struct err *e)
{
    struct opt_value value;
    if (opt_parse_value(&value, spec, text, e))
        return e->code;
    enum opt_origin *present = &set->origins[index_of(set, spec)];
    if (origin < *present)
        return ERR_OK;
    bool keeps_text = spec->type == OPT_STRING || spec->type == OPT_LIST || spec->type == OPT_TEXT ||
                      spec->type == OPT_NAMES;
    if (keeps_text && !(value.text = arena_strndup(&set->arena, text, strlen(text), e)))
        return e->code;
    if (spec->type == OPT_LIST && (origin > *present || !opt_takes_several(set->command, spec)))
        *(struct opt_list *)value_of(set, spec) = (struct opt_list){0};
    if (store(set, spec, &value, e))
        return e->code;
    *present = origin;
    return ERR_OK;
}

/* May the option be left without a value? "" says so, though it need not be one of its words. */
static bool may_be_unset(const struct opt_spec *spec)
{
    return (spec->type == OPT_STRING || spec->type == OPT_TEXT || (spec->type == OPT_LIST && spec->single)) &&
           !spec->initial[0];
}

static void unset(struct opt_set *set, const struct opt_spec *spec)
{
    if (spec->type == OPT_LIST)
        *(struct opt_list *)value_of(set, spec) = (struct opt_list){0};
    else if (spec->type == OPT_TEXT)
        *(struct opt_text *)value_of(set, spec) = (struct opt_text){OPT_NO_WORD, ""};
    else
        *(const char **)value_of(set, spec) = "";
}

static bool is_unset_by_default(const struct opt_spec *spec)
{
    return may_be_unset(spec) || (spec->type == OPT_LIST && !spec->initial[0]);
}

static enum err_code set_default(struct opt_set *set, const struct opt_spec *spec, struct err *e)
{
    if (is_unset_by_default(spec)) {
        unset(set, spec);
        return ERR_OK;
    }
    if (assign(set, spec, spec->initial, OPT_DEFAULT, e))
        return err_wrap(e, "default of --%s", spec->name);
    return ERR_OK;
}

enum err_code opt_init(struct opt_set *set, const struct opt_table *table, void *values, const char *command,
                       struct err *e)
{
    *set = (struct opt_set){.table = table, .values = values, .argument = ""};
    set->command = opt_find_command(table, command);
    if (!set->command) {
        const char *names[32];
        size_t count = 0;
        for (; count < table->command_count && count < sizeof names / sizeof *names; count++)
            names[count] = table->commands[count].name;
        const char *nearest = str_nearest(command, names, count);
        if (nearest)
            return err_set(e, ERR_USAGE, "unknown command '%s'; did you mean %s?", command, nearest);
        return err_set(e, ERR_USAGE, "unknown command '%s'; see %s --help", command, table->program);
    }
    set->origins = arena_alloc(&set->arena, table->spec_count, sizeof *set->origins, "options", e);
    if (!set->origins)
        return e->code;
    for (size_t i = 0; i < table->spec_count; i++)
        if (table->specs[i].name && set_default(set, &table->specs[i], e))
            return e->code;
    return ERR_OK;
}

void opt_release(struct opt_set *set)
{
    arena_release(&set->arena);
    set->origins = NULL;
}

static enum err_code take_argument(struct opt_set *set, const char *text, struct err *e)
{
    const struct opt_command *command = set->command;
    if (text[0] == '-' && text[1])
        return err_set(e, ERR_USAGE, "unknown option %s; options begin with two dashes, see %s %s --help",
                       text, set->table->program, command->name);
    if (!command->argument[0])
        return err_set(e, ERR_USAGE, "unexpected argument '%s': %s takes options only", text, command->name);
    if (set->argument[0] && !str_ends_with(command->argument, OPT_SEVERAL))
        return err_set(e, ERR_USAGE, "unexpected argument '%s': %s takes one %s and that is %s", text,
                       command->name, command->argument, set->argument);
    if (!text[0])
        return ERR_OK;
    const size_t count = set->arguments.count;
    const char **items = arena_alloc(&set->arena, count + 1, sizeof *items, "arguments", e);
    if (!items)
        return e->code;
    for (size_t i = 0; i < count; i++)
        items[i] = set->arguments.items[i];
    items[count] = arena_strndup(&set->arena, text, strlen(text), e);
    set->arguments = (struct opt_list){items, count + 1};
    set->argument = items[0];
    return items[count] ? ERR_OK : e->code;
}

/* A value of the command line. Of two the last counts. */
static enum err_code take_value(struct opt_set *set, const struct opt_spec *spec, const char *value,
                                struct err *e)
{
    if (spec->type == OPT_LIST && !*value)
        return err_set(e, ERR_USAGE, "the value is empty: give a %s, or leave the option out", spec->value_name);
    bool again = !opt_takes_several(set->command, spec) && set->origins[index_of(set, spec)] == OPT_COMMAND_LINE;
    struct str before = {0}, after = {0};
    enum err_code code = again ? opt_append_value(set, spec, &before, e) : ERR_OK;
    if (!code)
        code = assign(set, spec, value, OPT_COMMAND_LINE, e);
    if (!code && again)
        code = opt_append_value(set, spec, &after, e);
    if (!code && again && strcmp(before.data, after.data) != 0)
        log_note("--%s is given twice: the last value, %s, is used, not %s", spec->name, after.data, before.data);
    str_release(&before);
    str_release(&after);
    return code;
}

/* One option: `name` without its dashes, `value` what came after "=", or NULL. Moves *next if it takes the
 * next argument for its value. */
static enum err_code take_option(struct opt_set *set, const char *name, const char *value, int argc,
                                 char *const *argv, int *next, struct err *e)
{
    const struct opt_spec *spec = NULL;
    if (str_starts_with(name, "no-") && !value) {
        spec = opt_find(set->table, name + 3);
        if (spec && spec->type == OPT_FLAG && opt_takes(set->command, spec)) {
            name += 3;
            value = "false";
        }
    }
    spec = opt_require(set->table, set->command, name, "--", e);
    if (!spec)
        return e->code;
    if (!value && spec->type == OPT_FLAG)
        value = "true";
    if (!value) {
        char label[OPT_LABEL_SIZE];
        opt_value_label(label, spec);
        if (*next >= argc)
            return err_set(e, ERR_USAGE, "--%s needs a value: --%s %s", name, name, label);
        value = argv[*next];
        if (str_starts_with(value, "--"))
            return err_set(e, ERR_USAGE,
                           "--%s needs a value, but %s follows; a value that starts with -- is written --%s=%s", name,
                           value, name, value);
        (*next)++;
    }
    if (take_value(set, spec, value, e))
        return err_wrap(e, "--%s", name);
    return ERR_OK;
}

enum err_code opt_read_arguments(struct opt_set *set, int argc, char *const *argv, struct err *e)
{
    for (int i = 0; i < argc;) {
        const char *text = argv[i++];
        if (strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0) {
            set->help_wanted = true;
            return ERR_OK;
        }
        if (!str_starts_with(text, "--")) {
            if (take_argument(set, text, e))
                return e->code;
            continue;
        }
        const char *equals = strchr(text, '=');
        size_t length = equals ? (size_t)(equals - text - 2) : strlen(text + 2);
        char *name = arena_strndup(&set->arena, text + 2, length, e);
        if (!name)
            return e->code;
        opt_dash(name);
        if (take_option(set, name, equals ? equals + 1 : NULL, argc, argv, &i, e))
            return e->code;
    }
    return ERR_OK;
}

/* A list where one text with commas is meant. */
static enum err_code take_names(struct opt_set *set, const char *file, const struct yaml_entry *entry,
                                const struct opt_spec *spec, struct err *e)
{
    struct str names = {0};
    enum err_code code = str_append(&names, "", 0, e);
    for (size_t i = 0; i < entry->count && !code; i++)
        code = str_appendf(&names, e, "%s%s", i ? "," : "", entry->values[i].text);
    if (!code && opt_set_value(set, spec, names.data, e))
        code = err_wrap(e, "%s:%d: %s", file, entry->line, spec->name);
    str_release(&names);
    return code;
}

/* One key of a configuration; `seen` has the lines where options were met before. */
static enum err_code take_entry(struct opt_set *set, const char *file, const struct yaml_entry *entry,
                                int *seen, struct err *e)
{
    char *name = arena_strndup(&set->arena, entry->key, strlen(entry->key), e);
    if (!name)
        return e->code;
    opt_dash(name);
    const struct opt_spec *spec = opt_require(set->table, set->command, name, "", e);
    if (!spec)
        return err_wrap(e, "%s:%d", file, entry->line);
    if (strcmp(name, OPT_CONFIG) == 0)
        return err_set(e, ERR_USAGE, "%s:%d: a configuration cannot name another one", file, entry->line);
    int *line = &seen[index_of(set, spec)];
    if (*line)
        return err_set(e, ERR_USAGE, "%s:%d: %s is given twice, first in line %d", file, entry->line, name,
                       *line);
    *line = entry->line;
    if (entry->is_sequence && spec->type == OPT_NAMES)
        return take_names(set, file, entry, spec, e);
    if (entry->is_sequence && !opt_takes_several(set->command, spec))
        return err_set(e, ERR_USAGE, "%s:%d: %s takes one value, not a list", file, entry->line, name);
    for (size_t i = 0; i < entry->count; i++)
        if (opt_set_value(set, spec, entry->values[i].text, e))
            return err_wrap(e, "%s:%d: %s", file, entry->values[i].line, name);
    return ERR_OK;
}

enum err_code opt_read_config(struct opt_set *set, const char *name, const void *bytes, size_t length,
                              struct err *e)
{
    struct yaml_map map;
    if (yaml_read(&map, &set->arena, name, bytes, length, e))
        return e->code;
    int *seen = arena_alloc(&set->arena, set->table->spec_count, sizeof *seen, "options", e);
    if (!seen)
        return e->code;
    for (size_t i = 0; i < map.count; i++)
        if (take_entry(set, name, &map.entries[i], seen, e))
            return e->code;
    return ERR_OK;
}

enum err_code opt_set_value(struct opt_set *set, const struct opt_spec *spec, const char *text, struct err *e)
{
    if (!text[0] && may_be_unset(spec))
        return ERR_OK;
    return assign(set, spec, text, OPT_FILE, e);
}

void opt_copy_arguments(struct opt_set *set, const struct opt_set *from)
{
    static const size_t sizes[] = {[OPT_STRING] = sizeof(const char *),
                                   [OPT_LIST] = sizeof(struct opt_list),
                                   [OPT_INT] = sizeof(int64_t),
                                   [OPT_REAL] = sizeof(double),
                                   [OPT_AMOUNT] = sizeof(double),
                                   [OPT_FLAG] = sizeof(bool),
                                   [OPT_CHOICE] = sizeof(int),
                                   [OPT_TEXT] = sizeof(struct opt_text),
                                   [OPT_NAMES] = sizeof(struct opt_text),
                                   [OPT_TIME] = sizeof(struct opt_time)};
    for (size_t i = 0; i < set->table->spec_count; i++) {
        const struct opt_spec *spec = &set->table->specs[i];
        if (!opt_takes(set->command, spec) || from->origins[i] != OPT_COMMAND_LINE)
            continue;
        memcpy(value_of(set, spec), value_of(from, spec), sizes[spec->type]);
        set->origins[i] = OPT_COMMAND_LINE;
    }
}

static bool is_set(const struct opt_set *set, const struct opt_spec *spec)
{
    if (spec->type == OPT_LIST)
        return ((const struct opt_list *)value_of(set, spec))->count > 0;
    if (spec->type == OPT_TEXT)
        return ((const struct opt_text *)value_of(set, spec))->text[0];
    return spec->type != OPT_STRING || (*(const char *const *)value_of(set, spec))[0];
}

static bool is_missing(const struct opt_set *set, const struct opt_spec *spec)
{
    return opt_takes(set->command, spec) && (spec->required & set->command->bit) && !is_set(set, spec);
}

/* "--model PATH, --data FILE and --output PATH" */
static enum err_code append_missing(struct str *out, const struct opt_set *set, size_t left, struct err *e)
{
    enum err_code code = ERR_OK;
    const size_t total = left;
    for (size_t i = 0; !code && i < set->table->spec_count; i++) {
        const struct opt_spec *spec = &set->table->specs[i];
        if (!is_missing(set, spec))
            continue;
        code = str_appendf(out, e, "%s--%s %s", left == total ? "" : left == 1 ? " and " : ", ", spec->name,
                           spec->value_name);
        left--;
    }
    return code;
}

/* " --name VALUE" with the option's value; with the name of a value if it has none. */
static enum err_code append_given(struct str *out, const struct opt_set *set, const struct opt_spec *spec,
                                  struct err *e)
{
    if (!is_set(set, spec))
        return str_appendf(out, e, " --%s %s", spec->name, spec->value_name);
    struct str value = {0};
    const struct opt_list *list = spec->type == OPT_LIST ? value_of(set, spec) : NULL;
    enum err_code code = list ? ERR_OK : opt_append_value(set, spec, &value, e);
    for (size_t i = 0; !code && i < (list ? list->count : 1); i++)
        if (str_appendf(out, e, " --%s ", spec->name) || str_append_word(out, list ? list->items[i] : value.data, e))
            code = e->code;
    str_release(&value);
    return code;
}

/* The shortest command that would work: what it requires, and the values of that which are there. */
static enum err_code append_shortest(struct str *out, const struct opt_set *set, struct err *e)
{
    enum err_code code = str_appendf(out, e, "%s %s", set->table->program, set->command->name);
    for (size_t i = 0; !code && i < set->table->spec_count; i++) {
        const struct opt_spec *spec = &set->table->specs[i];
        if (opt_takes(set->command, spec) && (spec->required & set->command->bit))
            code = append_given(out, set, spec, e);
    }
    return code;
}

enum err_code opt_check_required(const struct opt_set *set, const struct opt_command *spoken, struct err *e)
{
    const struct opt_command *command = set->command;
    size_t missing = 0;
    if (command->argument[0] && !set->argument[0])
        return err_set(e, ERR_USAGE, "%s needs a %.*s: %s %s %s", command->name,
                       (int)strcspn(command->argument, "."), command->argument, set->table->program, command->name,
                       command->argument);
    for (size_t i = 0; i < set->table->spec_count; i++)
        missing += is_missing(set, &set->table->specs[i]);
    if (!missing)
        return ERR_OK;
    struct str names = {0}, shortest = {0};
    enum err_code code = append_missing(&names, set, missing, e);
    if (!code && spoken == command)
        code = append_shortest(&shortest, set, e);
    if (!code)
        code = err_set(e, ERR_USAGE, "%s needs %s%s%s; see %s %s --help", spoken->name, names.data,
                       shortest.length ? ": " : "", shortest.length ? shortest.data : "", set->table->program,
                       spoken->name);
    str_release(&names);
    str_release(&shortest);
    return code;
}

/* A mistake in the file's name or contents is a mistake in usage, also where the system reports it. */
static enum err_code read_config_file(struct opt_set *set, const char *path, struct err *e)
{
    struct str text = {0};
    enum err_code code = file_read_all(&text, path, LIMIT_YAML, e);
    if (code)
        err_wrap(e, "--" OPT_CONFIG);
    if (code == ERR_IO || code == ERR_FORMAT)
        code = e->code = ERR_USAGE;
    if (!code)
        code = opt_read_config(set, path, text.data, text.length, e);
    str_release(&text);
    return code;
}

enum err_code opt_read_all(struct opt_set *set, int argc, char *const *argv, struct err *e)
{
    if (opt_read_arguments(set, argc, argv, e))
        return e->code;
    if (set->help_wanted)
        return ERR_OK;
    const struct opt_spec *config = opt_find(set->table, OPT_CONFIG);
    if (config && !set->command->own_config && opt_takes(set->command, config) && is_set(set, config) &&
        read_config_file(set, *(const char *const *)value_of(set, config), e))
        return e->code;
    return opt_check_required(set, set->command, e);
}

static bool needs_words(const struct opt_spec *spec)
{
    return spec->type == OPT_CHOICE || spec->type == OPT_TEXT || spec->type == OPT_NAMES ||
           spec->type == OPT_TIME;
}

static bool has_words(const struct opt_spec *spec)
{
    return spec->words && spec->words->text;
}

enum err_code opt_check_table(const struct opt_table *table, struct err *e)
{
    unsigned known = 0;
    for (size_t i = 0; i < table->command_count; i++)
        known |= table->commands[i].bit;
    for (size_t i = 0; i < table->spec_count; i++) {
        const struct opt_spec *spec = &table->specs[i];
        struct opt_value value;
        if (!spec->name)
            continue;
        if (opt_find(table, spec->name) != spec)
            return err_set(e, ERR_USAGE, "two options are called %s", spec->name);
        if (!is_unset_by_default(spec) && opt_parse_value(&value, spec, spec->initial, e))
            return err_wrap(e, "default of %s", spec->name);
        if (spec->commands & ~known)
            return err_set(e, ERR_USAGE, "%s names a command that does not exist", spec->name);
        if (opt_check_help(table, spec, e))
            return e->code;
        if (needs_words(spec) && !has_words(spec))
            return err_set(e, ERR_USAGE, "%s has no words", spec->name);
        for (const struct opt_word *w = spec->words; w && w->text; w++)
            if (w->value == OPT_NO_WORD || opt_word_text(spec, w->value) != w->text)
                return err_set(e, ERR_USAGE, "%s: the word %s has no value of its own", spec->name, w->text);
        if (spec->required & ~spec->commands)
            return err_set(e, ERR_USAGE, "%s is required by a command that does not take it", spec->name);
    }
    for (size_t i = 0; i < table->peer_count; i++) {
        const struct opt_peer *peer = &table->peers[i];
        if (strchr(peer->name, '_') || (*peer->option && !opt_find(table, peer->option)) ||
            (!*peer->option && !*peer->note))
            return err_set(e, ERR_USAGE, "the hint at %s helps nobody", peer->name);
    }
    return ERR_OK;
}
