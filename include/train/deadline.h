/*
 * The time at which this process must be gone: what --time-limit says, or Slurm's end of the job. A run looks
 * at it between steps and leaves, with a checkpoint, while there is time for one.
 *
 * A session owns one (train/session.h). Whoever works or saves tells it how long that took; whoever is at a place
 * where a run may end asks it.
 */
#ifndef MPILORA_TRAIN_DEADLINE_H
#define MPILORA_TRAIN_DEADLINE_H

#include <stdbool.h>

#include "run/options.h"

/* A zeroed one never comes. */
struct deadline {
    double ends;          /* on the clock of cpu_seconds(); 0: never */
    double save_expected; /* seconds for the bytes of a save, until one was measured */
    double save_longest, work_longest;
};

/* Why a rank wants to stop. */
enum stop_reason { STOP_NOT, STOP_SIGNAL, STOP_TIME };

/* `limit`, a value of --time-limit: a time from the start of the process; TIME_LIMIT_OF_JOB: to the end that
 * Slurm has set for the job (SLURM_JOB_END_TIME), if it says; a value of it from another job, or that has passed, is
 * ignored with a warning; TIME_LIMIT_NONE: no limit. What was noted stays. */
void deadline_set(struct deadline *d, const struct opt_time *limit);

/* What is known of the time that it takes to leave: seconds that a save took, or that its bytes may
 * take; and seconds of work between two looks at the clock. The longest count. */
void deadline_expect_save(struct deadline *d, double seconds);
void deadline_note_save(struct deadline *d, double seconds);
void deadline_note_work(struct deadline *d, double seconds);

/* Two more pieces of work, a save and an end might be too much. */
bool deadline_is_near(const struct deadline *d);

/* Why this rank wants to stop: a signal (train/stop.h) comes first. */
enum stop_reason deadline_or_signal(const struct deadline *d);

#endif
