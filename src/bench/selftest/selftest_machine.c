#include "selftest_parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#include "base/cpu.h"
#include "../bench_parts.h"
#include "ranks/consensus.h"
#include "ranks/node_memory.h"

#define GIB (1024.0 * 1024 * 1024)

/* ---- Ranks ---- */

enum err_code selftest_ranks(struct selftest *t, struct selftest_line *l, struct err *e)
{
    static const char cure[] =
        "start the same build everywhere: put it on a file system that all hosts see, with the same "
        "modules in the job";
    struct dist *d = t->dist;
    char mpi[128];
    struct err trouble;
    dist_version(mpi, sizeof mpi);
    enum err_code code = consensus_program(d, &trouble);
    if (!code)
        code = consensus_text(d, "MPI library", mpi, true, &trouble);
    if (code == ERR_MISMATCH)
        selftest_find_error(l, cure, &trouble);
    else if (code)
        *e = trouble;
    selftest_number(l, "ranks", d->world);
    selftest_number(l, "nodes", d->nodes);
    selftest_find(l, SELFTEST_FINE, NULL, "%d rank%s on %d node%s, rank 0 on %s; %s", d->world,
                  d->world == 1 ? "" : "s", d->nodes, d->nodes == 1 ? "" : "s", d->host, mpi);
    return code == ERR_MISMATCH ? ERR_OK : code;
}

/* ---- Threads ---- */

/* A warning is one line: what is the matter, a colon, what to do. */
static void take_warning(struct selftest_line *l, char *line)
{
    char *cure = NULL;
    for (char *at = line; (at = strstr(at, ": ")); at += 2)
        cure = at;
    if (cure)
        *cure = '\0';
    selftest_find(l, SELFTEST_SLOW, cure ? cure + 2 : "", "%s", line);
}

enum err_code selftest_threads(struct selftest *t, struct selftest_line *l, struct err *e)
{
    const size_t world = (size_t)t->dist->world;
    struct str lines = {0}, map = {0};
    selftest_number(l, "threads", t->threads);
    enum err_code code = threads_warnings(&lines, t->table, world, e);
    if (!code)
        code = threads_map(&map, t->table, world, e);
    if (!code) {
        size_t hosts = 0;
        for (size_t i = 0; i < map.length; i++)
            hosts += map.data[i] == '\n';
        char others[64] = "";
        if (hosts > 1)
            snprintf(others, sizeof others, ", and %zu more host%s", hosts - 1, hosts == 2 ? "" : "s");
        selftest_find(l, SELFTEST_FINE, NULL, "%.*s%s", (int)strcspn(map.data, "\n"), map.data, others);
    }
    if (!code && lines.length > 0) {
        lines.data[strcspn(lines.data, "\n")] = '\0';
        take_warning(l, lines.data);
    }
    str_release(&lines);
    str_release(&map);
    return code;
}

/* ---- Memory ---- */

/* Bytes that programs can still get without swapping; 0: unknown. */
static double available_memory(void)
{
    char line[128];
    double kib = 0;
    FILE *file = fopen("/proc/meminfo", "re");
    while (file && fgets(line, sizeof line, file) && sscanf(line, "MemAvailable: %lf", &kib) != 1)
        ;
    if (file)
        fclose(file);
    return kib * 1024;
}

/* Collective. The ranks of a node hold one copy of the base, if the system lets them share memory. */
static enum err_code try_sharing(struct selftest *t, struct selftest_line *l, struct err *e)
{
    enum { SIZE = 1 << 16, VALUE = 0x5a };
    struct dist node;
    struct node_memory shared = {0};
    if (dist_split_node(&node, t->dist, e))
        return e->code;
    enum err_code code = node_memory_open(&shared, t->dist, &node, SIZE, e);
    if (!code && shared.mine)
        memset(shared.memory, VALUE, SIZE);
    if (!code)
        code = dist_agree(t->dist, ERR_OK, e);
    const unsigned char *bytes = shared.memory;
    if (!code && node.world > 1 && !bytes)
        selftest_find(
            l, SELFTEST_SLOW,
            "start all ranks of a host in one container, and let them open each other's files below /proc",
            "the ranks of a host cannot share memory: each will hold the base by itself");
    else if (!code && bytes && (bytes[0] != VALUE || bytes[SIZE - 1] != VALUE))
        selftest_find(l, SELFTEST_WRONG, "start all ranks of a host in one container",
                      "what one rank writes into shared memory, others do not read");
    if (!code)
        code = dist_agree(t->dist, ERR_OK, e); /* all have read */
    node_memory_close(&shared);
    dist_split_release(&node);
    return code;
}

