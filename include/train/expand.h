/*
 * Expands compressed data once per node, into a file that the ranks of the node open and that is deleted as soon as
 * all of them have. So no file remains, however the run ends.
 */
#ifndef MPILORA_TRAIN_EXPAND_H
#define MPILORA_TRAIN_EXPAND_H

#include "base/err.h"
#include "data/examples/dataset.h"
#include "ranks/dist.h"

/* Collective, after dataset_init(). The files are made in `folder`, the folder of a run whose lock is held; NULL:
 * in TMPDIR. If a process is killed while it expands a file, the file is deleted when the next run starts there. */
enum err_code expand_data(struct dataset *data, const char *folder, struct dist *d, struct err *e);

#endif
