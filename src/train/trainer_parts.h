/*
 * The parts of training: the run (trainer.c), its reference (trainer_reference.c), its steps (trainer_step.c), and
 * monitoring (trainer_watch.c).
 */
#ifndef MPILORA_TRAIN_TRAINER_PARTS_H
#define MPILORA_TRAIN_TRAINER_PARTS_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "train/evaluate.h"
#include "run/guard.h"
#include "run/metrics.h"
#include "run/tensorboard.h"
#include "train/optim.h"
#include "train/outer.h"
#include "train/pace.h"
#include "train/preference.h"
#include "train/progress.h"
#include "ranks/reduce.h"
#include "run/reference_file.h"
#include "train/reference.h"
#include "train/samples.h"
#include "train/saver.h"
#include "train/schedule.h"
#include "train/tally.h"
#include "train/tracer.h"

struct trainer {
    struct session *session;
    struct dist *dist;
    const struct options *options;
    const struct dataset *data, *eval_data;
    struct dataset rest, held; /* with --eval-split: the two parts of `data` */
    struct arena arena;
    struct loader loader;
    struct evaluator evaluator;
    struct samples samples; /* none without --sample-prompts */
    struct tally tally;
    struct preference preference;
    struct reference reference;
    struct reference_values reference_values;
    struct reduce reduce;
    struct outer outer;
    const float *grads; /* gradient of the batch, or of a local step */
    struct lora_moments moments;
    struct schedule schedule;
    struct optim_options optim;
    struct guard_options guard;
    struct ckpt_state state;
    struct ckpt_identity identity;
    struct str config;      /* the resolved options */
    struct str machine;     /* what the ranks run on, for the first line of metrics */
    struct metrics metrics; /* rank 0 */
    struct lines_file samples_file; /* rank 0 */
    struct tensorboard tensorboard; /* rank 0 */
    struct saver saver;     /* rank 0 */
    struct progress progress;
    struct pace pace;
    struct tracer tracer;
    double loss_scale;          /* of the current batch */
    bool meeting;               /* after the current step all ranks have the same adapter */
    double begun, met;          /* clock at the start of the step, and at the start of an outer step */
    double apart;               /* seconds of steps since all ranks had the same adapter */
    enum stop_reason stop;      /* a rank wants to stop */
    bool resumed_here;          /* resumed from a checkpoint of the output folder */
    bool is_best;               /* the evaluation of this step is the best, and its checkpoint is not saved yet */
    struct metrics_row late;    /* with the evaluation that an earlier process should have made */
    enum err_code trouble_code; /* error of this rank, until the ranks next agree on errors */
    struct err trouble;
};

/* ---- trainer_step.c: the loop over steps, and one step ---- */

/* Collective. Does all steps, with evaluations, metrics and saves, until the end or until a rank wants to stop
 * (t->stop). */
enum err_code trainer_take_steps(struct trainer *t, struct err *e);

/* Is it time for an action that is done every `every` steps? With local steps the action waits for the next outer
 * step. */
bool trainer_is_due(const struct trainer *t, int64_t every);

/* Is the run over because of --early-stop? */
bool trainer_is_stale(const struct trainer *t);

/* Collective. Returns when this state is on disk (trainer.c). */
enum err_code trainer_save_now(struct trainer *t, struct err *e);

/* Collective. With --keep-best, if the last evaluation was the best one: returns when its checkpoint is on disk. */
enum err_code trainer_save_best(struct trainer *t, struct err *e);

/* Collective. Evaluates. If a rank wants to stop meanwhile, the step has no evaluation, and t->stop is set. */
enum err_code trainer_evaluate(struct trainer *t, struct metrics_row *row, struct err *e);

static inline bool trainer_is_local(const struct trainer *t)
{
    return t->outer.every > 1;
}

/* ---- trainer_reference.c ---- */

/* Collective. Before the first step: what the objective needs of its reference, from the run's folder or computed. */
enum err_code trainer_take_reference(struct trainer *t, struct err *e);

/* ---- trainer_watch.c: monitors the steps; nothing here changes the adapter ---- */

/* Note and return an error of this rank, until the ranks next agree on errors; only the first one counts. */
void trainer_note_trouble(struct trainer *t, enum err_code code, const struct err *e);
enum err_code trainer_take_trouble(const struct trainer *t, struct err *e);
/* Why this rank wants to stop, after a step at which it may. */
enum stop_reason trainer_wish(const struct trainer *t);

/* Timing, watchdog and trace, in the order of a step: */
void trainer_watch_begin(struct trainer *t, struct metrics_row *row);
void trainer_watch_pack(struct trainer *t, size_t pack, bool begins);
void trainer_watch_arrive(struct trainer *t); /* this rank has computed its packs and will wait for the others */
/* Should the optimizer step be done? *code is the result of the batch. Returns false after an error, and also if
 * the guard skips the step: then *code becomes ERR_OK, and row->skipped says why. */
bool trainer_approves(struct trainer *t, struct metrics_row *row, enum err_code *code, struct err *e);
void trainer_watch_update(struct trainer *t, struct metrics_row *row);
void trainer_watch_meeting(struct trainer *t, struct metrics_row *row, bool begins);
void trainer_watch_end(struct trainer *t, struct metrics_row *row); /* t->state is the state after the step */

/* Prints what is known only after the first batch. */
void trainer_report_first(const struct trainer *t);

#endif
