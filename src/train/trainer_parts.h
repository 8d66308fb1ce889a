/*
 * What training is made of: the run (trainer.c) and one step of it (trainer_step.c).
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
    struct str config; /* the resolved options */
    char metrics_path[PATH_MAX];
    struct metrics metrics; /* rank 0 */
    struct saver saver;     /* rank 0 */
    struct progress progress;
    struct pace pace;
    struct tracer tracer;
    double loss_scale;          /* of the current batch */
    double apart;               /* seconds of steps since the ranks had one adapter */
    enum stop_reason stop;      /* some rank wants to */
    bool resumed_here;          /* from a checkpoint of the output folder */
    double late_loss;           /* of an evaluation that an earlier process owes */
    enum err_code trouble_code; /* this rank's, until the ranks next agree on errors */
    struct err trouble;
};

/* Collective. One optimizer step, or one that is skipped; its numbers are in `row`. */
enum err_code trainer_step(struct trainer *t, struct metrics_row *row, struct err *e);

/* Says what only the first batch tells. */
void trainer_report_first(const struct trainer *t);

/* Trouble of this rank alone, until the ranks next agree on errors; the first one counts. */
void trainer_note_trouble(struct trainer *t, enum err_code code, const struct err *e);

#endif
