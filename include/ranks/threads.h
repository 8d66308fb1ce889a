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
    int wanted;                           /* --threads; 0: to be chosen */
};

/* What this process would put into the table. */
void threads_describe(struct threads_rank *r, const struct dist *d, int wanted);

/* Threads of rank `rank`: what it wants, or its share of each of its cores (a core that n ranks of the host
 * may use counts 1/n, so that it makes no difference whether the launcher binds ranks to cores of their own
 * or to none), cut by its part of the quota; at least 1. */
int threads_choose(const struct threads_rank *table, size_t count, size_t rank);

/* Warns, once for each host, when several ranks are all bound to one core, and when the threads of a host's
 * ranks are more than its cores. */
void threads_warn(const struct threads_rank *table, size_t count);

/* The map, a line for each host: "node1: ranks 0-1 with 4 threads each on cores 0-7". */
enum err_code threads_map(struct str *map, const struct threads_rank *table, size_t count, struct err *e);

/* Collective. All of the above; `map` (NULL: not wanted) is filled on rank 0, the caller frees it. */
enum err_code threads_agree(int *threads, struct str *map, struct dist *d, int wanted, struct err *e);

#endif
