/* Options as text: configuration, help, documentation. */
#include <string.h>

#include "base/opt.h"
#include "base/yaml.h"

#define LABEL_WIDTH 24 /* longer labels stand on a line of their own */
#define MARGIN      2
#define DEEPER      6 /* where a label goes on */

static enum err_code append_config_scalar(const struct opt_set *set, const struct opt_spec *spec,
                                          struct str *out, struct err *e)
{
    struct str text = {0};
    enum err_code code = str_append(out, " ", 1, e);
    if (!code)
        code = opt_append_value(set, spec, &text, e);
    const char *value = text.data ? text.data : "";
    if (!code)
        code = opt_is_text(spec) ? yaml_append_string(out, value, e) : str_appendf(out, e, "%s", value);
    str_release(&text);
    return code;
}

static enum err_code append_config_value(const struct opt_set *set, const struct opt_spec *spec,
                                         struct str *out, struct err *e)
{
    if (!opt_takes_several(set->command, spec))
        return append_config_scalar(set, spec, out, e);
    const struct opt_list *list = (const void *)((const char *)set->values + spec->offset);
    if (!list->count)
        return str_append(out, " []", 3, e);
    for (size_t i = 0; i < list->count; i++)
        if (str_append(out, "\n  - ", 5, e) || yaml_append_string(out, list->items[i], e))
            return e->code;
    return ERR_OK;
}

enum err_code opt_append_config(const struct opt_set *set, bool (*without)(const struct opt_spec *spec),
                                struct str *out, struct err *e)
{
    for (size_t i = 0; i < set->table->spec_count; i++) {
        const struct opt_spec *spec = &set->table->specs[i];
        if (!opt_takes(set->command, spec) || spec->unrecorded || strcmp(spec->name, OPT_CONFIG) == 0 ||
            (without && without(spec)))
            continue;
        if (str_appendf(out, e, "%s:", spec->name) || append_config_value(set, spec, out, e))
            return err_wrap(e, "--%s", spec->name);
        if (str_append(out, "\n", 1, e))
            return e->code;
    }
    return ERR_OK;
}

enum err_code opt_append_wrapped(struct str *out, const char *text, size_t column, size_t indent, struct err *e)
{
    bool first = true;
    while (*text) {
        size_t length = strcspn(text, " ");
        if (!first && column + 1 + length > OPT_WIDTH) {
            if (str_appendf(out, e, "\n%*s", (int)indent, ""))
                return e->code;
            column = indent;
        } else if (!first) {
            if (str_append(out, " ", 1, e))
                return e->code;
            column++;
        }
        if (str_append(out, text, length, e))
            return e->code;
        column += length;
        first = false;
        text += length;
        text += strspn(text, " ");
    }
    return str_append(out, "\n", 1, e);
}

static enum err_code append_label(struct str *out, const struct opt_spec *spec, struct err *e)
{
    if (spec->type == OPT_FLAG)
        return str_appendf(out, e, "--[no-]%s", spec->name);
    char label[OPT_LABEL_SIZE];
    opt_value_label(label, spec);
    return str_appendf(out, e, "--%s %s", spec->name, label);
}

/* A line of a help text, and the commands that it is of. */
struct help_line {
    const char *names, *text; /* names_length 0: of all */
    size_t names_length, length;
};

static bool next_line(struct help_line *l, const char **at)
{
    const char *line = *at;
    if (!*line)
        return false;
    *l = (struct help_line){.names = line + 1, .text = line};
    if (*line == '@') {
        l->names_length = strcspn(l->names, " ");
        l->text = l->names + l->names_length + 1;
    }
    l->length = strcspn(l->text, "\n");
    *at = l->text + l->length + (l->text[l->length] == '\n');
    return true;
}

static bool is_of(const struct help_line *l, const struct opt_command *command)
{
    const char *end = l->names + l->names_length;
    bool found = !l->names_length;
    for (const char *name = l->names; !found && name < end;) {
        const size_t length = strcspn(name, ", ");
        found = length == strlen(command->name) && strncmp(name, command->name, length) == 0;
        name += length + 1;
    }
    return found;
}

