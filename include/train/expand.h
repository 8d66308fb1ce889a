/*
 * Compressed data on its way to the ranks: expanded once a node, into a file that its ranks have open and that has no
 * name any more once they do. So nothing of it stays, however the run ends.
 */
#ifndef MPILORA_TRAIN_EXPAND_H
#define MPILORA_TRAIN_EXPAND_H

#include "base/err.h"
#include "data/examples/dataset.h"
#include "ranks/dist.h"

/* Collective, after dataset_init(). `folder` is that of a run whose lock is held, where the files are made; NULL: in
 * TMPDIR. What a process that was killed while it expanded a file has left is deleted when the next begins there. */
enum err_code expand_data(struct dataset *data, const char *folder, struct dist *d, struct err *e);

#endif
