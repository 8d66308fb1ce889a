/*
 * What this program runs on now, for the record of a run (run/machine.h).
 */
#ifndef MPILORA_TRAIN_HOSTS_H
#define MPILORA_TRAIN_HOSTS_H

#include "base/arena.h"
#include "run/machine.h"
#include "train/session.h"

/* Collective. The processors of all ranks of the session, in the order of the ranks; the rest is that of this rank. */
enum err_code hosts_describe(struct machine *m, struct session *s, struct arena *a, struct err *e);

#endif
