#include "run/first_day.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/yaml.h"
#include "data/examples/chat.h"
#include "io/json.h"
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

/* The first line of answers that were interrupted. */
static bool find_in_answers(char date[CHAT_DATE_SIZE], const char *output)
{
    char path[PATH_MAX];
    struct file_map map;
    struct json *doc = NULL;
    struct err ignored;
    if ((size_t)snprintf(path, sizeof path, "%s" ANSWERS_PART, output) >= sizeof path || !file_exists(path) ||
        file_map_open(&map, path, &ignored))
        return false;
    const unsigned char *end = memchr(map.data, '\n', map.size);
    bool found = end && !json_open_bytes(&doc, (const char *)map.data, (size_t)(end - map.data), NULL, &ignored);
    const char *text = found ? json_text(json_get(json_root(doc), ANSWERS_DATE)) : NULL;
    found = text && strlen(text) < CHAT_DATE_SIZE;
    if (found)
        snprintf(date, CHAT_DATE_SIZE, "%s", text);
    json_close(doc);
    file_map_close(&map);
    return found;
}

/* What the run that this one goes on from has recorded. */
static bool find_recorded(char date[CHAT_DATE_SIZE], const struct options *o)
{
    if (!opt_takes(o->set.command, opt_find(&options_table, "resume")))
        return *o->output && find_in_answers(date, o->output);
    if (o->resume.word == RESUME_NEVER)
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