enum err_code selftest_memory(struct selftest *t, struct selftest_line *l, struct err *e)
{
    const double least = GIB / 4; /* for the smallest models */
    const int ranks = t->dist->node_ranks;
    const double limit = cpu_memory_limit(), available = available_memory();
    struct rlimit space = {.rlim_cur = RLIM_INFINITY};
    char address_space[64] = "";
    selftest_number(l, "memory_gigabytes", limit / 1e9);
    selftest_number(l, "available_gigabytes", available / 1e9);
    void *room = mmap(NULL, (size_t)GIB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room != MAP_FAILED)
        munmap(room, (size_t)GIB);
    const bool limited = getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY;
    if (limited)
        snprintf(address_space, sizeof address_space, ", and %.1f GiB of addresses for each (ulimit -v)",
                 (double)space.rlim_cur / GIB);
    selftest_find(l, SELFTEST_FINE, NULL, "%.1f GiB on %s for %d rank%s, %.1f of them free%s", limit / GIB,
                  t->dist->host, ranks, ranks == 1 ? "" : "s", available / GIB, address_space);
    if (room == MAP_FAILED && limited)
        selftest_find(
            l, SELFTEST_WRONG, "raise it: ulimit -v unlimited",
            "the address space is limited to %.2f GiB (ulimit -v), too few for models, libraries and threads",
            (double)space.rlim_cur / GIB);
    else if (room == MAP_FAILED)
        selftest_find(l, SELFTEST_WRONG,
                      "end what else runs there, or let the kernel overcommit (vm.overcommit_memory=0)",
                      "the kernel promises no GiB of memory to it");
    else if (available > 0 && available / ranks < least)
        selftest_find(l, SELFTEST_WRONG,
                      "end what else runs there, ask Slurm for more (--mem), or start fewer ranks",
                      "%.2f GiB are free for each rank", available / ranks / GIB);
    return try_sharing(t, l, e);
}

/* ---- Network ---- */

enum { LATENCY_ROUNDS = 101, RATE_ROUNDS = 5, RATE_FLOATS = 1 << 20 };

/* Collective. Seconds of sums over all ranks, the median: of one number, and of many. */
static enum err_code time_sums(struct selftest *t, double *small, double *large, struct err *e)
{
    double seconds[LATENCY_ROUNDS], one = 1;
    float *many = arena_alloc(&t->arena, RATE_FLOATS, sizeof *many, "numbers to send", e);
    enum err_code code = dist_agree(t->dist, many ? ERR_OK : ERR_MEMORY, e);
    for (int i = 0; !code && i < LATENCY_ROUNDS; i++) {
        double begun = cpu_seconds();
        code = dist_sum_f64(t->dist, &one, 1, e);
        seconds[i] = cpu_seconds() - begun;
        one = 1;
    }
    if (!code)
        *small = bench_median(seconds, LATENCY_ROUNDS);
    for (int i = 0; !code && i < RATE_ROUNDS; i++) {
        double begun = cpu_seconds();
        code = dist_sum_f32(t->dist, many, RATE_FLOATS, e);
        seconds[i] = cpu_seconds() - begun;
    }
    if (!code)
        *large = bench_median(seconds, RATE_ROUNDS);
    return code;
}

