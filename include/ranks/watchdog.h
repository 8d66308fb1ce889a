/*
 * Ends this process, with the status that asks for a restart, when a call between the ranks does not come
 * back: a peer has vanished, or the network. MPI itself would wait for ever.
 *
 * A thread of its own counts the seconds that the main thread spends inside one such call; the time of its
 * own work does not count, nor does time in which the whole process stood still. That others may work longer
 * than this rank is allowed for: watchdog_note_work().
 *
 * A process that ends this way leaves an empty file where the environment's MPILORA_LEFT says, if it can: the
 * launcher's own status may tell nothing of it, or the launcher wait for a host that is gone.
 */
#ifndef MPILORA_RANKS_WATCHDOG_H
#define MPILORA_RANKS_WATCHDOG_H

#include <stdint.h>

#include "base/err.h"

/* Begins to watch: calls of up to `seconds` are fine (0: any, and nothing is done), and ten times that until
 * the first watchdog_note_work(). `who` ("rank 3 on node1") is for the message. */
enum err_code watchdog_start(double seconds, const char *who, struct err *e);
void watchdog_stop(void); /* fine when it was not started */

/* Around a call; `what` must stay. Leaving gives back `code`. */
void watchdog_enter(const char *what);
enum err_code watchdog_leave(enum err_code code);

/* This step is being worked on. */
void watchdog_note_step(uint64_t step);
/* The slowest rank worked this long before the ranks met: twice that may be waited for on top. */
void watchdog_note_work(double seconds);

#endif