/* "eval, generate: " */
static enum err_code append_names(struct str *out, const struct help_line *l, struct err *e)
{
    for (size_t i = 0; i < l->names_length; i++)
        if (str_appendf(out, e, "%c%s", l->names[i], l->names[i] == ',' ? " " : ""))
            return e->code;
    return str_append(out, ": ", 2, e);
}

enum err_code opt_append_statement(struct str *out, const struct opt_spec *spec, const struct opt_command *command,
                                   struct err *e)
{
    struct help_line line;
    bool first = true;
    for (const char *at = spec->help; next_line(&line, &at);) {
        if (command && !is_of(&line, command))
            continue;
        if ((!first && str_append(out, "; ", 2, e)) ||
            (!command && line.names_length && append_names(out, &line, e)) ||
            str_append(out, line.text, line.length, e))
            return e->code;
        first = false;
    }
    return str_append(out, "", 0, e); /* which makes it a text in any case */
}

/* Does the help say something to this command? */
static bool addresses(const struct opt_spec *spec, const struct opt_command *command)
{
    struct help_line line;
    for (const char *at = spec->help; next_line(&line, &at);)
        if (is_of(&line, command))
            return true;
    return false;
}

enum err_code opt_check_help(const struct opt_table *table, const struct opt_spec *spec, struct err *e)
{
    struct help_line line;
    for (const char *at = spec->help; next_line(&line, &at);) {
        size_t named = 0, taken = 0;
        for (size_t i = 0; i < line.names_length; i++)
            named += i == 0 || line.names[i] == ',';
        for (size_t i = 0; named && i < table->command_count; i++)
            taken += opt_takes(&table->commands[i], spec) && is_of(&line, &table->commands[i]);
        if (named != taken)
            return err_set(e, ERR_USAGE, "%s: the help is of commands that do not take it: %.*s", spec->name,
                           (int)line.names_length, line.names);
    }
    for (size_t i = 0; i < table->command_count; i++)
        if (opt_takes(&table->commands[i], spec) && !addresses(spec, &table->commands[i]))
            return err_set(e, ERR_USAGE, "%s: there is no help for %s", spec->name, table->commands[i].name);
    return ERR_OK;
}

enum err_code opt_append_meaning(struct str *out, const struct opt_spec *spec, const struct opt_command *command,
                                 struct err *e)
{
    if (opt_append_statement(out, spec, command, e))
        return e->code;
    if ((spec->required & command->bit) && str_appendf(out, e, " (required)"))
        return e->code;
    if (spec->type != OPT_FLAG && spec->initial[0])
        return str_appendf(out, e, " (default: %s)", spec->initial);
    if (spec->type == OPT_FLAG && strcmp(spec->initial, "true") == 0)
        return str_appendf(out, e, " (default: on)");
    return ERR_OK;
}

/* The label after the margin; one that is longer than a line goes on in the next after one of its bars. */
static enum err_code append_label_lines(struct str *out, size_t *column, const struct opt_spec *spec, struct err *e)
{
    struct str label = {0};
    enum err_code code = append_label(&label, spec, e);
    if (!code)
        code = str_appendf(out, e, "%*s", MARGIN, "");
    *column = MARGIN;
    for (const char *part = label.data; !code && part && *part;) {
        const size_t length = strcspn(part, "|") + (strchr(part, '|') != NULL);
        if (*column + length > OPT_WIDTH && *column > MARGIN) {
            code = str_appendf(out, e, "\n%*s", DEEPER, "");
            *column = DEEPER;
        }
        if (!code)
            code = str_append(out, part, length, e);
        *column += length;
        part += length;
    }
    str_release(&label);
    return code;
}

static enum err_code append_help_row(struct str *out, const struct opt_spec *spec,
                                     const struct opt_command *command, size_t label_width, struct err *e)
{
    size_t indent = MARGIN + label_width + 2, column = MARGIN;
    enum err_code code = append_label_lines(out, &column, spec, e);
    if (code)
        return code;
    if (column + 2 > indent)
        code = str_appendf(out, e, "\n%*s", (int)indent, "");
    else
        code = str_appendf(out, e, "%*s", (int)(indent - column), "");
    struct str meaning = {0};
    if (!code)
        code = opt_append_meaning(&meaning, spec, command, e);
    if (!code)
        code = opt_append_wrapped(out, meaning.data, indent, indent, e);
    str_release(&meaning);
    return code;
}

