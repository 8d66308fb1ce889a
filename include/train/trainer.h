/*
 * Trains an adapter on a data set, with checkpoints.
 *
 *   loader_next -> model_step_grad for this rank's packs -> reduce_finish -> optim_step -> metrics, eval,
 * save
 *
 * All memory that a step needs is planned before the first step; a step allocates nothing.
 */
#ifndef MPILORA_TRAIN_TRAINER_H
#define MPILORA_TRAIN_TRAINER_H

#include "base/err.h"
#include "data/examples/dataset.h"
#include "train/session.h"

/* ERR_USAGE for options of train that contradict each other. trainer_run() checks this, too; the command may check
 * it before it loads a model. */
enum err_code trainer_check_options(const struct options *o, struct err *e);

/* Collective. Trains the session's adapter by its options, from the start or from a checkpoint, and writes
 * config.yaml, metrics.jsonl, checkpoints and the exported adapter to --output. `data_hash` is the hash of `data`;
 * `eval_data` may be NULL; with --eval-split it is a part of `data`. ERR_STOPPED after a signal or at the time
 * limit, with a checkpoint saved. */
enum err_code trainer_run(struct session *s, const struct dataset *data, const char *data_hash,
                          const struct dataset *eval_data, struct err *e);

#endif
