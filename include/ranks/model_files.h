/*
 * Opens the files of the base model on all ranks. Each rank opens them from disk, or, with --load broadcast, rank 0
 * reads them and sends them to one rank of each other node, into memory that the ranks of the node share. The hash
 * of their content is computed once per node.
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
    struct node_memory shared; /* the image, if the ranks of the node share it */
    void *own;                 /* otherwise the image as this rank's own copy; both NULL: opened from disk */
    size_t size;
    struct store_file *files; /* of the image; `names` is the memory of their names */
    void *names;
    struct store_image image;
};

/* Collective over all ranks; `node` is the group of this rank's node (dist_split_node()). Opens `store`. If a rank
 * cannot open it, all ranks get the error, with the host if it is not that of rank 0. With `broadcast` only the
 * ranks of rank 0's node open `path`. */
enum err_code model_files_open(struct model_files *m, struct store *store, struct dist *d, struct dist *node,
                               const char *path, bool broadcast, struct err *e);

/* Collective. arch_hash(), computed by one rank of a node for all ranks that have opened exactly the same files. */
enum err_code model_files_hash(const struct model_files *m, struct store *store, struct dist *d,
                               struct dist *node, struct err *e);

/* Says that other ranks of the node will also read the image, so that store_forget() must not return its pages. */
void model_files_keep(struct model_files *m);

/* Says that all expanding is done: from now on writing to the image is a fault, and no pages of it are returned. */
void model_files_seal(struct model_files *m);

void model_files_close(struct model_files *m); /* after the store; a zeroed one is fine */

#endif
