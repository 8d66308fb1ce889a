#include "run/folder.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "run/export/gguf_adapter.h"
#include "run/export/peft.h"
#include "run/rundir.h"

static const char *const names[] = {[FOLDER_OTHER] = "another folder",
                                    [FOLDER_ADAPTER] = "the folder of an adapter",
                                    [FOLDER_MODEL] = "the folder of a model (config.json)",
                                    [FOLDER_STUDY] = "the folder of a study",
                                    [FOLDER_RUN] = "the folder of a run",
                                    [FOLDER_CELLS] = "the folder of a study's cells",
                                    [FOLDER_CHECKPOINTS] = "the folder of a run's checkpoints"};

static bool holds(const char *folder, const char *name)
{
    char path[PATH_MAX];
    struct err ignored;
    return !file_join(path, sizeof path, folder, name, &ignored) && file_exists(path);
}

/* The folder around it, also of one whose path does not say so ("."). */
static bool find_parent(char parent[PATH_MAX], const char *path)
{
    char real[PATH_MAX];
    if (!realpath(path, real))
        return false;
    snprintf(parent, PATH_MAX, "%s", dirname(real));
    return true;
}

static bool is_inside(const char *path, enum rundir_file file)
{
    char parent[PATH_MAX], other[PATH_MAX], real[PATH_MAX], its[PATH_MAX];
    struct err ignored;
    return find_parent(parent, path) && !rundir_path(other, parent, file, &ignored) && realpath(other, its) &&
           realpath(path, real) && strcmp(real, its) == 0;
}

enum folder_kind folder_kind_of(const char *path)
{
    char parent[PATH_MAX];
    if (!file_is_folder(path))
        return FOLDER_OTHER;
    if (peft_is_folder(path))
        return FOLDER_ADAPTER;
    if (holds(path, "config.json"))
        return FOLDER_MODEL;
    if (rundir_has(path, RUNDIR_STUDY))
        return FOLDER_STUDY;
    if (rundir_has(path, RUNDIR_CONFIG) || rundir_has(path, RUNDIR_CHECKPOINTS))
        return FOLDER_RUN;
    if (is_inside(path, RUNDIR_CELLS) && find_parent(parent, path) && rundir_has(parent, RUNDIR_STUDY))
        return FOLDER_CELLS;
    return is_inside(path, RUNDIR_CHECKPOINTS) || holds(path, rundir_name(RUNDIR_LATEST)) ? FOLDER_CHECKPOINTS
                                                                                         : FOLDER_OTHER;
}

enum err_code folder_check_output(const char *path, enum folder_kind kind, struct err *e)
{
    const enum folder_kind is = folder_kind_of(path);
    if (is == FOLDER_OTHER || is == kind)
        return ERR_OK;
    return err_set(e, ERR_USAGE, "%s is %s, and the files of a %s would mix with it: give another --output", path,
                   names[is], kind == FOLDER_STUDY ? "study" : "run");
}

/* Is it an adapter of this format, as an export leaves it? */
static bool is_exported(const char *path, enum option_format format)
{
    return format == EXPORT_PEFT ? folder_kind_of(path) == FOLDER_ADAPTER
                                 : format == EXPORT_GGUF && gguf_adapter_is(path);
}

enum err_code folder_check_export(const char *path, const char *model, enum option_format format, bool overwrite,
                                  struct err *e)
{
    char real[PATH_MAX], its[PATH_MAX];
    const enum folder_kind is = folder_kind_of(path);
    if (!file_exists(path) || file_holds_only(path, NULL))
        return ERR_OK;
    if (realpath(path, real) && realpath(model, its) && strcmp(real, its) == 0)
        return err_set(e, ERR_USAGE, "%s is the model itself: give another --output", path);
    if (is != FOLDER_OTHER && is != FOLDER_ADAPTER && !(is == FOLDER_MODEL && format == EXPORT_MERGED))
        return err_set(e, ERR_USAGE, "%s is %s, and an export would mix with its files: give another --output", path,
                       names[is]);
    if (format == EXPORT_MERGED)
        return err_set(e, ERR_USAGE, "%s exists already: give another --output, or delete it", path);
    if (!is_exported(path, format))
        return err_set(e, ERR_USAGE,
                       "%s exists already, and is no adapter of this format, which --overwrite could replace: give "
                       "another --output",
                       path);
    if (!overwrite)
        return err_set(e, ERR_USAGE,
                       "%s exists already: give another --output, or --overwrite to replace what is exported there",
                       path);
    return ERR_OK;
}

enum err_code folder_check_reach(const char *path, struct err *e)
{
    if (access(path, file_is_folder(path) ? R_OK | X_OK : R_OK) == 0)
        return ERR_OK;
    if (errno == ENOENT)
        return err_set(e, ERR_USAGE, "%s: there is no such folder", path);
    return err_set_errno(e, errno, "cannot open %s", path);
}

enum err_code folder_refuse(const char *path, const char *wanted, struct err *e)
{
    char instead[3 * PATH_MAX] = "", parent[PATH_MAX];
    const enum folder_kind is = folder_kind_of(path);
    if (folder_check_reach(path, e))
        return e->code;
    if (is == FOLDER_OTHER)
        return err_set(e, ERR_USAGE, "%s: this is not %s%s", path, wanted,
                       !file_is_folder(path)           ? ": it is a file"
                       : file_holds_only(path, NULL) ? ": it is empty"
                                                       : "");
    if (is == FOLDER_STUDY)
        snprintf(instead, sizeof instead, ": give the folder of one of its cells, in %s/%s", path,
                 rundir_name(RUNDIR_CELLS));
    if (is == FOLDER_CELLS)
        snprintf(instead, sizeof instead, ": give one of the folders in it");
    if (is == FOLDER_CHECKPOINTS && find_parent(parent, path))
        snprintf(instead, sizeof instead, ": give that of the run, %s, or one of the files in it, such as %s/%s",
                 parent, path, rundir_name(holds(path, rundir_name(RUNDIR_BEST)) ? RUNDIR_BEST : RUNDIR_LATEST));
    return err_set(e, ERR_USAGE, "%s: this is %s, not %s%s", path, names[is], wanted, instead);
}
