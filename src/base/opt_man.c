/* Options as manual pages, in the language of man(7). */
#include <ctype.h>
#include <string.h>

#include "base/opt.h"

/* Text of a page: a backslash and a hyphen are escaped, and no line of it begins with a control character. */
static enum err_code append_text(struct str *out, const char *text, struct err *e)
{
    enum err_code code = ERR_OK;
    if (*text == '.' || *text == '\'')
        code = str_append(out, "\\&", 2, e);
    for (; !code && *text; text++)
        code = *text == '\\' ? str_append(out, "\\e", 2, e)
               : *text == '-' ? str_append(out, "\\-", 2, e)
                              : str_append(out, text, 1, e);
    return code;
}

/* "auto|N": words in bold, names of values in italics. */
static enum err_code append_values(struct str *out, const char *label, struct err *e)
{
    for (size_t length; *label; label += length) {
        length = *label == '|' ? 1 : strcspn(label, "|");
        char part[OPT_LABEL_SIZE];
        memcpy(part, label, length);
        part[length] = '\0';
        const char *font = *part == '|' ? "R" : isupper((unsigned char)*part) ? "I" : "B";
        if (str_appendf(out, e, "\\f%s", font) || append_text(out, part, e) || str_append(out, "\\fR", 3, e))
            return e->code;
    }
    return ERR_OK;
}

static enum err_code append_option(struct str *out, const struct opt_spec *spec,
                                   const struct opt_command *command, struct err *e)
{
    if (str_appendf(out, e, ".TP\n\\fB\\-\\-%s", spec->type == OPT_FLAG ? "[no\\-]" : "") ||
        append_text(out, spec->name, e) || str_append(out, "\\fR", 3, e))
        return e->code;
    char label[OPT_LABEL_SIZE];
    opt_value_label(label, spec);
    if (spec->type != OPT_FLAG && (str_append(out, " ", 1, e) || append_values(out, label, e)))
        return e->code;
    struct str meaning = {0};
    enum err_code code = str_append(out, "\n", 1, e);
    if (!code)
        code = opt_append_meaning(&meaning, spec, command, e);
    if (!code)
        code = append_text(out, meaning.data, e);
    str_release(&meaning);
    return code ? code : str_append(out, "\n", 1, e);
}

static enum err_code append_options(const struct opt_table *table, const struct opt_command *command, struct str *out,
                                    struct err *e)
{
    const struct opt_spec *heading = NULL; /* printed once the first option under it is */
    enum err_code code = str_appendf(out, e, ".SH OPTIONS\n");
    for (size_t i = 0; !code && i < table->spec_count; i++) {
        const struct opt_spec *spec = &table->specs[i];
        if (!spec->name) {
            heading = spec;
            continue;
        }
        if (!opt_takes(command, spec))
            continue;
        if (heading && (str_appendf(out, e, ".SS \"") || append_text(out, heading->help, e) ||
                        str_appendf(out, e, "\"\n")))
            return e->code;
        heading = NULL;
        code = append_option(out, spec, command, e);
    }
    return code;
}

/* The title, NAME, and the beginning of SYNOPSIS. `command` is NULL for the page of the program. */
static enum err_code append_head(const struct opt_table *table, const struct opt_command *command,
                                 const struct opt_page *page, struct str *out, struct err *e)
{
    const char *dash = command ? "\\-" : "", *name = command ? command->name : "";
    if (str_appendf(out, e, ".TH \"%s%s%s\" 1 \"\" \"%s %s\" \"User Commands\"\n.SH NAME\n%s%s%s \\- ", table->program,
                    dash, name, table->program, page->version, table->program, dash, name) ||
        append_text(out, command ? command->help : page->purpose, e))
        return e->code;
    return str_appendf(out, e, "\n.SH SYNOPSIS\n");
}

static enum err_code append_exit_status(const struct opt_page *page, struct str *out, struct err *e)
{
    enum err_code code = str_appendf(out, e, ".SH \"EXIT STATUS\"\n");
    for (const struct opt_word *status = page->statuses; !code && status->text; status++) {
        code = str_appendf(out, e, ".TP\n.B %d\n", status->value);
        if (!code)
            code = append_text(out, status->text, e);
        if (!code)
            code = str_append(out, "\n", 1, e);
    }
    return code;
}

static enum err_code append_example(const struct opt_command *command, struct str *out, struct err *e)
{
    if (!*command->example)
        return ERR_OK;
    if (str_appendf(out, e, ".SH EXAMPLE\n.nf\n") || append_text(out, command->example, e))
        return e->code;
    return str_appendf(out, e, "\n.fi\n");
}

static enum err_code append_command_page(const struct opt_table *table, const struct opt_command *command,
                                         const struct opt_page *page, struct str *out, struct err *e)
{
    if (append_head(table, command, page, out, e) ||
        str_appendf(out, e, ".B %s %s\n", table->program, command->name))
        return e->code;
    if (*command->argument && str_appendf(out, e, ".I %s\n", command->argument))
        return e->code;
    if (str_appendf(out, e, "[\\fIoptions\\fR]\n.SH DESCRIPTION\n") || append_text(out, command->help, e) ||
        str_append(out, "\n", 1, e) || append_options(table, command, out, e) || append_example(command, out, e) ||
        append_exit_status(page, out, e))
        return e->code;
    return str_appendf(out, e, ".SH \"SEE ALSO\"\n.BR %s (1)\n", table->program);
}

static enum err_code append_program_page(const struct opt_table *table, const struct opt_page *page, struct str *out,
                                         struct err *e)
{
    if (append_head(table, NULL, page, out, e) ||
        str_appendf(out, e,
                    "[\\fBmpirun \\-n\\fR \\fIN\\fR]\n.B %s\n\\fICOMMAND\\fR [\\fIoptions\\fR]\n.br\n"
                    ".B %s \\-\\-version\n.SH COMMANDS\n",
                    table->program, table->program))
        return e->code;
    for (size_t i = 0; i < table->command_count; i++) {
        const struct opt_command *command = &table->commands[i];
        if (str_appendf(out, e, ".TP\n.BR %s\\-%s (1)\n", table->program, command->name) ||
            append_text(out, command->help, e) || str_append(out, "\n", 1, e))
            return e->code;
    }
    return append_exit_status(page, out, e);
}

enum err_code opt_append_man(const struct opt_table *table, const struct opt_command *command,
                             const struct opt_page *page, struct str *out, struct err *e)
{
    return command ? append_command_page(table, command, page, out, e) : append_program_page(table, page, out, e);
}
