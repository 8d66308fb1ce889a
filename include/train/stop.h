/*
 * Being asked to stop: USR1, TERM and INT ask for a checkpoint and a clean end; a second INT leaves at once.
 */
#ifndef MPILORA_TRAIN_STOP_H
#define MPILORA_TRAIN_STOP_H

#include <stdbool.h>

/* Installs the handlers, for the rest of the process. */
void stop_install(void);

/* Has this rank been asked to stop? */
bool stop_wanted(void);

#endif
