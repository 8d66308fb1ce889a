/*
 * Being asked to stop: USR1, TERM and INT ask for a checkpoint and a clean end; a second INT leaves at once.
 */
#ifndef MPILORA_TRAIN_STOP_H
#define MPILORA_TRAIN_STOP_H

#include <stdbool.h>

#include "base/err.h"

/* From here on, for the rest of the process. To be called before any thread that computes is started. */
enum err_code stop_install(struct err *e);

/* Has this rank been asked to stop? */
bool stop_wanted(void);

/* Calls `function` when TERM or INT comes, once, on a thread of its own beside all others. NULL: not any more; a call
 * that is at work has ended then. */
void stop_call(void (*function)(void *), void *context);

#endif
