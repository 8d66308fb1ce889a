#include "ranks/memory.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/log.h"

#define MIB (1024.0 * 1024.0)

static bool neighbours(const struct memory_rank *a, const struct memory_rank *b)
{
    return strcmp(a->host, b->host) == 0;
}

double memory_of_host(const struct memory_rank *table, size_t count, size_t rank)
{
    double sum = table[rank].shared;
    for (size_t i = 0; i < count; i++)
        if (neighbours(&table[i], &table[rank]))
            sum += table[i].own;
    return sum;
}

void memory_warn(const struct memory_rank *table, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t first = 0, ranks = 0;
        while (!neighbours(&table[first], &table[i]))
            first++;
        for (size_t j = 0; j < count; j++)
            ranks += neighbours(&table[j], &table[i]);
        double needed = memory_of_host(table, count, i);
        if (first == i && table[i].limit > 0 && needed > table[i].limit)
            log_warn("%zu rank%s of %s will take %.0f MiB of memory, and %.0f are all that it or its cgroup has: "
                     "fewer ranks there, a smaller --micro-batch-tokens (down to --max-length, of pairs twice that), "
                     "--recompute layer or --base-storage file; under Slurm ask for more (--mem)",
                     ranks, ranks == 1 ? "" : "s", table[i].host, needed / MIB, table[i].limit / MIB);
    }
}

enum err_code memory_check(struct dist *d, double shared, double own, struct err *e)
{
    struct memory_rank mine = {.shared = shared, .own = own, .limit = cpu_memory_limit()};
    snprintf(mine.host, sizeof mine.host, "%s", d->host);
    void *table;
    size_t total;
    if (dist_gather_all(d, &table, &total, NULL, &mine, sizeof mine, e))
        return e->code;
    memory_warn(table, (size_t)d->world);
    free(table);
    return ERR_OK;
}
