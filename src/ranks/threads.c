#include "ranks/threads.h"

#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/log.h"
#include "math/parallel.h"

_Static_assert(CPU_SETSIZE >= THREADS_MAX_CPUS, "the table's processors fit into a cpu_set_t");

static void add_cpu(struct threads_rank *r, size_t cpu)
{
    if (cpu < THREADS_MAX_CPUS)
        r->cpus[cpu / 64] |= (uint64_t)1 << (cpu % 64);
}

/* What the environment has under this name, if it is a number that makes sense. */
static int read_count(const char *variable)
{
    const char *text = getenv(variable);
    char *end;
    long count = text ? strtol(text, &end, 10) : 0;
    return count > 0 && count <= INT_MAX && !*end ? (int)count : 0;
}

void threads_describe(struct threads_rank *r, const struct dist *d, int wanted)
{
    *r = (struct threads_rank){.wanted = wanted, .granted = read_count("SLURM_CPUS_PER_TASK")};
    snprintf(r->host, sizeof r->host, "%s", d->host);
    int places[THREADS_MAX_CPUS], bound = (int)parallel_places(places, THREADS_MAX_CPUS);
    cpu_set_t set;
    CPU_ZERO(&set);
    for (int i = 0; i < bound; i++) /* OpenMP has bound this thread to the first of them */
        add_cpu(r, (size_t)places[i]);
    if (bound == 0 && sched_getaffinity(0, sizeof set, &set) == 0)
        for (size_t cpu = 0; cpu < THREADS_MAX_CPUS; cpu++)
            if (CPU_ISSET(cpu, &set)) {
                add_cpu(r, cpu);
                bound++;
            }
    int quota = cpu_quota_cores();
    r->quota = quota < bound ? quota : 0;
    if (bound == 0) /* a larger machine than the table knows: as if the rank had its own cores */
        for (int cpu = 0, usable = cpu_usable_cores(); cpu < usable; cpu++)
            add_cpu(r, (size_t)cpu);
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
    if (r->granted > 0 && threads > r->granted)
        threads = r->granted;
    return threads > 1 ? threads : 1;
}

static void warn_about_host(const struct threads_rank *table, size_t count, size_t first)
{
    const struct threads_rank *r = &table[first];
    int cores = 0, threads = 0, granted = 0, ranks = neighbours_of(table, count, first);
    for (size_t cpu = 0; cpu < THREADS_MAX_CPUS; cpu++)
        cores += users_of(table, count, first, cpu) > 0;
    for (size_t i = first; i < count; i++)
        if (strcmp(table[i].host, r->host) == 0) {
            threads += threads_choose(table, count, i);
            granted += table[i].granted;
        }
    if (r->quota > 0 && r->quota < cores)
        cores = r->quota;
    if (r->granted > 0 && granted < cores)
        cores = granted;
    if (ranks > 1 && cores == 1)
        log_warn("all %d ranks of %s may use one core only: start mpirun with --bind-to none, or ask for "
                 "more cores",
                 ranks, r->host);
    else if (threads > cores)
        log_warn("%d rank%s with %d threads in all ha%s %d core%s of %s: fewer --threads or fewer ranks are "
                 "faster",
                 ranks, ranks == 1 ? "" : "s", threads, ranks == 1 ? "s" : "ve", cores, cores == 1 ? "" : "s",
                 r->host);
}

static bool was_seen(const struct threads_rank *table, size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (strcmp(table[j].host, table[i].host) == 0)
            return true;
    return false;
}

void threads_warn(const struct threads_rank *table, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!was_seen(table, i))
            warn_about_host(table, count, i);
}

/* "0-3,8" */
static enum err_code append_cpus(struct str *map, const struct threads_rank *r, struct err *e)
{
    const char *comma = "";
    for (size_t cpu = 0, end; cpu < THREADS_MAX_CPUS; cpu = end) {
        for (end = cpu + 1; may_use(r, cpu) && end < THREADS_MAX_CPUS && may_use(r, end);)
            end++;
        if (!may_use(r, cpu))
            continue;
        if (str_appendf(map, e, "%s%zu", comma, cpu) ||
            (end > cpu + 1 && str_appendf(map, e, "-%zu", end - 1)))
            return e->code;
        comma = ",";
    }
    return ERR_OK;
}

static bool are_alike(const struct threads_rank *table, size_t count, size_t a, size_t b)
{
    return strcmp(table[a].host, table[b].host) == 0 &&
           memcmp(table[a].cpus, table[b].cpus, sizeof table[a].cpus) == 0 &&
           threads_choose(table, count, a) == threads_choose(table, count, b);
}

/* A host's line: neighbouring ranks that are alike together. */
static enum err_code append_host(struct str *map, const struct threads_rank *table, size_t count,
                                 size_t first, struct err *e)
{
    const char *separator = "";
    if (str_appendf(map, e, "%s: ", table[first].host))
        return e->code;
    for (size_t i = first, end; i < count; i = end) {
        for (end = i + 1; end < count && are_alike(table, count, i, end);)
            end++;
        if (strcmp(table[i].host, table[first].host) != 0)
            continue;
        int threads = threads_choose(table, count, i);
        bool one = end == i + 1;
        if (str_appendf(map, e, one ? "%srank %zu" : "%sranks %zu-%zu", separator, i, end - 1) ||
            str_appendf(map, e, " with %d thread%s%s on cores ", threads, threads == 1 ? "" : "s",
                        one ? "" : " each") ||
            append_cpus(map, &table[i], e))
            return e->code;
        separator = ", ";
    }
    return str_appendf(map, e, "\n");
}

enum err_code threads_map(struct str *map, const struct threads_rank *table, size_t count, struct err *e)
{
    for (size_t i = 0; i < count; i++)
        if (!was_seen(table, i) && append_host(map, table, count, i, e))
            return e->code;
    return ERR_OK;
}

enum err_code threads_agree(int *threads, struct str *map, struct dist *d, int wanted, struct err *e)
{
    struct threads_rank mine;
    threads_describe(&mine, d, wanted);
    void *table = NULL;
    size_t bytes;
    if (dist_gather_all(d, &table, &bytes, NULL, &mine, sizeof mine, e))
        return e->code;
    *threads = threads_choose(table, (size_t)d->world, (size_t)d->rank);
    enum err_code code = ERR_OK;
    if (d->rank == 0) {
        threads_warn(table, (size_t)d->world);
        code = map ? threads_map(map, table, (size_t)d->world, e) : ERR_OK;
    }
    free(table);
    return dist_agree(d, code, e);
}
