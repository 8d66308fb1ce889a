/*
 * Rank timing: how much of a step was communication, how much was waiting for the slowest rank, and which rank that
 * was. Each rank measures its own working time since the ranks last left a collective call together (clocks of
 * different hosts are not compared) and passes it to the tally of the batch.
 */
#ifndef MPILORA_TRAIN_PACE_H
#define MPILORA_TRAIN_PACE_H

#include "base/err.h"
#include "ranks/dist.h"
#include "run/metrics.h"
#include "train/tally.h"

struct pace {
    int world;
    char (*hosts)[DIST_HOST_SIZE]; /* [world] */
    double met, arrived;           /* clock when the ranks last met; when this rank had done its work */
    double work;                   /* seconds between the two */
    double seconds, waited, communicated; /* sums over all steps */
    uint64_t *slowest;                    /* [world] steps in which each rank was the slowest */
};

/* Collective. */
enum err_code pace_open(struct pace *p, struct dist *d, struct err *e);
void pace_close(struct pace *p); /* a zeroed one is fine */

/* The ranks have just left a collective call, and this rank starts to work. */
void pace_meet(struct pace *p);
/* This rank has computed its packs; returns the seconds since pace_meet(), for the tally. */
double pace_arrive(struct pace *p);
/* The gradient has been reduced, so the ranks have met: writes the times of the step to `row`. */
void pace_finish(struct pace *p, const struct tally *t, struct metrics_row *row);

/* Prints a summary, one line, if there are several ranks. */
void pace_report(const struct pace *p);

#endif
