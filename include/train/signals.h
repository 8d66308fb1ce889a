/*
 * Signals that ask a run to stop: USR1, TERM and INT ask for a checkpoint and a clean end (base/stop.h). The first one
 * is answered at once by a line that says what happens now, because the step that has to be finished may take minutes.
 * INT after any of them ends the process at once, with status 130; a second TERM or USR1 does not, since launchers and
 * batch systems send them more than once.
 *
 *     signal -> handler, on a thread that does nothing else: stop_ask()      -> the steps see it and save
 *                       | that thread, no longer in the handler: the line, or the function of signals_call()
 */
#ifndef MPILORA_TRAIN_SIGNALS_H
#define MPILORA_TRAIN_SIGNALS_H

#include <stdbool.h>

#include "base/err.h"

/* Installs the handlers for the rest of the process, which prints lines only if `speaks`: one rank of a run should.
 * Must be called before any computing thread is started. */
enum err_code signals_take(bool speaks, struct err *e);

/* What a process that is asked to stop does, for the line that says so: a constant text such as "finishing this step".
 * NULL, as at the start: nothing has to be finished. */
void signals_say(const char *what);

/* The command is over: a signal changes nothing any more, and no line says that one came. mpirun sends TERM to the
 * ranks that are left when the first one ends with an error. */
void signals_end(void);

/* When TERM or INT comes, `function` is called once, in a separate thread, and is to say what happens. NULL: no longer;
 * when this returns, no call is in progress. */
void signals_call(void (*function)(void *), void *context);

#endif
