/*
 * A study: the cells of a grid, each an ordinary training run, side by side on groups of ranks.
 *
 *   DIR/study.yaml       the study, resolved
 *   DIR/cells/NAME/      the run folder of a cell; failed.txt in it says why it failed, if it did
 *
 * Base, tokenizer and data are opened once; groups take the next cell as they become free. A cell is done
 * when its newest checkpoint says so: a study that was stopped, or whose ranks died, goes on with the same
 * command, and so does one that has grown. Failed cells are tried again then.
 */
#ifndef MPILORA_TRAIN_STUDY_H
#define MPILORA_TRAIN_STUDY_H

#include "base/err.h"
#include "ranks/dist.h"
#include "run/options.h"

/* Collective. `o` are the options of the command. ERR_STOPPED after a signal, with all cells saved;
 * ERR_PARTIAL when cells failed, after all others are done. */
enum err_code study_run(const struct options *o, struct dist *d, struct err *e);

#endif
