/*
 * Runs a study: the cells of a grid, each an ordinary training run, in parallel on groups of ranks.
 *
 *   DIR/study.yaml       the study with every option resolved
 *   DIR/cells/NAME/      the run folder of a cell; failed.txt in it says why it failed, if it did
 *
 * Base, tokenizer and data are opened once; a group takes the next cell when it has finished one. A cell is done
 * when its newest checkpoint says so. So if a study was stopped or its ranks were killed, or if cells were added to
 * it, the same command continues with the cells that are not done; it also retries failed cells.
 */
#ifndef MPILORA_TRAIN_STUDY_H
#define MPILORA_TRAIN_STUDY_H

#include "base/err.h"
#include "ranks/dist.h"
#include "run/options.h"

/* Collective. `o` are the options of the command. ERR_STOPPED after a signal, when all cells are saved; ERR_PARTIAL
 * if cells failed, after all other cells are done. */
enum err_code study_run(const struct options *o, struct dist *d, struct err *e);

#endif
