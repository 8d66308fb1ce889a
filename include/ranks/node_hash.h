/*
 * The hash of files that one rank of a node takes for all of them, so that each node reads them once.
 */
#ifndef MPILORA_RANKS_NODE_HASH_H
#define MPILORA_RANKS_NODE_HASH_H

#include "base/err.h"
#include "base/file.h"
#include "ranks/dist.h"

/* Reads what `from` is and hashes it. */
typedef enum err_code node_hash_take(char hash[FILE_HASH_SIZE], void *from, struct err *e);

/* Collective over all ranks; `node` is the group of this rank's node (dist_split_node()). `files` was
 * fed with what says which files this rank has open, and is finished here: two ranks of a node that fed the
 * same have the same bytes; NULL, if file_hasher_open() failed, is its error on all ranks. The first rank of
 * the node calls `take`, and so does every rank with other files; the rest get the first one's hash. */
enum err_code node_hash(char hash[FILE_HASH_SIZE], struct file_hasher *files, node_hash_take *take,
                        void *from, struct dist *d, struct dist *node, struct err *e);

#endif
