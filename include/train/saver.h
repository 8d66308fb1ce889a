/*
 * Saves checkpoints while training continues, and handles failing saves. Used only on rank 0.
 *
 * A separate thread writes a checkpoint from a copy of the adapter's arrays. So training waits only for the copy,
 * and for an earlier save that has not finished. No other code of the process may call the HDF5 library meanwhile.
 * If a save fails (a full disk, a quota, a missing folder), a warning is printed and the save is retried; the run
 * ends only after `failures_max` failures in a row, or at once if another run has taken over the folder (ERR_BUSY).
 * The checkpoint on disk stays until a newer one is complete. If the disk does not answer, the saver waits and
 * prints a warning: between two steps it waits `patience` seconds each time that a save is due; at the end of the
 * run it waits without limit.
 */
#ifndef MPILORA_TRAIN_SAVER_H
#define MPILORA_TRAIN_SAVER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "model/lora.h"
#include "ranks/duty.h"
#include "run/ckpt.h"
#include "run/runlock.h"
#include "run/trace.h"
#include "train/deadline.h"

/* Settings that do not change during the run; all of it belongs to the caller. */
struct saver_facts {
    const struct runlock *lock; /* of the run's folder; its metrics are on disk before a checkpoint is */
    uint64_t keep;              /* number of newest checkpoints to keep; 0: all */
    bool keep_best;             /* also keep that of the best evaluation */
    uint64_t every;             /* steps between saves: the longest pause before a retry; 0: no limit */
    uint64_t failures_max;
    double patience;   /* seconds to wait for a save before a warning */
    uint64_t begun_at; /* step at which this process started. When the first later checkpoint is on disk, a file is
                        * created at the path in MPILORA_SAVED, if a job script has set it */
    const struct ckpt_identity *identity;
    const char *config, *lora_init;
    const struct trace_record *trace; /* existing rows never change */
    struct deadline *deadline;        /* gets the duration of each save */
};

struct saver {
    struct saver_facts facts;
    const struct lora *lora;
    const struct lora_moments *moments;
    struct ckpt_state saved; /* the state on disk, if has_saved */
    bool has_saved, noted;   /* noted: the job script has been told */
    uint64_t failures; /* in a row */
    uint64_t retry_at; /* the step at which to retry after a failure */
    pthread_mutex_t lock;     /* held by the thread that uses the saver; also protects the fields below */
    struct ckpt_state whole;  /* the state of the arrays, if is_whole, that is, not during a step's update */
    bool is_whole;
    /* The save in progress; these belong to its thread until it is joined. */
    pthread_t thread;
    bool running, done; /* done: set by the thread */
    float *memory;      /* of the copy */
    struct lora copy;
    struct lora_moments copy_moments;
    struct trace_record rows;
    struct ckpt_state state;
    double seconds; /* duration of the save */
    enum err_code code;
    struct err error;
};

/* `on_disk` is the state of the checkpoint in the folder, or NULL. */
enum err_code saver_open(struct saver *s, const struct saver_facts *facts, const struct lora *lora,
                         const struct lora_moments *moments, const struct ckpt_state *on_disk, struct err *e);

/* Called after each step: starts a save if one is `due` or if a failed one must be retried. A failure is only a
 * warning, until there have been failures_max in a row: then it is an error. */
enum err_code saver_step(struct saver *s, const struct ckpt_state *now, bool due, struct err *e);

/* Returns when this state is on disk, or saving has failed too often; retries after 1, 2, 4, ... seconds. `company`
 * are the ranks that wait meanwhile; NULL: none. */
enum err_code saver_last(struct saver *s, const struct ckpt_state *now, struct duty_company *company,
                         struct err *e);

/* The job script learns that a part of the reference is on disk, which is progress, too: the file at MPILORA_SAVED gets
 * the step of the newest checkpoint in the folder, or 0. */
void saver_note_reference(const struct saver *s);

/* Called before and after each change of the arrays and of the trace; `now` is the state after the change. */
void saver_begin_change(struct saver *s);
void saver_end_change(struct saver *s, const struct ckpt_state *now);

/* Called by another thread than the training thread when this process will be killed in `seconds`. Saves the last
 * complete state, if it is available and there is enough time, and returns the step of the newest checkpoint;
 * false: there is none. */
bool saver_rescue(struct saver *s, double seconds, uint64_t *step);

/* Waits for the save in progress. A zeroed saver is fine. */
void saver_close(struct saver *s);

#endif