enum err_code selftest_network(struct selftest *t, struct selftest_line *l, struct err *e)
{
    /* On a host, a message is a matter of microseconds, unless the ranks wait for cores; the slowest network on which
     * training every step makes sense has a gigabit. */
    const double most_on_host = 1e-3, most_between = 2e-3, least_rate = 30e6;
    struct dist *d = t->dist;
    double small = 0, large = 0;
    if (d->world == 1) {
        selftest_find(l, SELFTEST_FINE, NULL, "one rank: nothing is sent");
        return ERR_OK;
    }
    if (time_sums(t, &small, &large, e) || dist_broadcast(d, &small, sizeof small, 0, e) ||
        dist_broadcast(d, &large, sizeof large, 0, e))
        return e->code;
    const double bytes = RATE_FLOATS * sizeof(float), rate = bytes / large;
    selftest_number(l, "sum_microseconds", small * 1e6);
    selftest_number(l, "sum_megabytes_per_second", rate / 1e6);
    selftest_find(l, SELFTEST_FINE, NULL,
                  "a sum over all ranks of one number takes %.0f us, one of %.0f MiB %.1f ms (%.2f GB/s)",
                  small * 1e6, bytes / 1048576, large * 1e3, rate / 1e9);
    if (d->nodes == 1 && small > most_on_host)
        selftest_find(
            l, SELFTEST_SLOW,
            "give each rank cores of its own: fewer ranks or --threads, mpirun --bind-to none, and no other "
            "programs there",
            "a sum of one number takes %.1f ms on one host, where microseconds are usual: ranks wait for cores",
            small * 1e3);
    else if (d->nodes > 1 && small > most_between)
        selftest_find(l, SELFTEST_SLOW,
                      "name the fast network (OMPI_MCA_btl_tcp_if_include in jobs/env.sh), or train with "
                      "--local-steps 16",
                      "a sum of one number over %d nodes takes %.1f ms", d->nodes, small * 1e3);
    else if (rate < least_rate)
        selftest_find(l, SELFTEST_SLOW,
                      "name the fast network (OMPI_MCA_btl_tcp_if_include in jobs/env.sh), or train with "
                      "--local-steps 16",
                      "a sum of %.0f MiB takes %.2f s, %.0f MB/s", bytes / 1048576, large, rate / 1e6);
    return ERR_OK;
}

/* ---- Clock ---- */

static double read_clock(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static bool runs_backwards(void)
{
    enum { READINGS = 10000 };
    double before = cpu_seconds();
    for (int i = 0; i < READINGS; i++) {
        double now = cpu_seconds();
        if (now < before)
            return true;
        before = now;
    }
    return false;
}

/* Collective. Seconds between this rank's time of day and that of rank 0: the smallest difference of several, each
 * read after the ranks have met. */
static enum err_code compare_clocks(struct selftest *t, double *skew, struct err *e)
{
    enum { ROUNDS = 5 };
    *skew = INFINITY;
    for (int i = 0; i < ROUNDS; i++) {
        double meeting = 0;
        if (dist_sum_f64(t->dist, &meeting, 1, e))
            return e->code;
        double now = read_clock(CLOCK_REALTIME), first = now;
        if (dist_broadcast(t->dist, &first, sizeof first, 0, e))
            return e->code;
        if (fabs(now - first) < fabs(*skew))
            *skew = now - first;
    }
    return ERR_OK;
}

enum err_code selftest_clock(struct selftest *t, struct selftest_line *l, struct err *e)
{
    const double most = 5; /* seconds; the end that Slurm sets for a job is met by more than these */
    double skew = 0;
    if (compare_clocks(t, &skew, e))
        return e->code;
    uint64_t microseconds = (uint64_t)(fabs(skew) * 1e6);
    if (dist_max_u64(t->dist, &microseconds, 1, e))
        return e->code;
    selftest_number(l, "skew_seconds", (double)microseconds * 1e-6);
    if (runs_backwards())
        selftest_find(
            l, SELFTEST_WRONG,
            "choose another clock of the kernel (/sys/devices/system/clocksource), or leave the host out",
            "the monotonic clock has run backwards");
    else if (fabs(skew) > most)
        selftest_find(l, SELFTEST_WRONG,
                      "set the clocks of all hosts by NTP (chronyd): the end of a job and times in logs are "
                      "read from them",
                      "its time of day is %.0f s %s that of rank 0", fabs(skew),
                      skew > 0 ? "after" : "before");
    else if (t->dist->world == 1)
        selftest_find(l, SELFTEST_FINE, NULL, "monotonic");
    else
        selftest_find(l, SELFTEST_FINE, NULL,
                      "monotonic; the times of day of the ranks differ by %.1f ms at most",
                      (double)microseconds * 1e-3);
    return ERR_OK;
}
