/*
 * How many threads each rank gets, from what the ranks of its node may use.
 */
#ifndef MPILORA_RANKS_THREADS_H
#define MPILORA_RANKS_THREADS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "ranks/dist.h"

#define THREADS_MAX_CPUS 1024 /* of a node; further ones are not counted */

/* One rank's part of the table that all ranks see. */
struct threads_rank {
    char host[sizeof(((struct dist *)0)->host)];
    uint64_t cpus[THREADS_MAX_CPUS / 64]; /* that it may run on */
    int quota;                            /* cores' worth of time that its cgroup allows; 0: no limit */
    int granted;                          /* cores that Slurm gives each task; 0: it does not say */
    int limit;                            /* OMP_NUM_THREADS; 0: it does not say */
    int wanted;                           /* --threads; 0: to be chosen */
    int job;                              /* cores of the host that the launcher may use (ranks/launch.h) */
};

/* What this process would put into the table. */
void threads_describe(struct threads_rank *r, const struct dist *d, int wanted);

/* Threads of rank `rank`: what it wants, or its share of each of its cores (a core that n ranks of the host
 * may use counts 1/n, so that it makes no difference whether the launcher binds ranks to cores of their own
 * or to none), cut by its part of the quota, by what Slurm grants and by OMP_NUM_THREADS; at least 1. */
int threads_choose(const struct threads_rank *table, size_t count, size_t rank);

/* Lines that warn, at most one for each host: threads that are more than cores; or cores of the job that no thread
 * uses, with the very option that gives them to the ranks. Nothing of cores that --threads leaves. */
enum err_code threads_warnings(struct str *lines, const struct threads_rank *table, size_t count,
                               struct err *e);

/* The map, a line for each host: "node1: ranks 0-1 with 4 threads each on cores 0-7", and of how many that the job
 * has, if the ranks may not use all. */
enum err_code threads_map(struct str *map, const struct threads_rank *table, size_t count, struct err *e);

/* Collective. All of the above, the warnings said by rank 0; `map` (NULL: not wanted) is filled on rank 0, the caller
 * frees it. */
enum err_code threads_agree(int *threads, struct str *map, struct dist *d, int wanted, struct err *e);

#endif
