#include "train/threads.h"

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/log.h"

_Static_assert(CPU_SETSIZE >= THREADS_MAX_CPUS, "the table's processors fit into a cpu_set_t");

void threads_describe(struct threads_rank *r, const struct dist *d, int wanted)
{
    *r = (struct threads_rank){.wanted = wanted};
    snprintf(r->host, sizeof r->host, "%s", d->host);
    cpu_set_t set;
    CPU_ZERO(&set);
    int bound = 0;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        for (size_t cpu = 0; cpu < THREADS_MAX_CPUS; cpu++)
            if (CPU_ISSET(cpu, &set)) {
                r->cpus[cpu / 64] |= (uint64_t)1 << (cpu % 64);
                bound++;
            }
    int usable = cpu_usable_cores();
    r->quota = usable < bound ? usable : 0;
    if (bound == 0) /* a larger machine than the table knows: as if the rank had its own cores */
        for (int cpu = 0; cpu < usable && cpu < THREADS_MAX_CPUS; cpu++)
            r->cpus[cpu / 64] |= (uint64_t)1 << (cpu % 64);
}

static bool may_use(const struct threads_rank *r, size_t cpu)
{
    return r->cpus[cpu / 64] >> (cpu % 64) & 1;
}

/* Ranks of `rank`'s host that may use this processor. */
static int users_of(const struct threads_rank *table, size_t count, size_t rank, size_t cpu)
{
    int users = 0;
    for (size_t i = 0; i < count; i++)
        users += strcmp(table[i].host, table[rank].host) == 0 && may_use(&table[i], cpu);
    return users;
}

static int neighbours_of(const struct threads_rank *table, size_t count, size_t rank)
{
    int neighbours = 0;
    for (size_t i = 0; i < count; i++)
        neighbours += strcmp(table[i].host, table[rank].host) == 0;
    return neighbours;
}

int threads_choose(const struct threads_rank *table, size_t count, size_t rank)
{
    const struct threads_rank *r = &table[rank];
    if (r->wanted > 0)
        return r->wanted;
    double share = 1e-9; /* so that thirds of three cores make one */
    for (size_t cpu = 0; cpu < THREADS_MAX_CPUS; cpu++)
        if (may_use(r, cpu))
            share += 1.0 / users_of(table, count, rank, cpu);
    int threads = (int)share;
    int allowed = r->quota / neighbours_of(table, count, rank);
    if (r->quota > 0 && threads > allowed)
        threads = allowed;
    return threads > 1 ? threads : 1;
}

static void warn_about_host(const struct threads_rank *table, size_t count, size_t first)
{
    const struct threads_rank *r = &table[first];
    int cores = 0, threads = 0, ranks = neighbours_of(table, count, first);
    for (size_t cpu = 0; cpu < THREADS_MAX_CPUS; cpu++)
        cores += users_of(table, count, first, cpu) > 0;
    for (size_t i = first; i < count; i++)
        if (strcmp(table[i].host, r->host) == 0)
            threads += threads_choose(table, count, i);
    if (r->quota > 0 && r->quota < cores)
        cores = r->quota;
    if (ranks > 1 && cores == 1)
        log_warn("all %d ranks of %s may use one core only: start mpirun with --bind-to none, or ask for "
                 "more cores",
                 ranks, r->host);
    else if (threads > cores)
        log_warn("%d ranks with %d threads in all share the %d cores of %s: fewer --threads or fewer ranks "
                 "are faster",
                 ranks, threads, cores, r->host);
}

void threads_warn(const struct threads_rank *table, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bool seen = false;
        for (size_t j = 0; j < i && !seen; j++)
            seen = strcmp(table[j].host, table[i].host) == 0;
        if (!seen)
            warn_about_host(table, count, i);
    }
}

enum err_code threads_agree(int *threads, struct dist *d, int wanted, struct err *e)
{
    struct threads_rank mine;
    threads_describe(&mine, d, wanted);
    void *table = NULL;
    size_t bytes;
    if (dist_gather_all(d, &table, &bytes, NULL, &mine, sizeof mine, e))
        return e->code;
    *threads = threads_choose(table, (size_t)d->world, (size_t)d->rank);
    if (d->rank == 0)
        threads_warn(table, (size_t)d->world);
    free(table);
    return ERR_OK;
}
