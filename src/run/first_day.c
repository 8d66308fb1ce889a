#include "run/first_day.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/yaml.h"
#include "data/examples/chat.h"
#include "run/rundir.h"

static const char option[] = "chat-date";

/* False: these are no recorded options. */
static bool find_in_yaml(char date[CHAT_DATE_SIZE], const char *text, size_t length)
{
    struct arena arena = {0};
    struct yaml_map map = {0};
    struct err ignored;
    bool found = !yaml_read(&map, &arena, option, text, length, &ignored) && map.count > 0;
    date[0] = '\0';
    for (size_t i = 0; found && i < map.count; i++)
        if (!strcmp(map.entries[i].key, option) && map.entries[i].count == 1)
            snprintf(date, CHAT_DATE_SIZE, "%s", map.entries[i].values[0].text);
    arena_release(&arena);
    return found;
}

/* Of a run, or of a study. */
static bool find_in_folder(char date[CHAT_DATE_SIZE], const char *folder)
{
    char path[PATH_MAX];
    struct str text = {0};
    struct err ignored;
    const enum rundir_file file = rundir_has(folder, RUNDIR_STUDY) ? RUNDIR_STUDY : RUNDIR_CONFIG;
    bool found = !rundir_path(path, folder, file, &ignored) && file_exists(path) &&
                 !file_read_all(&text, path, LIMIT_YAML, &ignored) &&
                 find_in_yaml(date, text.data ? text.data : "", text.length);
    str_release(&text);
    return found;
}

static bool find_in_checkpoint(char date[CHAT_DATE_SIZE], const char *path)
{
    struct ckpt c;
    struct err ignored;
    if (ckpt_open(&c, path, &ignored))
        return false;
    bool found = find_in_yaml(date, c.config, strlen(c.config));
    ckpt_close(&c);
    return found;
}

/* What the run that this one goes on from has recorded. */
static bool find_recorded(char date[CHAT_DATE_SIZE], const struct options *o)
{
    if (!opt_takes(o->set.command, opt_find(&options_table, "resume")) || o->resume.word == RESUME_NEVER)
        return false;
    if (o->resume.word == RESUME_AUTO)
        return find_in_folder(date, o->output);
    return file_is_folder(o->resume.text) ? find_in_folder(date, o->resume.text)
                                          : find_in_checkpoint(date, o->resume.text);
}

enum err_code first_day_settle(struct options *o, struct dist *d, struct err *e)
{
    const struct opt_spec *spec = opt_find(&options_table, option);
    char date[CHAT_DATE_SIZE] = "";
    if (!opt_takes(o->set.command, spec) || *o->chat_date)
        return ERR_OK;
    if (d->rank == 0 && !find_recorded(date, o))
        chat_today(date);
    if (dist_broadcast(d, date, sizeof date, 0, e))
        return e->code;
    return opt_set_value(&o->set, spec, date, e);
}
