/* Options as completion scripts of shells. */
#include <ctype.h>
#include <string.h>

#include "base/opt.h"

/* Does the option take the name of a file or a folder? */
static bool takes_path(const struct opt_spec *spec)
{
    return opt_names_path(spec->value_name);
}

static bool takes_word(const struct opt_spec *spec)
{
    return spec->words && spec->words->text;
}

/* The words that the option takes, each after a blank. */
static enum err_code append_words(struct str *out, const struct opt_spec *spec, struct err *e)
{
    enum err_code code = ERR_OK;
    for (const struct opt_word *w = spec->words; !code && w && w->text; w++)
        code = str_appendf(out, e, " %s", w->text);
    return code;
}

/* The beginning of a help text, up to the end of its first statement, without what shells read. */
static enum err_code append_brief(struct str *out, const char *help, struct err *e)
{
    size_t length = strcspn(help, ";:");
    const char *stop = strstr(help, ". ");
    if (stop && (size_t)(stop - help) < length)
        length = (size_t)(stop - help);
    enum err_code code = ERR_OK;
    for (size_t i = 0; !code && i < length; i++)
        if (!strchr("'\"\\`$", help[i]))
            code = str_append(out, help[i] == '[' ? "(" : help[i] == ']' ? ")" : &help[i], 1, e);
    return code;
}

static enum err_code append_brief_of(struct str *out, const struct opt_spec *spec, const struct opt_command *command,
                                     struct err *e)
{
    struct str statement = {0};
    enum err_code code = opt_append_statement(&statement, spec, command, e);
    if (!code)
        code = append_brief(out, statement.data ? statement.data : "", e);
    str_release(&statement);
    return code;
}

typedef enum err_code append_option_function(const struct opt_table *table, const struct opt_command *command,
                                             const struct opt_spec *spec, struct str *out, struct err *e);

/* Calls `append` for each option that the command takes. */
static enum err_code each_option(const struct opt_table *table, const struct opt_command *command,
                                 append_option_function *append, struct str *out, struct err *e)
{
    enum err_code code = ERR_OK;
    for (size_t i = 0; !code && i < table->spec_count; i++)
        if (opt_takes(command, &table->specs[i]))
            code = append(table, command, &table->specs[i], out, e);
    return code;
}

static enum err_code append_command_names(const struct opt_table *table, struct str *out, struct err *e)
{
    enum err_code code = ERR_OK;
    for (size_t i = 0; !code && i < table->command_count; i++)
        code = str_appendf(out, e, " %s", table->commands[i].name);
    return code;
}

static enum err_code bash_option(const struct opt_table *table, const struct opt_command *command,
                                 const struct opt_spec *spec, struct str *out, struct err *e)
{
    (void)table;
    (void)command;
    if (str_appendf(out, e, " --%s", spec->name))
        return e->code;
    return spec->type == OPT_FLAG ? str_appendf(out, e, " --no-%s", spec->name) : ERR_OK;
}

/* What may follow an option; the same for all commands. */
static enum err_code bash_values(const struct opt_spec *spec, struct str *out, struct err *e)
{
    if (!spec->name || spec->type == OPT_FLAG)
        return ERR_OK;
    if (str_appendf(out, e, "    --%s) words='", spec->name) || append_words(out, spec, e))
        return e->code;
    return str_appendf(out, e, "' files=%s ;;\n", takes_path(spec) ? "1" : "");
}

static enum err_code append_bash(const struct opt_table *table, struct str *out, struct err *e)
{
    const char *program = table->program;
    if (str_appendf(out, e,
                    "# bash completion of %s\n_%s() {\n"
                    "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} words= files=\n"
                    "    local command=${COMP_WORDS[1]}\n"
                    "    if [ \"$COMP_CWORD\" = 1 ]; then\n        COMPREPLY=($(compgen -W '",
                    program, program) ||
        append_command_names(table, out, e) ||
        str_appendf(out, e, " --help --version' -- \"$word\"))\n        return\n    fi\n    case $before in\n"))
        return e->code;
    for (size_t i = 0; i < table->spec_count; i++)
        if (bash_values(&table->specs[i], out, e))
            return e->code;
    if (str_appendf(out, e, "    *)\n        case $command in\n"))
        return e->code;
    for (size_t i = 0; i < table->command_count; i++) {
        const struct opt_command *command = &table->commands[i];
        if (str_appendf(out, e, "        %s) files=%s words='", command->name,
                        opt_names_path(command->argument) ? "1" : "") ||
            each_option(table, command, bash_option, out, e) || str_appendf(out, e, " --help' ;;\n"))
            return e->code;
    }
    return str_appendf(out, e,
                       "        esac\n        ;;\n    esac\n"
                       "    COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
                       "    if [ -n \"$files\" ] && [ \"${word#-}\" = \"$word\" ]; then\n"
                       "        compopt -o filenames 2>/dev/null\n"
                       "        mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- \"$word\")\n    fi\n}\n"
                       "complete -F _%s %s\n",
                       program, program);
}

