/*
 * The time at which this process must have ended: --time-limit, or the end that Slurm has set for the job. A run
 * checks it between steps and stops, with a checkpoint, while there is still time for one.
 *
 * A session owns one (train/session.h). Code that computes or saves tells it how long that took; code that could
 * end a run asks it.
 */
#ifndef MPILORA_TRAIN_DEADLINE_H
#define MPILORA_TRAIN_DEADLINE_H

#include <stdbool.h>

#include "run/options.h"

/* A zeroed deadline never comes. */
struct deadline {
    double ends;          /* on the clock of cpu_seconds(); 0: never */
    double save_expected; /* expected seconds of a save, until one has been measured */
    double save_longest, work_longest;
};

/* Why a rank wants to stop. */
enum stop_reason { STOP_NOT, STOP_SIGNAL, STOP_TIME };

/* Sets the end from a value of --time-limit: a time from the start of the process; TIME_LIMIT_OF_JOB: the end that
 * Slurm has set for the job (SLURM_JOB_END_TIME), if set; a value from another job, or one that has passed, is
 * ignored with a warning; TIME_LIMIT_NONE: no limit. The noted durations stay. */
void deadline_set(struct deadline *d, const struct opt_time *limit);

/* Note how long it may take to stop: the expected seconds of a save, the measured seconds of a save, and the
 * seconds of work between two checks. The longest ones count. */
void deadline_expect_save(struct deadline *d, double seconds);
void deadline_note_save(struct deadline *d, double seconds);
void deadline_note_work(struct deadline *d, double seconds);

/* Is the remaining time possibly too short for two more pieces of work, a save and the end of the process? */
bool deadline_is_near(const struct deadline *d);

/* Why this rank wants to stop; a signal (train/signals.h) takes precedence. */
enum stop_reason deadline_or_signal(const struct deadline *d);

#endif
