/*
 * Requests to stop: USR1, TERM and INT ask for a checkpoint and a clean end; a second INT ends the process at once.
 */
#ifndef MPILORA_TRAIN_STOP_H
#define MPILORA_TRAIN_STOP_H

#include <stdbool.h>

#include "base/err.h"

/* Installs the handlers for the rest of the process. Must be called before any computing thread is started. */
enum err_code stop_install(struct err *e);

/* Has this rank been asked to stop? */
bool stop_wanted(void);

/* When TERM or INT comes, `function` is called once, in a separate thread. NULL: no longer; when this returns, no
 * call is in progress. */
void stop_call(void (*function)(void *), void *context);

#endif
