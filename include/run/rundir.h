/*
 * The output folder of a run: the names of its files (run/rundir.def), its checkpoints
 * DIR/checkpoints/step-00000100.h5 and the links to the newest and the best one. Only one rank calls these
 * functions.
 */
#ifndef MPILORA_RUN_RUNDIR_H
#define MPILORA_RUN_RUNDIR_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "run/ckpt.h"

/* Who owns a file. RUNDIR_OF_TEMPORARY: files in the folder for temporary files (file_temporary_folder()). */
enum rundir_owner { RUNDIR_OF_RUN, RUNDIR_OF_STUDY, RUNDIR_OF_REPORT, RUNDIR_OF_TEMPORARY };

enum rundir_file {
#define RUNDIR(code, owner, place, name, kind) RUNDIR_##code,
#include "run/rundir.def"
#undef RUNDIR
    RUNDIR_FILES
};

/* The name of a file, for messages, and its path. */
const char *rundir_name(enum rundir_file file);
enum err_code rundir_path(char path[PATH_MAX], const char *folder, enum rundir_file file, struct err *e);

/* Is there such a file or folder? */
bool rundir_has(const char *folder, enum rundir_file file);

/* Path of the checkpoint of a step. */
enum err_code rundir_checkpoint_path(char path[PATH_MAX], const char *folder, uint64_t step, struct err *e);

/* Lists the steps of the checkpoints in the folder, ascending; none if there is no such folder. Memory from `a`. */
enum err_code rundir_list(uint64_t **steps, size_t *count, const char *folder, struct arena *a,
                          struct err *e);

/* Opens the newest undamaged checkpoint; warns about each damaged one that it skips, with the reason. *found is
 * false if the folder has no checkpoints; ERR_FORMAT if all are damaged. A checkpoint that cannot be read for
 * another reason (no permission, no memory, another program is writing it) is not skipped; its error is
 * returned. */
enum err_code rundir_open_newest(struct ckpt *c, bool *found, const char *folder, struct err *e);

/* Called after the checkpoint of `step` has been written: makes `latest` a link to it and `best` a link to that of
 * step `best` (0: none), and deletes checkpoints of earlier steps, except the best one and the newest `keep`,
 * including this one (0: keeps all). */
enum err_code rundir_settle(const char *folder, uint64_t step, uint64_t keep, uint64_t best, struct err *e);

/* Copies the checkpoint of `step` from the folder of the checkpoint `other`, unless that is the folder of this run.
 * ERR_IO if there is none. */
enum err_code rundir_take_over(const char *folder, uint64_t step, const char *other, struct err *e);

/* Deletes unfinished files of this owner that killed processes have left. No other run may be working in the
 * folder. Of reports and temporary files it deletes only those on which no process of this machine can still be
 * working. */
void rundir_clean(const char *folder, enum rundir_owner owner);

/* The same of an HDF5 file at `path`, in any folder: what killed processes have left of it that were writing it. */
void rundir_clean_h5(const char *path);

/* Has the adapter been exported, with its model card, after the checkpoint of `step` was written? After a failed export
 * there is no adapter, or an older one. */
bool rundir_is_exported(const char *folder, uint64_t step);

/* Is this path a checkpoint in the folder? */
bool rundir_holds(const char *folder, const char *checkpoint);

/* Deletes the checkpoints of this and later steps. `latest` then leads to the newest remaining one, or is deleted;
 * `best` is deleted together with its checkpoint. */
enum err_code rundir_delete_from(const char *folder, uint64_t step, struct err *e);

#endif
