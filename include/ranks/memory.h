/*
 * Checks whether a node has enough memory for what its ranks plan to use. Otherwise the kernel would kill one of
 * them during the run, with a message that does not say what to do.
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

/* Bytes that all ranks on the host of rank `rank` use together; memory that they share counts once. */
double memory_of_host(const struct memory_rank *table, size_t count, size_t rank);

/* Warns, once for each host, if that is more than the host has. */
void memory_warn(const struct memory_rank *table, size_t count);

/* Collective. Gathers the table, with the bytes of this rank, and warns. */
enum err_code memory_check(struct dist *d, double shared, double own, struct err *e);

#endif
