#include "watch_data.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "run/folder.h"
#include "run/rundir.h"

static int by_name(const void *a, const void *b)
{
    const struct watch_run *const *x = a, *const *y = b;
    return strverscmp((*x)->name, (*y)->name);
}

/* Notes that there is this run, and makes room for it if it is new. */
static enum err_code meet_run(struct watch *w, const char *folder, const char *name, struct err *e)
{
    for (size_t i = 0; i < w->count; i++)
        if (strcmp(w->runs[i]->folder, folder) == 0) {
            w->runs[i]->listed = true;
            return ERR_OK;
        }
    if (w->count == w->room) {
        const size_t room = w->room ? 2 * w->room : 16;
        struct watch_run **runs = realloc(w->runs, room * sizeof(*runs));
        if (!runs)
            return err_set(e, ERR_MEMORY, "no memory for %zu runs", room);
        w->runs = runs;
        w->room = room;
    }
    struct watch_run *r = watch_run_open(folder, name, e);
    if (!r)
        return e->code;
    r->listed = true;
    w->runs[w->count++] = r;
    return ERR_OK;
}

static bool is_run(const char *folder)
{
    return rundir_has(folder, RUNDIR_METRICS) || folder_kind_of(folder) == FOLDER_RUN;
}

/* The runs in a folder, and those of the studies in it; `prefix` goes before their names. */
static enum err_code meet_inside(struct watch *w, const char *folder, const char *prefix, struct err *e)
{
    char path[PATH_MAX], cells[PATH_MAX], name[PATH_MAX];
    DIR *dir = opendir(folder);
    struct err ignored;
    enum err_code code = ERR_OK;
    for (struct dirent *entry; !code && dir && (entry = readdir(dir));) {
        snprintf(name, sizeof name, "%s%s%s", prefix, *prefix ? "/" : "", entry->d_name);
        if (entry->d_name[0] == '.' || file_join(path, sizeof path, folder, entry->d_name, &ignored) ||
            !file_is_folder(path))
            continue;
        if (!*prefix && rundir_has(path, RUNDIR_STUDY) && !rundir_path(cells, path, RUNDIR_CELLS, &ignored))
            code = meet_inside(w, cells, entry->d_name, e);
        else if (is_run(path))
            code = meet_run(w, path, name, e);
    }
    if (dir)
        closedir(dir);
    return code;
}

/* All runs that are there now; those that are gone are forgotten. */
static enum err_code meet_runs(struct watch *w, struct err *e)
{
    char cells[PATH_MAX];
    for (size_t i = 0; i < w->count; i++)
        w->runs[i]->listed = false;
    const bool study = rundir_has(w->folder, RUNDIR_STUDY);
    if (study && rundir_path(cells, w->folder, RUNDIR_CELLS, e))
        return e->code;
    enum err_code code = meet_inside(w, study ? cells : w->folder, "", e);
    size_t kept = 0;
    for (size_t i = 0; i < w->count; i++)
        if (w->runs[i]->listed)
            w->runs[kept++] = w->runs[i];
        else
            watch_run_close(w->runs[i]);
    w->count = kept;
    if (w->count)
        qsort(w->runs, w->count, sizeof(*w->runs), by_name);
    return code;
}

enum err_code watch_open(struct watch **out, const char *folder, const char *log, struct err *e)
{
    struct watch *w = calloc(1, sizeof *w);
    *out = w;
    if (!w || !(w->folder = strdup(folder)) || (log && !(w->log = strdup(log)))) {
        watch_close(w);
        *out = NULL;
        return err_set(e, ERR_MEMORY, "no memory to watch %s", folder);
    }
    w->single = is_run(folder) && !rundir_has(folder, RUNDIR_STUDY);
    enum err_code code = w->single ? meet_run(w, folder, folder, e) : meet_runs(w, e);
    if (!code && !w->count)
        code = rundir_has(folder, RUNDIR_STUDY)
                   ? err_set(e, ERR_USAGE, "%s: no cell of this study has begun yet", folder)
                   : folder_refuse(folder, "the folder of a run, nor one with runs in it", e);
    if (!code && log && !w->single)
        code = err_set(e, ERR_USAGE, "--log is for one run, and %s holds several: give the folder of one of them",
                       folder);
    if (!code && log && !file_exists(log))
        code = err_set_errno(e, ENOENT, "cannot open %s", log);
    if (code) {
        watch_close(w);
        *out = NULL;
    }
    return code;
}

void watch_close(struct watch *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < w->count; i++)
        watch_run_close(w->runs[i]);
    free(w->runs);
    free(w->folder);
    free(w->log);
    free(w);
}

static enum err_code take_message(void *context, const char *line, size_t length, struct err *e)
{
    struct watch *w = context;
    (void)e;
    static const char warning[] = "warning: ", error[] = "mpilora: ";
    _Static_assert(sizeof warning == sizeof error, "they are compared with as many bytes");
    if (length >= strlen(warning) &&
        (!memcmp(line, warning, strlen(warning)) || !memcmp(line, error, strlen(error)))) {
        char *to = w->warnings[w->warned++ % WATCH_WARNINGS];
        str_make_visible(to, sizeof w->warnings[0], line, length, "");
    }
    return ERR_OK;
}

static void forget_messages(void *context)
{
    ((struct watch *)context)->warned = 0;
}

enum err_code watch_read(struct watch *w, size_t most, double now, bool *more, struct err *e)
{
    const struct watch_taker taker = {take_message, forget_messages, w};
    *more = false;
    if (!w->single && meet_runs(w, e))
        return e->code;
    for (size_t i = 0; i < w->count; i++)
        if (watch_run_read(w->runs[i], most, now, more, e))
            return e->code;
    return w->log ? watch_tail_read(&w->tail, w->log, most, more, &taker, e) : ERR_OK;
}

double watch_time(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

bool watch_is_at_work(const struct watch *w)
{
    for (size_t i = 0; i < w->count; i++)
        if (w->runs[i]->state == WATCH_WAITING || w->runs[i]->state == WATCH_RUNNING ||
            w->runs[i]->state == WATCH_SILENT)
            return true;
    return false;
}

uint64_t watch_mark(const struct watch *w)
{
    uint64_t mark = w->count;
    for (size_t i = 0; i < w->count; i++) {
        const struct watch_run *r = w->runs[i];
        const uint64_t parts[] = {r->lines, r->bad_lines, r->last.step,
                                  r->evaluated, r->checkpoint, (uint64_t)r->state};
        for (size_t k = 0; k < sizeof parts / sizeof *parts; k++)
            mark = 1000003 * mark + parts[k];
    }
    return mark;
}

size_t watch_count(const struct watch *w)
{
    return w->count;
}

const struct watch_run *watch_at(const struct watch *w, size_t i)
{
    return w->runs[i];
}