/* Width of the column of labels: that of the longest one that is not too long. */
static enum err_code measure_labels(const struct opt_table *table, const struct opt_command *command,
                                    size_t *width, struct err *e)
{
    struct str label = {0};
    enum err_code code = ERR_OK;
    *width = 0;
    for (size_t i = 0; !code && i < table->spec_count; i++) {
        if (!opt_takes(command, &table->specs[i]))
            continue;
        str_clear(&label);
        code = append_label(&label, &table->specs[i], e);
        if (label.length <= LABEL_WIDTH && label.length > *width)
            *width = label.length;
    }
    str_release(&label);
    return code;
}

enum err_code opt_append_help(const struct opt_table *table, const struct opt_command *command,
                              struct str *out, struct err *e)
{
    size_t width;
    const char *space = command->argument[0] ? " " : "";
    if (measure_labels(table, command, &width, e) ||
        str_appendf(out, e, "usage: %s %s%s%s [options]\n\n", table->program, command->name, space,
                    command->argument) ||
        opt_append_wrapped(out, command->help, 0, 0, e) ||
        (*command->example && str_appendf(out, e, "\nexample:\n  %s\n", command->example)))
        return e->code;
    const struct opt_spec *heading = NULL; /* printed once the first option under it is */
    for (size_t i = 0; i < table->spec_count; i++) {
        const struct opt_spec *spec = &table->specs[i];
        if (!spec->name)
            heading = spec;
        if (!opt_takes(command, spec))
            continue;
        if (heading && str_appendf(out, e, "\n%s:\n", heading->help))
            return e->code;
        heading = NULL;
        if (append_help_row(out, spec, command, width, e))
            return e->code;
    }
    return ERR_OK;
}

/* Text inside a table cell: a bar would end it. */
static enum err_code append_cell(struct str *out, const char *text, struct err *e)
{
    enum err_code code = ERR_OK;
    for (; !code && *text; text++)
        code = str_appendf(out, e, "%s%c", *text == '|' ? "\\" : "", *text);
    return code;
}

static enum err_code append_markdown_row(const struct opt_table *table, const struct opt_spec *spec,
                                         struct str *out, struct err *e)
{
    const char *space = spec->type == OPT_FLAG ? "" : " ", *tick = spec->initial[0] ? "`" : "";
    char label[OPT_LABEL_SIZE];
    opt_value_label(label, spec);
    if (str_appendf(out, e, "| `--%s%s", spec->name, space) || append_cell(out, label, e) ||
        str_appendf(out, e, "` | %s", tick) || append_cell(out, spec->initial, e) ||
        str_appendf(out, e, "%s | ", tick))
        return e->code;
    const char *separator = "";
    for (size_t k = 0; k < table->command_count; k++) {
        if (!opt_takes(&table->commands[k], spec))
            continue;
        if (str_appendf(out, e, "%s%s", separator, table->commands[k].name))
            return e->code;
        separator = ", ";
    }
    struct str statement = {0};
    enum err_code code = str_append(out, " | ", 3, e);
    if (!code)
        code = opt_append_statement(&statement, spec, NULL, e);
    if (!code)
        code = append_cell(out, statement.data ? statement.data : "", e);
    str_release(&statement);
    return code ? code : str_append(out, " |\n", 3, e);
}

enum err_code opt_append_markdown(const struct opt_table *table, struct str *out, struct err *e)
{
    if (str_appendf(out, e, "| Option | Default | Commands | Meaning |\n|---|---|---|---|\n"))
        return e->code;
    for (size_t i = 0; i < table->spec_count; i++) {
        const struct opt_spec *spec = &table->specs[i];
        if (spec->name ? append_markdown_row(table, spec, out, e)
                       : str_appendf(out, e, "| **%s** | | | |\n", spec->help))
            return e->code;
    }
    return ERR_OK;
}
