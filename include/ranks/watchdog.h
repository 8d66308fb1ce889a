/*
 * Ends this process, with the status that asks for a restart (75), if a communication call does not return because
 * another rank or the network is lost. MPI itself would wait for ever.
 *
 * A separate thread counts the seconds that the main thread spends in one such call. The time in which this rank
 * does its own work does not count, nor does time in which the whole process was stopped. Other ranks may work
 * longer than this one; watchdog_note_work() allows for that.
 *
 * A process that ends in this way creates an empty file at the path in the environment variable MPILORA_LEFT, if it
 * can. Scripts need this because the launcher's exit status may not show what happened, or the launcher may wait
 * for a host that is lost.
 */
#ifndef MPILORA_RANKS_WATCHDOG_H
#define MPILORA_RANKS_WATCHDOG_H

#include <stdint.h>

#include "base/err.h"

/* Starts watching: a call may take up to `seconds` (0: any time; nothing is watched), and ten times that before the
 * first watchdog_note_work(). `who` ("rank 3 on node1") is for the message. `advice` is for work that cannot be
 * continued: the process then ends with the status of ERR_COMM, and the message with this text, which must stay valid;
 * NULL: of a training. */
enum err_code watchdog_start(double seconds, const char *who, const char *advice, struct err *e);
void watchdog_stop(void); /* may be called even if it was not started */

/* Called before and after each communication call; `what` (for the message) must stay valid. watchdog_leave()
 * returns `code`. */
void watchdog_enter(const char *what);
enum err_code watchdog_leave(enum err_code code);

/* Notes the current step, for the message. */
void watchdog_note_step(uint64_t step);
/* Notes how long the slowest rank worked before the ranks met: a call may take twice this time in addition. */
void watchdog_note_work(double seconds);

#endif
