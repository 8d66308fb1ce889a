/*
 * Hashes files once per node: one rank of a node reads them and the others take over its result.
 */
#ifndef MPILORA_RANKS_NODE_HASH_H
#define MPILORA_RANKS_NODE_HASH_H

#include "base/err.h"
#include "base/file.h"
#include "ranks/dist.h"

/* Reads and hashes the files that `from` describes. */
typedef enum err_code node_hash_take(char hash[FILE_HASH_SIZE], void *from, struct err *e);

/* Collective over all ranks; `node` is the group of this rank's node (dist_split_node()). The caller has added to
 * `files` the identities of the files that this rank has open (file_stamp); it is finished here. Two ranks of a
 * node with the same result have the same files. NULL, because file_hasher_open() failed, is an error on all ranks.
 * The first rank of the node calls `take`, and so does each rank that has other files; the others get the hash of
 * the first. */
enum err_code node_hash(char hash[FILE_HASH_SIZE], struct file_hasher *files, node_hash_take *take,
                        void *from, struct dist *d, struct dist *node, struct err *e);

#endif
