/*
 * The wish that this process should stop: raised by a signal (train/signals.h), and looked at wherever work takes long.
 * Once raised it stays. Steps of training look at it themselves, because they save a checkpoint first; everything that
 * comes before the first step, and can take minutes, calls stop_check() once in a while, about every second at least.
 */
#ifndef MPILORA_BASE_STOP_H
#define MPILORA_BASE_STOP_H

#include <stdbool.h>

#include "base/err.h"

void stop_ask(void); /* may be called by a signal handler */
bool stop_is_asked(void);

/* ERR_STOPPED if this process is to stop, with a message that says while `what` ("the data was read", say) it
 * came, and that nothing is lost. For work before the first step of training only. On several ranks each looks for
 * itself: call it where they agree on errors next. */
enum err_code stop_check(const char *what, struct err *e);

#endif
