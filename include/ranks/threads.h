/*
 * Chooses the number of threads of each rank, from the cores that the ranks of its node may use.
 */
#ifndef MPILORA_RANKS_THREADS_H
#define MPILORA_RANKS_THREADS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "ranks/dist.h"

#define THREADS_MAX_CPUS 1024 /* processors of a node that are counted */

/* One rank's part of the table that all ranks see. */
struct threads_rank {
    char host[sizeof(((struct dist *)0)->host)];
    uint64_t cpus[THREADS_MAX_CPUS / 64]; /* bits of the processors on which it may run */
    int quota;                            /* CPU time that its cgroup allows, in cores; 0: no limit */
    int granted;                          /* cores that Slurm gives each task; 0: unknown */
    int limit;                            /* OMP_NUM_THREADS; 0: not set */
    int wanted;                           /* --threads; 0: choose */
    int job;                              /* cores of the host that the launcher may use (ranks/launch.h) */
};

/* Fills the row of this process. */
void threads_describe(struct threads_rank *r, const struct dist *d, int wanted);

/* Number of cores of this rank's processors, on this host: fewer than these if they are hardware threads (hyperthreads)
 * that share a core. `devices` is /sys/devices/system/cpu, except in tests. */
int threads_count_cores(const struct threads_rank *r, const char *devices);

/* Number of threads of rank `rank`: --threads if given; otherwise its share of the cores, limited by its share of
 * the quota, by the cores from Slurm and by OMP_NUM_THREADS; at least 1. In its share, a core that n ranks of the
 * host may use counts 1/n; so the result is the same whether or not the launcher binds each rank to its own
 * cores. */
int threads_choose(const struct threads_rank *table, size_t count, size_t rank);

/* Appends warnings, at most one for each host: if there are more threads than cores; or if no thread uses some
 * cores of the job, with the option that would give them to the ranks. Cores that are idle because of --threads are
 * not reported. */
enum err_code threads_warnings(struct str *lines, const struct threads_rank *table, size_t count,
                               struct err *e);

/* Appends a line for each host: "node1: ranks 0-1 with 4 threads each on cores 0-7"; if the ranks may not use all
 * cores of the job, it also says how many the job has. */
enum err_code threads_map(struct str *map, const struct threads_rank *table, size_t count, struct err *e);

/* Collective. Does all of the above; rank 0 prints the warnings. `map` (NULL: not wanted) is filled on rank 0; the
 * caller frees it. */
enum err_code threads_agree(int *threads, struct str *map, struct dist *d, int wanted, struct err *e);

#endif
