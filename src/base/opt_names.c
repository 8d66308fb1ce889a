/* Options and commands by name, and what somebody meant who wrote another one. */
#include <stdio.h>
#include <string.h>

#include "base/opt.h"

const struct opt_spec *opt_find(const struct opt_table *table, const char *name)
{
    for (size_t i = 0; i < table->spec_count; i++)
        if (table->specs[i].name && strcmp(table->specs[i].name, name) == 0)
            return &table->specs[i];
    return NULL;
}

const struct opt_command *opt_find_command(const struct opt_table *table, const char *name)
{
    for (size_t i = 0; i < table->command_count; i++)
        if (strcmp(table->commands[i].name, name) == 0)
            return &table->commands[i];
    return NULL;
}

bool opt_takes(const struct opt_command *command, const struct opt_spec *spec)
{
    return spec->name && (spec->commands & command->bit);
}

bool opt_takes_several(const struct opt_command *command, const struct opt_spec *spec)
{
    return spec->type == OPT_LIST && !(spec->single & command->bit);
}

/* The option of `command` that someone who wrote `word` most likely meant, or NULL. */
static const char *nearest_name(const struct opt_table *table, const struct opt_command *command,
                                const char *word)
{
    const char *names[256] = {0};
    size_t count = 0;
    for (size_t i = 0; i < table->spec_count && count < sizeof names / sizeof *names; i++)
        if (opt_takes(command, &table->specs[i]))
            names[count++] = table->specs[i].name;
    const char *nearest = str_nearest(word, names, count);
    for (size_t i = 0; i < count && !nearest && strlen(word) > 2; i++)
        if (strstr(names[i], word)) /* "rank" for "lora-rank" */
            nearest = names[i];
    return nearest;
}

/* The names of the commands that take an option: "train, eval and probe". */
static void list_commands(char *text, size_t size, const struct opt_table *table, const struct opt_spec *spec)
{
    int left = __builtin_popcount(spec->commands), total = left;
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < table->command_count; i++) {
        if (!opt_takes(&table->commands[i], spec) || used >= size)
            continue;
        const char *separator = left == total ? "" : left == 1 ? " and " : ", ";
        used += (size_t)snprintf(text + used, size - used, "%s%s", separator, table->commands[i].name);
        left--;
    }
}

/* What other programs mean by `name`, of the rows for it the first that helps this command's user; or NULL. */
static const struct opt_peer *find_peer(const struct opt_table *table, const struct opt_command *command,
                                        const char *name)
{
    for (size_t i = 0; i < table->peer_count; i++) {
        const struct opt_peer *peer = &table->peers[i];
        const struct opt_spec *spec = *peer->option ? opt_find(table, peer->option) : NULL;
        if (strcmp(peer->name, name) == 0 && (!*peer->option || (spec && opt_takes(command, spec))))
            return peer;
    }
    return NULL;
}

const struct opt_spec *opt_require(const struct opt_table *table, const struct opt_command *command,
                                   const char *name, const char *dashes, struct err *e)
{
    const struct opt_spec *spec = opt_find(table, name);
    if (spec && opt_takes(command, spec))
        return spec;
    const struct opt_peer *peer = find_peer(table, command, name);
    const char *nearest = peer ? peer->option : nearest_name(table, command, name);
    if (peer && !*peer->option) {
        err_set(e, ERR_USAGE, "unknown option %s%s. %s", dashes, name, peer->note);
    } else if (spec && !peer) {
        char commands[256];
        list_commands(commands, sizeof commands, table, spec);
        err_set(e, ERR_USAGE, "%s%s is not an option of %s; it belongs to %s", dashes, name, command->name,
                commands);
    } else if (nearest) {
        const char *note = peer ? peer->note : "";
        err_set(e, ERR_USAGE, "unknown option %s%s; did you mean %s%s?%s%s", dashes, name, dashes, nearest,
                *note ? " " : "", note);
    } else {
        err_set(e, ERR_USAGE, "unknown option %s%s; see %s %s --help", dashes, name, table->program,
                command->name);
    }
    return NULL;
}

void opt_dash(char *name)
{
    for (; *name; name++)
        if (*name == '_')
            *name = '-';
}

bool opt_names_path(const char *value_name)
{
    static const char *const names[] = {"PATH", "FILE", "DIR"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strncmp(value_name, names[i], strlen(names[i])) == 0 &&
            (!value_name[strlen(names[i])] || strcmp(value_name + strlen(names[i]), OPT_SEVERAL) == 0))
            return true;
    return false;
}
