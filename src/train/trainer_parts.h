/*
 * What training is made of: the run (trainer.c), its steps (trainer_step.c), and what watches over them
 * (trainer_watch.c).
 */
#ifndef MPILORA_TRAIN_TRAINER_PARTS_H
#define MPILORA_TRAIN_TRAINER_PARTS_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "train/evaluate.h"
#include "run/guard.h"
#include "run/metrics.h"
#include "train/optim.h"
#include "train/outer.h"
#include "train/pace.h"
#include "train/progress.h"
#include "ranks/reduce.h"
#include "train/saver.h"
#include "train/schedule.h"
#include "train/tally.h"
#include "train/tracer.h"

struct trainer {
    struct session *session;
    struct dist *dist;
    const struct options *options;
    const struct dataset *data, *eval_data;
    struct dataset rest, held; /* the two, with --eval-split */
    struct arena arena;
    struct loader loader;
    struct evaluator evaluator;
    struct tally tally;
    struct reduce reduce;
    struct outer outer;
    const float *grads; /* of the batch: the reduction's, or of local steps */
    struct lora_moments moments;
    struct schedule schedule;
    struct optim_options optim;
    struct guard_options guard;
    struct ckpt_state state;
    struct ckpt_identity identity;
    struct str config;      /* the resolved options */
    struct metrics metrics; /* rank 0 */
    struct saver saver;     /* rank 0 */
    struct progress progress;
    struct pace pace;
    struct tracer tracer;
    double loss_scale;          /* of the current batch */
    bool meeting;               /* the ranks have one adapter after the current step */
    double begun, met;          /* clock at the start of the step, and of a meeting after local ones */
    double apart;               /* seconds of steps since the ranks had one adapter */
    enum stop_reason stop;      /* some rank wants to */
    bool resumed_here;          /* from a checkpoint of the output folder */
    bool is_best;               /* the evaluation of this step, and that was not acted on yet */
    double late_loss;           /* of an evaluation that an earlier process owes */
    enum err_code trouble_code; /* this rank's, until the ranks next agree on errors */
    struct err trouble;
};

/* ---- trainer_step.c: the loop, and one step in a straight line ---- */

/* Collective. Steps until the end or a wish to stop (t->stop), with evaluations, metrics and saves between them. */
enum err_code trainer_take_steps(struct trainer *t, struct err *e);

/* Is it time for what is done every so many steps? With local steps it waits for the ranks to meet. */
bool trainer_is_due(const struct trainer *t, int64_t every);

/* Have so many evaluations not been better that the run is over (--early-stop)? */
bool trainer_is_stale(const struct trainer *t);

/* Collective. Returns when this state is on disk (trainer.c). */
enum err_code trainer_save_now(struct trainer *t, struct err *e);

/* Collective. If the last evaluation was the best one and --keep-best wants that: returns when it is on disk. */
enum err_code trainer_save_best(struct trainer *t, struct err *e);

/* Collective. A wish to stop in the middle leaves the step without an evaluation, and t->stop set. */
enum err_code trainer_evaluate(struct trainer *t, struct metrics_row *row, struct err *e);

static inline bool trainer_is_local(const struct trainer *t)
{
    return t->outer.every > 1;
}

/* ---- trainer_watch.c: what watches over a step; nothing here changes the adapter ---- */

/* Trouble of this rank alone, until the ranks next agree on errors; the first one counts. */
void trainer_note_trouble(struct trainer *t, enum err_code code, const struct err *e);
enum err_code trainer_take_trouble(const struct trainer *t, struct err *e);
/* Why this rank wants to stop, at a step after which it may. */
enum stop_reason trainer_wish(const struct trainer *t);

/* In the order of a step. Time, watchdog and trace: */
void trainer_watch_begin(struct trainer *t, struct metrics_row *row);
void trainer_watch_pack(struct trainer *t, size_t pack, bool begins);
void trainer_watch_arrive(struct trainer *t); /* with its packs, where it waits for the others */
/* Is there a step to take, after a batch that went as *code says? Not when the guard skips it: then *code is
 * ERR_OK, and row->skipped says why. */
bool trainer_approves(struct trainer *t, struct metrics_row *row, enum err_code *code, struct err *e);
void trainer_watch_update(struct trainer *t, struct metrics_row *row);
void trainer_watch_meeting(struct trainer *t, struct metrics_row *row, bool begins);
void trainer_watch_end(struct trainer *t, struct metrics_row *row); /* the state is that after the step */

/* Says what only the first batch tells. */
void trainer_report_first(const struct trainer *t);

#endif
