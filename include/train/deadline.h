/*
 * The time at which this process must be gone: what --time-limit says, or Slurm's end of the job. A run looks
 * at it between steps and leaves, with a checkpoint, while there is time for one.
 */
#ifndef MPILORA_TRAIN_DEADLINE_H
#define MPILORA_TRAIN_DEADLINE_H

#include <stdbool.h>

#include "base/err.h"

/* Seconds of a time as Slurm writes it: M, M:S, H:M:S, D-H, D-H:M, D-H:M:S; or a number with s, m or h behind
 * it. ERR_USAGE for anything else. */
enum err_code deadline_parse(double *seconds, const char *text, struct err *e);

/* `limit`, from the start of the process. "": to the end that Slurm has set for the job (SLURM_JOB_END_TIME),
 * if it says; "none": no limit. */
enum err_code deadline_set(const char *limit, struct err *e);

/* What is known of the time that it takes to leave: seconds that a save took, or may take; and seconds of
 * work between two looks at the clock. The longest count. */
void deadline_expect_save(double seconds);
void deadline_note_save(double seconds);
void deadline_note_work(double seconds);

/* Two more pieces of work, a save and an end might be too much. */
bool deadline_is_near(void);

/* Why this rank wants to stop. */
enum stop_reason { STOP_NOT, STOP_SIGNAL, STOP_TIME };
enum stop_reason deadline_or_signal(void);

#endif
