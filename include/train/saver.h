/*
 * Saving while training goes on, and saving that fails. For rank 0.
 *
 * A checkpoint is made from a copy of the adapter's arrays, by a thread of its own: the step that follows a
 * save waits for the copy alone, and for an earlier save that is not done yet. Nothing else of the process
 * may call HDF5 meanwhile. What can go wrong (a full disk, a quota, a folder that is gone) is said and tried
 * again; the run ends only after `failures_max` failures in a row, or at once when its folder is another run's
 * (ERR_BUSY). The checkpoint on disk stays until a newer one is whole. A disk that does not answer is waited
 * for, and that is said: at the end for ever, between two steps for `patience` seconds each time that a save
 * is due.
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

/* What does not change while the run goes on, all of it the caller's. */
struct saver_facts {
    const struct runlock *lock; /* of the run's folder, whose metrics are on disk before a checkpoint is */
    uint64_t keep;              /* checkpoints; 0: all */
    bool keep_best;             /* and that of the best evaluation */
    uint64_t every;             /* steps between saves: the longest time until the next try; 0: no bound */
    uint64_t failures_max;
    double patience;   /* seconds of waiting for a save before it is said */
    uint64_t begun_at; /* step of the start: the first checkpoint beyond it is told to the job script, if
                        * one waits, in the file that MPILORA_SAVED names */
    const struct ckpt_identity *identity;
    const char *config, *lora_init;
    const struct trace_record *trace; /* rows that are in it never change */
    struct deadline *deadline;        /* is told how long a save took */
};

struct saver {
    struct saver_facts facts;
    const struct lora *lora;
    const struct lora_moments *moments;
    struct ckpt_state saved; /* on disk, if has_saved */
    bool has_saved, noted;   /* noted: the job script knows */
    uint64_t failures; /* in a row */
    uint64_t retry_at; /* the step to try again, after a failure */
    pthread_mutex_t lock;     /* held while it works for one thread; of what stands below, too */
    struct ckpt_state whole;  /* the state that the arrays have, if is_whole: not in the middle of a step */
    bool is_whole;
    /* The save at work: the thread's, until it is joined. */
    pthread_t thread;
    bool running, done; /* done: set by the thread */
    float *memory;      /* of the copy */
    struct lora copy;
    struct lora_moments copy_moments;
    struct trace_record rows;
    struct ckpt_state state;
    double seconds; /* that it took */
    enum err_code code;
    struct err error;
};

/* `on_disk` is the state that a checkpoint in the folder holds, or NULL. */
enum err_code saver_open(struct saver *s, const struct saver_facts *facts, const struct lora *lora,
                         const struct lora_moments *moments, const struct ckpt_state *on_disk, struct err *e);

/* After each step: begins a save if one is `due`, or if one that failed is to be tried again. A failure is a
 * warning, the last one allowed is the error. */
enum err_code saver_step(struct saver *s, const struct ckpt_state *now, bool due, struct err *e);

/* Returns when this state is on disk, or has failed too often; tries again after 1, 2, 4, ... seconds. `company`
 * waits meanwhile; NULL: nobody does. */
enum err_code saver_last(struct saver *s, const struct ckpt_state *now, struct duty_company *company,
                         struct err *e);

/* Around each change of the arrays and of the trace: from when on they are in between, and which state they have
 * now. */
void saver_begin_change(struct saver *s);
void saver_end_change(struct saver *s, const struct ckpt_state *now);

/* This process is killed in so many seconds; called by another thread than the one that trains. Saves the last whole
 * state, where it can be had and a save has time, and gives the step of the newest checkpoint; false: there is none. */
bool saver_rescue(struct saver *s, double seconds, uint64_t *step);

/* Waits for a save at work. A zeroed one is fine. */
void saver_close(struct saver *s);

#endif
