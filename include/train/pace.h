/*
 * How the ranks keep pace with each other: what of a step's time went into communication, what into waiting
 * for the slowest rank, and which one that was. Each rank measures its own time of work from where the ranks
 * last met (no clocks are compared) and hands it to the tally of the batch.
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
    double met, arrived;           /* clock when the ranks last met; when this one was done with its work */
    double work;                   /* seconds between the two */
    double seconds, waited, communicated; /* sums over the steps */
    uint64_t *slowest;                    /* [world] steps in which each rank was the slowest */
};

/* Collective. */
enum err_code pace_open(struct pace *p, struct dist *d, struct err *e);
void pace_close(struct pace *p); /* a zeroed one is fine */

/* The ranks have just left a collective call: this one begins to work. */
void pace_meet(struct pace *p);
/* It is done with its packs; the seconds that this took, for the tally. */
double pace_arrive(struct pace *p);
/* The gradient is there: what the step was like, into `row`. The ranks have met. */
void pace_finish(struct pace *p, const struct tally *t, struct metrics_row *row);

/* What it came to: one line of the log, when there are several ranks. */
void pace_report(const struct pace *p);

#endif
