/*
 * Memory that the ranks of a node share: one of them fills it, all of them read it.
 */
#ifndef MPILORA_RANKS_NODE_MEMORY_H
#define MPILORA_RANKS_NODE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "ranks/dist.h"

struct node_memory {
    void *memory; /* NULL: there is none, each rank must allocate its own */
    size_t size;
    bool mine; /* this rank has to fill it */
};

/* Collective over all ranks. For each node with several ranks, maps `size` bytes of zeroed memory that its ranks
 * share; `node` is the group of this rank's node (dist_split_node()). If the system does not allow its processes to
 * share memory, m->memory is NULL, which is not an error. After an error there is nothing to close. */
enum err_code node_memory_open(struct node_memory *m, struct dist *d, struct dist *node, size_t size,
                               struct err *e);

/* Call it when the memory is filled: from now on writing to it is a fault. */
void node_memory_seal(struct node_memory *m);

void node_memory_close(struct node_memory *m); /* a zeroed one is fine */

#endif
