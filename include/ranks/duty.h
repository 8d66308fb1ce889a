/*
 * Work that rank 0 does for all ranks, mostly with files, while the others wait.
 *
 * The work may take any time: a disk may be full for an hour, a server may not answer. So that the watchdogs of the
 * other ranks do not believe that rank 0 is lost, rank 0 tells them regularly that it is still working.
 *
 *     rank 0    work ---- fails ---- pause ---- work ---- done ----------------.
 *                 | duty_tell()        | every half second |                   |
 *     others    wait ----------------- wait ---------------------------------- all agree on how it went
 */
#ifndef MPILORA_RANKS_DUTY_H
#define MPILORA_RANKS_DUTY_H

#include <stdint.h>

#include "base/err.h"
#include "ranks/dist.h"

/* Seconds between two signs of life. */
#define DUTY_BEAT 0.5

/* The ranks that wait for rank 0. */
struct duty_company {
    struct dist *ranks;
    uint64_t told; /* number of signs of life so far */
};

/* `company` is for duty_tell() and duty_pause(); it is never NULL here. */
typedef enum err_code duty_work(void *context, struct duty_company *company, struct err *e);

struct duty {
    duty_work *work;
    void *context;
    uint64_t tries;   /* number of attempts, with pauses of 1, 2, 4, ... seconds, 60 at most */
    const char *what; /* for messages: the subject of "could not be written". NULL: one attempt, whose error is
                       * returned unchanged */
};

/* Collective. Rank 0 does the work; its error is returned on all ranks. */
enum err_code duty_run(struct dist *d, const struct duty *duty, struct err *e);

/* Called by rank 0 during its work, at least every second: tells the others that it is still working. NULL: nobody
 * waits. */
void duty_tell(struct duty_company *company);
/* Sleeps, and meanwhile tells the others. */
void duty_pause(struct duty_company *company, double seconds);
/* Seconds to pause after this many failures in a row. */
double duty_pause_after(uint64_t failures);

#endif
