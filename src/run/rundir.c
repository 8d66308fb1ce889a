#include "run/rundir.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "run/export/export.h"
#include "run/export/peft_names.h"

#define NAME_FORMAT "step-%08" PRIu64 ".h5"
#define UNFINISHED  ".step-" /* how names begin under which checkpoints are written (io/h5) */
#define NAME_SIZE   64
#define OLD_SECONDS 600 /* nobody writes a report for so long */

enum kind { WHOLE, OTHER };

static const struct file {
    enum rundir_owner owner;
    const char *place, *name;
    enum kind kind;
} files[] = {
#define RUNDIR(code, owner_, place_, name_, kind_)                                                           \
    {.owner = RUNDIR_OF_##owner_, .place = place_, .name = name_, .kind = kind_},
#include "run/rundir.def"
#undef RUNDIR
};

const char *rundir_name(enum rundir_file file)
{
    return files[file].name;
}

enum err_code rundir_path(char path[PATH_MAX], const char *folder, enum rundir_file file, struct err *e)
{
    char place[PATH_MAX];
    const struct file *f = &files[file];
    if (*f->place && file_join(place, sizeof place, folder, f->place, e))
        return e->code;
    return file_join(path, PATH_MAX, *f->place ? place : folder, f->name, e);
}

bool rundir_has(const char *folder, enum rundir_file file)
{
    char path[PATH_MAX];
    struct err ignored;
    return !rundir_path(path, folder, file, &ignored) && file_exists(path);
}

enum err_code rundir_checkpoint_path(char path[PATH_MAX], const char *folder, uint64_t step, struct err *e)
{
    char place[PATH_MAX], name[NAME_SIZE];
    snprintf(name, sizeof name, NAME_FORMAT, step);
    if (rundir_path(place, folder, RUNDIR_CHECKPOINTS, e))
        return e->code;
    return file_join(path, PATH_MAX, place, name, e);
}

static bool parse_name(uint64_t *step, const char *name)
{
    char again[NAME_SIZE];
    if (sscanf(name, "step-%" SCNu64, step) != 1)
        return false;
    snprintf(again, sizeof again, NAME_FORMAT, *step);
    return strcmp(name, again) == 0; /* so that step-1.h5.tmp and its like are none */
}

static int compare_steps(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Counts the checkpoints, and takes their steps if there is room for them. */
static size_t read_steps(uint64_t *steps, size_t room, DIR *dir)
{
    size_t count = 0;
    uint64_t step;
    rewinddir(dir);
    for (const struct dirent *entry; (entry = readdir(dir));)
        if (parse_name(&step, entry->d_name)) {
            if (count < room)
                steps[count] = step;
            count++;
        }
    return count < room || !room ? count : room;
}

enum err_code rundir_list(uint64_t **steps, size_t *count, const char *folder, struct arena *a, struct err *e)
{
    char path[PATH_MAX];
    *steps = NULL;
    *count = 0;
    if (rundir_path(path, folder, RUNDIR_CHECKPOINTS, e))
        return e->code;
    DIR *dir = opendir(path);
    if (!dir)
        return errno == ENOENT ? ERR_OK : err_set_errno(e, errno, "cannot list the folder %s", path);
    size_t room = read_steps(NULL, 0, dir);
    if (room) {
        *steps = arena_alloc(a, room, sizeof **steps, "list of checkpoints", e);
        *count = *steps ? read_steps(*steps, room, dir) : 0;
        if (*count)
            qsort(*steps, *count, sizeof **steps, compare_steps);
    }
    closedir(dir);
    return room && !*steps ? e->code : ERR_OK;
}

/* A checkpoint could not be opened. Is that for good? */
static bool is_damage(const char *path, const struct err *e)
{
    struct file_in f;
    struct err again;
    if (e->code == ERR_BUSY || e->code == ERR_MEMORY)
        return false;
    if (e->code != ERR_IO || !file_exists(path))
        return true;
    bool in_reach = !file_in_open(&f, path, &again); /* what is in it cannot be read, of a failing disk, say */
    if (in_reach)
        file_in_close(&f);
    return in_reach;
}

enum err_code rundir_open_newest(struct ckpt *c, bool *found, const char *folder, struct err *e)
{
    struct arena arena = {0};
    uint64_t *steps;
    size_t count;
    *found = false;
    enum err_code code = rundir_list(&steps, &count, folder, &arena, e);
    for (size_t i = count; !code && i-- > 0 && !*found;) {
        char path[PATH_MAX];
        code = rundir_checkpoint_path(path, folder, steps[i], e);
        if (!code && ckpt_open(c, path, e) == ERR_OK)
            *found = true;
        else if (!code && !is_damage(path, e))
            code = err_wrap(e, "the checkpoint from which to resume cannot be reached");
        else if (!code)
            log_warn("checkpoint skipped: %s", e->message);
    }
    if (!code && count && !*found)
        code =
            err_set(e, ERR_FORMAT,
                    "none of the %zu checkpoints in %s/%s can be used (the newest that verifies would be): "
                    "start again in another --output",
                    count, folder, rundir_name(RUNDIR_CHECKPOINTS));
    arena_release(&arena);
    return code;
}

/* Makes `link` a link to the checkpoint of `step`. */
static enum err_code point(const char *folder, enum rundir_file link, uint64_t step, struct err *e)
{
    char path[PATH_MAX], temporary[PATH_MAX], target[NAME_SIZE];
    if (rundir_path(path, folder, link, e))
        return e->code;
    if ((size_t)snprintf(temporary, sizeof temporary, "%s" FILE_TEMPORARY, path) >= sizeof temporary)
        return err_set_errno(e, ENAMETOOLONG, "cannot make the link %s", path);
    snprintf(target, sizeof target, NAME_FORMAT, step);
    unlink(temporary); /* left by a process that was killed here */
    if (symlink(target, temporary))
        return err_set_errno(e, errno, "cannot make the link %s", temporary);
    if (rename(temporary, path)) {
        int reason = errno;
        unlink(temporary);
        return err_set_errno(e, reason, "cannot rename %s to %s", temporary, path);
    }
    return ERR_OK;
}

static enum err_code delete_checkpoint(const char *folder, uint64_t step, struct err *e)
{
    char path[PATH_MAX];
    if (rundir_checkpoint_path(path, folder, step, e))
        return e->code;
    return unlink(path) && errno != ENOENT ? err_set_errno(e, errno, "cannot delete %s", path) : ERR_OK;
}

enum err_code rundir_settle(const char *folder, uint64_t step, uint64_t keep, uint64_t best, struct err *e)
{
    struct arena arena = {0};
    uint64_t *steps;
    size_t count;
    enum err_code code = point(folder, RUNDIR_LATEST, step, e);
    if (!code && best)
        code = point(folder, RUNDIR_BEST, best, e);
    if (!code)
        code = rundir_list(&steps, &count, folder, &arena, e);
    if (!code && keep) {
        size_t upto = 0; /* later ones are another run's, or damaged and passed over: not ours to delete */
        while (upto < count && steps[upto] <= step)
            upto++;
        for (size_t i = 0; !code && i + keep < upto; i++)
            if (steps[i] != best)
                code = delete_checkpoint(folder, steps[i], e);
    }
    arena_release(&arena);
    return code;
}

/* Might a process of this machine be at work on a file of such a name, whose digits are its number? Not on an old one:
 * its number was given to another since, as in containers, where numbers are small. */
static bool is_at_work(const char *path, const char *digits)
{
    char *end;
    struct stat st;
    long process = strtol(digits, &end, 10);
    bool is_old = stat(path, &st) == 0 && st.st_mtim.tv_sec + OLD_SECONDS < time(NULL);
    return !*end && !is_old && process > 0 && process <= INT_MAX &&
           (kill((pid_t)process, 0) == 0 || errno == EPERM);
}

/* Deletes what begins so in the folder. */
static void sweep(const char *folder, const char *place, const char *prefix, bool careful)
{
    char at[PATH_MAX], path[PATH_MAX];
    struct err ignored; /* what cannot be deleted is in nobody's way */
    size_t length = strlen(prefix);
    DIR *dir = file_join(at, sizeof at, folder, *place ? place : ".", &ignored) ? NULL : opendir(at);
    for (const struct dirent *entry; dir && (entry = readdir(dir));)
        if (strncmp(entry->d_name, prefix, length) == 0 &&
            !file_join(path, sizeof path, at, entry->d_name, &ignored) &&
            !(careful && is_at_work(path, entry->d_name + length)))
            unlink(path);
    if (dir)
        closedir(dir);
}

void rundir_clean(const char *folder, enum rundir_owner owner)
{
    char prefix[NAME_SIZE];
    for (size_t i = 0; i < RUNDIR_FILES; i++) {
        if (files[i].owner != owner || files[i].kind != WHOLE)
            continue;
        snprintf(prefix, sizeof prefix, "%s" FILE_TEMPORARY, files[i].name);
        sweep(folder, files[i].place, prefix, owner != RUNDIR_OF_RUN);
    }
    if (owner != RUNDIR_OF_RUN)
        return;
    sweep(folder, files[RUNDIR_CHECKPOINTS].name, UNFINISHED, false);
    snprintf(prefix, sizeof prefix, ".%s.", files[RUNDIR_REFERENCE].name);
    sweep(folder, files[RUNDIR_CHECKPOINTS].name, prefix, false);
}

void rundir_clean_h5(const char *path)
{
    char folder[PATH_MAX], prefix[PATH_MAX];
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(name - path) : 1, slash ? path : ".");
    snprintf(prefix, sizeof prefix, ".%s.tmp-", name); /* as h5_create() has it */
    sweep(folder, "", prefix, true);
}

static bool is_older(const struct stat *a, const struct stat *b)
{
    return a->st_mtim.tv_sec != b->st_mtim.tv_sec ? a->st_mtim.tv_sec < b->st_mtim.tv_sec
                                                  : a->st_mtim.tv_nsec < b->st_mtim.tv_nsec;
}

bool rundir_is_exported(const char *folder, uint64_t step)
{
    static const enum rundir_file exported[] = {RUNDIR_ADAPTER_TENSORS, RUNDIR_ADAPTER_CONFIG,
                                                RUNDIR_ADAPTER_CARD};
    char path[PATH_MAX];
    struct err ignored;
    struct stat checkpoint, file;
    if (rundir_checkpoint_path(path, folder, step, &ignored) || stat(path, &checkpoint))
        return false;
    for (size_t i = 0; i < sizeof exported / sizeof *exported; i++)
        if (rundir_path(path, folder, exported[i], &ignored) || stat(path, &file) || !S_ISREG(file.st_mode) ||
            is_older(&file, &checkpoint))
            return false;
    return true;
}

bool rundir_holds(const char *folder, const char *checkpoint)
{
    char path[PATH_MAX], real[PATH_MAX], its[PATH_MAX];
    struct err ignored;
    if (rundir_path(path, folder, RUNDIR_CHECKPOINTS, &ignored) || !realpath(path, real) ||
        !realpath(checkpoint, its))
        return false;
    char *slash = strrchr(its, '/');
    *slash = '\0';
    return strcmp(real, its) == 0;
}

enum err_code rundir_take_over(const char *folder, uint64_t step, const char *other, struct err *e)
{
    char path[PATH_MAX], from[PATH_MAX], real[PATH_MAX], name[NAME_SIZE], place[PATH_MAX], unfinished[PATH_MAX];
    struct file_map map;
    if (!realpath(other, real))
        return err_set_errno(e, errno, "cannot find %s", other);
    *strrchr(real, '/') = '\0';
    snprintf(name, sizeof name, NAME_FORMAT, step);
    if (rundir_holds(folder, other))
        return rundir_checkpoint_path(path, folder, step, e) ? e->code
               : file_exists(path)                           ? ERR_OK
                                   : err_set(e, ERR_IO, "there is no file %s", path);
    if (rundir_path(place, folder, RUNDIR_CHECKPOINTS, e) || file_make_folders(place, e) ||
        file_join(unfinished, sizeof unfinished, place, UNFINISHED "taken", e) ||
        rundir_checkpoint_path(path, folder, step, e) || file_join(from, sizeof from, real, name, e) ||
        file_map_open(&map, from, e))
        return e->code;
    enum err_code code = file_write_atomic(unfinished, map.data, map.size, e);
    file_map_close(&map);
    return code ? code : file_commit(unfinished, path, e);
}

enum err_code rundir_delete_from(const char *folder, uint64_t step, struct err *e)
{
    struct arena arena = {0};
    uint64_t *steps;
    size_t count = 0;
    char path[PATH_MAX];
    enum err_code code = rundir_path(path, folder, RUNDIR_LATEST, e);
    if (!code)
        code = rundir_list(&steps, &count, folder, &arena, e);
    size_t left = 0;
    while (left < count && steps[left] < step)
        left++;
    for (size_t i = left; !code && i < count; i++)
        code = delete_checkpoint(folder, steps[i], e);
    if (!code && left)
        code = point(folder, RUNDIR_LATEST, steps[left - 1], e);
    else if (!code && count && unlink(path) && errno != ENOENT)
        code = err_set_errno(e, errno, "cannot delete %s", path);
    if (!code && !rundir_path(path, folder, RUNDIR_BEST, e) && !file_exists(path)) /* nor what it points to */
        unlink(path);
    arena_release(&arena);
    return code;
}
