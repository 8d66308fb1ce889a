/*
 * What rank 0 does for all ranks, mostly with files, while the others wait.
 *
 * It may take as long as it takes: a disk that is full for an hour, a server that does not answer. So that the
 * others' watchdogs do not take rank 0 for gone, it says again and again that it goes on.
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

/* Those that wait for rank 0. */
struct duty_company {
    struct dist *ranks;
    uint64_t told; /* how often */
};

/* `company` is for duty_tell() and duty_pause(); it is never NULL here. */
typedef enum err_code duty_work(void *context, struct duty_company *company, struct err *e);

struct duty {
    duty_work *work;
    void *context;
    uint64_t tries;   /* in a row, after 1, 2, 4, ... seconds, 60 at most */
    const char *what; /* for messages: what "could not be written". NULL: one try, whose error stays as it is */
};

/* Collective. Rank 0 works; its error is the error of all. */
enum err_code duty_run(struct dist *d, const struct duty *duty, struct err *e);

/* Rank 0, within its work and at least every second: this goes on. NULL: nobody waits. */
void duty_tell(struct duty_company *company);
/* Sleeps, and says so. */
void duty_pause(struct duty_company *company, double seconds);
/* How long, after so many failures in a row. */
double duty_pause_after(uint64_t failures);

#endif
