#include "run/rundir.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "export/peft_names.h"

#define NAME_FORMAT "step-%08" PRIu64 ".h5"
#define NAME_SIZE   64

enum err_code rundir_checkpoint_path(char path[PATH_MAX], const char *folder, uint64_t step, struct err *e)
{
    char name[NAME_SIZE];
    snprintf(name, sizeof name, "checkpoints/" NAME_FORMAT, step);
    return file_join(path, PATH_MAX, folder, name, e);
}

static enum err_code link_path(char path[PATH_MAX], const char *folder, struct err *e)
{
    return file_join(path, PATH_MAX, folder, "checkpoints/latest", e);
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
    if (file_join(path, sizeof path, folder, "checkpoints", e))
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
        else if (!code)
            log_warn("checkpoint skipped: %s", e->message);
    }
    if (!code && count && !*found)
        code = err_set(
            e, ERR_FORMAT,
            "none of the %zu checkpoints in %s/checkpoints can be used (the newest that verifies would be): "
            "start again in another --output, or with --resume never --overwrite",
            count, folder);
    arena_release(&arena);
    return code;
}

static enum err_code point_latest(const char *folder, uint64_t step, struct err *e)
{
    char path[PATH_MAX], temporary[PATH_MAX], target[NAME_SIZE];
    if (link_path(path, folder, e))
        return e->code;
    if ((size_t)snprintf(temporary, sizeof temporary, "%s.tmp", path) >= sizeof temporary)
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

enum err_code rundir_settle(const char *folder, uint64_t step, uint64_t keep, struct err *e)
{
    struct arena arena = {0};
    uint64_t *steps;
    size_t count;
    enum err_code code = point_latest(folder, step, e);
    if (!code)
        code = rundir_list(&steps, &count, folder, &arena, e);
    if (!code && keep) {
        size_t upto = 0; /* later ones are another run's, or damaged and passed over: not ours to delete */
        while (upto < count && steps[upto] <= step)
            upto++;
        for (size_t i = 0; !code && i + keep < upto; i++)
            code = delete_checkpoint(folder, steps[i], e);
    }
    arena_release(&arena);
    return code;
}

void rundir_clean(const char *folder)
{
    /* Names under which files are built; digits follow. */
    static const struct {
        const char *place, *prefix;
    } temporaries[] = {{"checkpoints", ".step-"},
                       {"checkpoints", "latest.tmp"},
                       {".", "config.yaml.tmp"},
                       {".", "metrics.jsonl.tmp"},
                       {"adapter", "adapter_config.json.tmp"},
                       {"adapter", "adapter_model.safetensors.tmp"}};
    for (size_t i = 0; i < sizeof temporaries / sizeof *temporaries; i++) {
        char place[PATH_MAX], path[PATH_MAX];
        struct err ignored; /* what cannot be deleted is in nobody's way */
        const char *prefix = temporaries[i].prefix;
        DIR *dir =
            file_join(place, sizeof place, folder, temporaries[i].place, &ignored) ? NULL : opendir(place);
        for (const struct dirent *entry; dir && (entry = readdir(dir));)
            if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0 &&
                !file_join(path, sizeof path, place, entry->d_name, &ignored))
                unlink(path);
        if (dir)
            closedir(dir);
    }
}

static bool is_older(const struct stat *a, const struct stat *b)
{
    return a->st_mtim.tv_sec != b->st_mtim.tv_sec ? a->st_mtim.tv_sec < b->st_mtim.tv_sec
                                                  : a->st_mtim.tv_nsec < b->st_mtim.tv_nsec;
}

bool rundir_is_exported(const char *folder, uint64_t step)
{
    static const char *const names[] = {"adapter/" PEFT_TENSORS, "adapter/" PEFT_CONFIG};
    char path[PATH_MAX];
    struct err ignored;
    struct stat checkpoint, file;
    if (rundir_checkpoint_path(path, folder, step, &ignored) || stat(path, &checkpoint))
        return false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (file_join(path, sizeof path, folder, names[i], &ignored) || stat(path, &file) ||
            !S_ISREG(file.st_mode) || is_older(&file, &checkpoint))
            return false;
    return true;
}

bool rundir_holds(const char *folder, const char *checkpoint)
{
    char path[PATH_MAX], real[PATH_MAX], its[PATH_MAX];
    struct err ignored;
    if (file_join(path, sizeof path, folder, "checkpoints", &ignored) || !realpath(path, real) ||
        !realpath(checkpoint, its))
        return false;
    char *slash = strrchr(its, '/');
    *slash = '\0';
    return strcmp(real, its) == 0;
}

enum err_code rundir_delete_from(const char *folder, uint64_t step, struct err *e)
{
    struct arena arena = {0};
    uint64_t *steps;
    size_t count = 0;
    char path[PATH_MAX];
    enum err_code code = link_path(path, folder, e);
    if (!code)
        code = rundir_list(&steps, &count, folder, &arena, e);
    size_t left = 0;
    while (left < count && steps[left] < step)
        left++;
    for (size_t i = left; !code && i < count; i++)
        code = delete_checkpoint(folder, steps[i], e);
    if (!code && left)
        code = point_latest(folder, steps[left - 1], e);
    else if (!code && count && unlink(path) && errno != ENOENT)
        code = err_set_errno(e, errno, "cannot delete %s", path);
    arena_release(&arena);
    return code;
}
