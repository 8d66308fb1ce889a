/*
 * Whether the ranks of a node find room for what they plan: the kernel would kill one of them in mid-run, and
 * its word for that says nothing of the cure.
 */
#ifndef MPILORA_RANKS_MEMORY_H
#define MPILORA_RANKS_MEMORY_H

#include <stddef.h>

#include "base/err.h"
#include "ranks/dist.h"

/* One rank's part of the table; bytes. */
struct memory_rank {
    char host[DIST_HOST_SIZE];
    double shared; /* with the other ranks of its host */
    double own;
    double limit; /* of its host or its cgroup; 0: unknown */
};

/* What all ranks of rank `rank`'s host take together: what they share counts once. */
double memory_of_host(const struct memory_rank *table, size_t count, size_t rank);

/* Warns, once for each host, where that is more than there is. */
void memory_warn(const struct memory_rank *table, size_t count);

/* Collective. Both, with what this rank takes. */
enum err_code memory_check(struct dist *d, double shared, double own, struct err *e);

#endif
