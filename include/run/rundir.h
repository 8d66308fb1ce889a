/*
 * The output folder of a run: the names in it (run/rundir.def), its checkpoints DIR/checkpoints/step-00000100.h5
 * and the link to the newest. For one rank.
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

/* RUNDIR_OF_TEMPORARY: of the folder for temporary files (file_temporary_folder()). */
enum rundir_owner { RUNDIR_OF_RUN, RUNDIR_OF_STUDY, RUNDIR_OF_REPORT, RUNDIR_OF_TEMPORARY };

enum rundir_file {
#define RUNDIR(code, owner, place, name, kind) RUNDIR_##code,
#include "run/rundir.def"
#undef RUNDIR
    RUNDIR_FILES
};

/* Its own name, for messages, and its path. */
const char *rundir_name(enum rundir_file file);
enum err_code rundir_path(char path[PATH_MAX], const char *folder, enum rundir_file file, struct err *e);

/* Is there such a file or folder? */
bool rundir_has(const char *folder, enum rundir_file file);

/* Path of the checkpoint of a step. */
enum err_code rundir_checkpoint_path(char path[PATH_MAX], const char *folder, uint64_t step, struct err *e);

/* Steps of the checkpoints in the folder, ascending; none if there is no such folder. Memory from `a`. */
enum err_code rundir_list(uint64_t **steps, size_t *count, const char *folder, struct arena *a,
                          struct err *e);

/* Opens the newest checkpoint that verifies; warns of each that it skips, with the reason. *found is false
 * when the folder has none at all; ERR_FORMAT when none verifies. One that is out of reach for now (no permission, no
 * memory, another program at work on it) is not damaged, and not skipped: its error. */
enum err_code rundir_open_newest(struct ckpt *c, bool *found, const char *folder, struct err *e);

/* After the checkpoint of `step` was written: points `latest` to it, and `best` to that of step `best` (0: there is
 * none), and deletes checkpoints of earlier steps but for the best and the newest `keep`, this one included (0: all are
 * kept). */
enum err_code rundir_settle(const char *folder, uint64_t step, uint64_t keep, uint64_t best, struct err *e);

/* Takes over the checkpoint of `step` from the folder that another checkpoint lies in, unless it is that of this run.
 * ERR_IO when there is none. */
enum err_code rundir_take_over(const char *folder, uint64_t step, const char *other, struct err *e);

/* Deletes what processes that were killed while they wrote have left half written of their owner's files. No other
 * run may be at work here; of a report's and of temporary ones, only what no process of this machine can still be at
 * work on. */
void rundir_clean(const char *folder, enum rundir_owner owner);

/* Has the run's adapter been exported since the checkpoint of `step` was written? An export that failed
 * leaves none, or that of an earlier end. */
bool rundir_is_exported(const char *folder, uint64_t step);

/* Is this path one of the checkpoints in the folder? */
bool rundir_holds(const char *folder, const char *checkpoint);

/* Deletes the checkpoints of this step and later ones; `latest` then is the newest that is left, or gone, and so is
 * `best` where its own is. */
enum err_code rundir_delete_from(const char *folder, uint64_t step, struct err *e);

#endif
