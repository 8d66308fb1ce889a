/*
 * Memory that the ranks of a node have in common: one of them fills it, all read it.
 */
#ifndef MPILORA_RANKS_NODE_MEMORY_H
#define MPILORA_RANKS_NODE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "ranks/dist.h"

struct node_memory {
    void *memory; /* NULL: there is none, each rank is to take its own */
    size_t size;
    bool mine; /* this rank is the one to fill it */
};

/* Collective over all ranks. Zeroed pages of `size` bytes, the same on all ranks of a node, for each node
 * with several; `node` is the group of this rank's (dist_split_node()). Where the system does not let its
 * processes share memory, there is none: that is no error. After an error there is nothing to close. */
enum err_code node_memory_open(struct node_memory *m, struct dist *d, struct dist *node, size_t size,
                               struct err *e);

/* After it was filled: writing to it is a fault from now on. */
void node_memory_seal(struct node_memory *m);

void node_memory_close(struct node_memory *m); /* a zeroed one is fine */

#endif