static enum err_code zsh_option(const struct opt_table *table, const struct opt_command *command,
                                const struct opt_spec *spec, struct str *out, struct err *e)
{
    (void)table;
    const char *repeated = opt_takes_several(command, spec) ? "*" : "";
    if (str_appendf(out, e, "            '%s--%s[", repeated, spec->name) || append_brief_of(out, spec, command, e))
        return e->code;
    if (spec->type == OPT_FLAG) {
        if (str_appendf(out, e, "]' \\\n            '--no-%s[not: ", spec->name) ||
            append_brief_of(out, spec, command, e))
            return e->code;
        return str_appendf(out, e, "]' \\\n");
    }
    if (str_appendf(out, e, "]:%s:", *spec->value_name ? spec->value_name : "word"))
        return e->code;
    if (takes_word(spec) && (str_appendf(out, e, "(") || append_words(out, spec, e) || str_appendf(out, e, ")")))
        return e->code;
    if (!takes_word(spec) && takes_path(spec) && str_appendf(out, e, "_files"))
        return e->code;
    return str_appendf(out, e, "' \\\n");
}

static enum err_code append_zsh(const struct opt_table *table, struct str *out, struct err *e)
{
    const char *program = table->program;
    if (str_appendf(out, e, "#compdef %s\n_%s() {\n    local -a commands=(\n", program, program))
        return e->code;
    for (size_t i = 0; i < table->command_count; i++)
        if (str_appendf(out, e, "        '%s:", table->commands[i].name) ||
            append_brief(out, table->commands[i].help, e) || str_appendf(out, e, "'\n"))
            return e->code;
    if (str_appendf(out, e,
                    "    )\n    if (( CURRENT == 2 )); then\n"
                    "        _describe command commands\n        return\n    fi\n"
                    "    local command=$words[2]\n    shift words\n    (( CURRENT-- ))\n    case $command in\n"))
        return e->code;
    for (size_t i = 0; i < table->command_count; i++) {
        const struct opt_command *command = &table->commands[i];
        if (str_appendf(out, e, "    %s)\n        _arguments \\\n", command->name) ||
            each_option(table, command, zsh_option, out, e))
            return e->code;
        const char *which = str_ends_with(command->argument, OPT_SEVERAL) ? "*" : "1";
        if (*command->argument && str_appendf(out, e, "            '%s:%s:%s' \\\n", which, command->argument,
                                              opt_names_path(command->argument) ? "_files" : ""))
            return e->code;
        if (str_appendf(out, e, "            '--help[show the options]'\n        ;;\n"))
            return e->code;
    }
    return str_appendf(out, e,
                       "    esac\n}\n"
                       "if [ \"$funcstack[1]\" = _%s ]; then\n    _%s \"$@\"\nelse\n    compdef _%s %s\nfi\n",
                       program, program, program, program);
}

static enum err_code fish_option(const struct opt_table *table, const struct opt_command *command,
                                 const struct opt_spec *spec, struct str *out, struct err *e)
{
    for (int off = 0; off <= (spec->type == OPT_FLAG); off++) {
        if (str_appendf(out, e, "complete -c %s -n '__fish_seen_subcommand_from %s' -l %s%s", table->program,
                        command->name, off ? "no-" : "", spec->name))
            return e->code;
        if (takes_word(spec) && (str_appendf(out, e, " -a '") || append_words(out, spec, e) ||
                                 str_appendf(out, e, "'")))
            return e->code;
        if (str_appendf(out, e, "%s -d '%s", spec->type == OPT_FLAG ? "" : takes_path(spec) ? " -rF" : " -x",
                        off ? "not: " : "") ||
            append_brief_of(out, spec, command, e) || str_appendf(out, e, "'\n"))
            return e->code;
    }
    return ERR_OK;
}

static enum err_code append_fish(const struct opt_table *table, struct str *out, struct err *e)
{
    const char *program = table->program;
    if (str_appendf(out, e, "# fish completion of %s\ncomplete -c %s -f\n", program, program))
        return e->code;
    for (size_t i = 0; i < table->command_count; i++) {
        const struct opt_command *command = &table->commands[i];
        if (str_appendf(out, e, "complete -c %s -n __fish_use_subcommand -a %s -d '", program, command->name) ||
            append_brief(out, command->help, e) || str_appendf(out, e, "'\n") ||
            each_option(table, command, fish_option, out, e))
            return e->code;
        if (opt_names_path(command->argument) &&
            str_appendf(out, e, "complete -c %s -n '__fish_seen_subcommand_from %s' -F\n", program, command->name))
            return e->code;
    }
    return ERR_OK;
}

enum err_code opt_append_completion(const struct opt_table *table, const char *shell, struct str *out, struct err *e)
{
    static const struct {
        const char *name;
        enum err_code (*append)(const struct opt_table *table, struct str *out, struct err *e);
    } shells[] = {{"bash", append_bash}, {"zsh", append_zsh}, {"fish", append_fish}};
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++)
        if (!strcmp(shell, shells[i].name))
            return shells[i].append(table, out, e);
    return err_set(e, ERR_USAGE, "there is completion for bash, zsh and fish, not for '%s'", shell);
}
