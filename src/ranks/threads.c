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
#include "ranks/launch.h"

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
    bool ends = text && (!*end || *end == ','); /* OMP_NUM_THREADS: "4,2", of each level of nesting */
    return count > 0 && count <= INT_MAX && ends ? (int)count : 0;
}

void threads_describe(struct threads_rank *r, const struct dist *d, int wanted)
{
    *r = (struct threads_rank){.wanted = wanted,
                               .granted = read_count("SLURM_CPUS_PER_TASK"),
                               .limit = read_count("OMP_NUM_THREADS"),
                               .job = launch_job_cores()};
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

/* The lowest of the processors that are threads of the same core as this one. */
static size_t first_of_core(size_t cpu, const char *devices)
{
    char path[PATH_MAX];
    size_t first = cpu;
    snprintf(path, sizeof path, "%s/cpu%zu/topology/thread_siblings_list", devices, cpu);
    FILE *file = fopen(path, "re");
    if (file && (fscanf(file, "%zu", &first) != 1 || first >= THREADS_MAX_CPUS))
        first = cpu;
    if (file)
        fclose(file);
    return first;
}

int threads_count_cores(const struct threads_rank *r, const char *devices)
{
    bool counted[THREADS_MAX_CPUS] = {false};
    int cores = 0;
    for (size_t cpu = 0; cpu < THREADS_MAX_CPUS; cpu++) {
        if (!may_use(r, cpu))
            continue;
        const size_t first = first_of_core(cpu, devices);
        cores += !counted[first];
        counted[first] = true;
    }
    return cores;
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

/* Of the cores that it may run on. */
static int share_of(const struct threads_rank *table, size_t count, size_t rank)
{
    const struct threads_rank *r = &table[rank];
    double share = 1e-9; /* so that thirds of three cores make one */
    for (size_t cpu = 0; cpu < THREADS_MAX_CPUS; cpu++)
        if (may_use(r, cpu))
            share += 1.0 / users_of(table, count, rank, cpu);
    int threads = (int)share;
    int allowed = r->quota / neighbours_of(table, count, rank);
    return r->quota > 0 && threads > allowed ? allowed : threads;
}

int threads_choose(const struct threads_rank *table, size_t count, size_t rank)
{
    const struct threads_rank *r = &table[rank];
    if (r->wanted > 0)
        return r->wanted;
    int threads = share_of(table, count, rank);
    if (r->granted > 0 && threads > r->granted)
        threads = r->granted;
    if (r->limit > 0 && threads > r->limit)
        threads = r->limit;
    return threads > 1 ? threads : 1;
}

/* What the ranks of a host have together. */
struct host {
    const char *name;
    int ranks, threads;
    int cores;   /* that some of them may use */
    int job;     /* that the job has, of which they may not be allowed all */
    int limit;   /* OMP_NUM_THREADS where it leaves cores idle; 0 */
    bool wanted; /* some rank has its threads from --threads */
};

static int least(int a, int b)
{
    return a < b ? a : b;
}

static struct host look_at_host(const struct threads_rank *table, size_t count, size_t first)
{
    const struct threads_rank *r = &table[first];
    struct host h = {.name = r->host, .ranks = neighbours_of(table, count, first)};
    int granted = 0;
    for (size_t cpu = 0; cpu < THREADS_MAX_CPUS; cpu++)
        h.cores += users_of(table, count, first, cpu) > 0;
    for (size_t i = first; i < count; i++) {
        if (strcmp(table[i].host, r->host) != 0)
            continue;
        h.threads += threads_choose(table, count, i);
        h.job = table[i].job > h.job ? table[i].job : h.job;
        granted += table[i].granted;
        h.wanted = h.wanted || table[i].wanted > 0;
        if (table[i].limit > 0 && table[i].limit < share_of(table, count, i))
            h.limit = table[i].limit;
    }
    if (r->quota > 0) {
        h.cores = least(h.cores, r->quota);
        h.job = least(h.job, r->quota);
    }
    if (r->granted > 0) {
        h.cores = least(h.cores, granted);
        h.job = least(h.job, granted);
    }
    h.job = h.job > h.cores ? h.job : h.cores;
    return h;
}

static enum err_code append_warning(struct str *lines, const struct host *h, struct err *e)
{
    const char *s = h->ranks == 1 ? "" : "s", *have = h->ranks == 1 ? "has" : "have";
    bool idle = !h->wanted && h->threads < h->job;
    if (h->cores < h->job && (h->threads > h->cores || idle))
        return str_appendf(
            lines, e,
            "%d rank%s of %s may use %d of the %d cores that the job has there: start mpirun with "
            "--bind-to none\n",
            h->ranks, s, h->name, h->cores, h->job);
    if (h->ranks > 1 && h->cores == 1)
        return str_appendf(
            lines, e,
            "all %d ranks of %s may use one core only: start mpirun with --bind-to none, or ask "
            "for more cores\n",
            h->ranks, h->name);
    if (h->threads > h->cores)
        return str_appendf(
            lines, e,
            "%d rank%s with %d threads in all %s %d core%s of %s: fewer --threads or fewer ranks "
            "are faster\n",
            h->ranks, s, h->threads, have, h->cores, h->cores == 1 ? "" : "s", h->name);
    if (idle && h->limit > 0)
        return str_appendf(
            lines, e,
            "OMP_NUM_THREADS=%d leaves %d of the %d cores of %s idle: unset it, or give --threads %d\n",
            h->limit, h->job - h->threads, h->job, h->name, h->job / h->ranks);
    return ERR_OK;
}

static bool was_seen(const struct threads_rank *table, size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (strcmp(table[j].host, table[i].host) == 0)
            return true;
    return false;
}

enum err_code threads_warnings(struct str *lines, const struct threads_rank *table, size_t count,
                               struct err *e)
{
    for (size_t i = 0; i < count; i++) {
        if (was_seen(table, i))
            continue;
        struct host h = look_at_host(table, count, i);
        if (append_warning(lines, &h, e))
            return e->code;
    }
    return ERR_OK;
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
    struct host h = look_at_host(table, count, first);
    if (h.cores < h.job && str_appendf(map, e, ", of %d that the job has", h.job))
        return e->code;
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
        struct str lines = {0};
        code = threads_warnings(&lines, table, (size_t)d->world, e);
        for (char *rest = lines.data, *line; !code && (line = strsep(&rest, "\n")) && *line;)
            log_warn("%s", line);
        str_release(&lines);
        if (mine.wanted > 0 && mine.limit > 0 && mine.limit < mine.wanted)
            log_note("OMP_NUM_THREADS=%d is ignored: --threads says %d", mine.limit, mine.wanted);
        if (!code && map)
            code = threads_map(map, table, (size_t)d->world, e);
    }
    free(table);
    return dist_agree(d, code, e);
}
