/*
 * The base model's files on all ranks: opened where they lie, or, with --load broadcast, read by rank 0 and
 * sent to one rank of each other node, into memory that the node's ranks share. The hash of their content is
 * taken once on each node.
 */
#ifndef MPILORA_RANKS_MODEL_FILES_H
#define MPILORA_RANKS_MODEL_FILES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "io/store/store.h"
#include "ranks/dist.h"
#include "ranks/node_memory.h"

struct model_files {
    struct node_memory shared; /* the image, where the node's ranks have it in common */
    void *own;                 /* or a copy of this rank's; NULL, and so no image: opened where they lie */
    size_t size;
    struct store_file *files; /* of the image, and the memory of their names */
    void *names;
    struct store_image image;
};

/* Collective over all ranks; `node` is the group of this rank's node (dist_split_node()). Opens `store`. One
 * that cannot be opened is an error on all ranks, with the host if it is not rank 0's. With `broadcast` only
 * the ranks of rank 0's node open `path`. */
enum err_code model_files_open(struct model_files *m, struct store *store, struct dist *d, struct dist *node,
                               const char *path, bool broadcast, struct err *e);

/* Collective. arch_hash(), by one rank of the node for all that have opened the very same files. */
enum err_code model_files_hash(const struct model_files *m, struct store *store, struct dist *d,
                               struct dist *node, struct err *e);

/* Other ranks of the node read the image too: store_forget() is to leave it alone. */
void model_files_keep(struct model_files *m);

/* All is expanded that will be: writing to the image is a fault from now on, nothing of it is given back. */
void model_files_seal(struct model_files *m);

void model_files_close(struct model_files *m); /* after the store; a zeroed one is fine */

#endif
