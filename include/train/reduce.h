/*
 * The gradient of a batch from the gradients of its packs: the same bits on any number of ranks.
 *
 * Packs are summed over one fixed binary tree over their numbers. Node (level, first) covers packs first ...
 * first + 2^level - 1 and is the sum of its two halves; a half beyond the last pack is left out:
 *
 *     level 2      (0..3) ----------- (4..6)            A rank owns contiguous packs, say 1..4: it adds up
 * what level 1   (0,1)  (2,3)      (4,5)   |             subtrees it has whole, here (1), (2,3) and (4),
 * while its level 0   0   1  2   3      4   5   6             packs arrive. The rest of the tree is added up
 * in slices: each rank gets all ranks' subtree sums for one slice of the flat gradient, adds them, and hands
 * the result to all.
 */
#ifndef MPILORA_TRAIN_REDUCE_H
#define MPILORA_TRAIN_REDUCE_H

#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"
#include "model/lora.h"
#include "train/dist.h"

struct reduce_node {
    size_t first;
    int level;
};

struct reduce {
    struct lora *lora;
    float
        *total; /* [lora->size] lora's own buffer: the gradient of the batch, when there are several ranks */
    size_t pack_count;         /* of the current batch */
    struct reduce_node *nodes; /* [depth] subtrees of this rank, in pack order: a stack */
    float **sums;              /* [depth] [lora->size] their gradients */
    size_t count, depth;
    struct reduce_node *all_nodes; /* of all ranks, in pack order */
    size_t *owned;                 /* [world] how many of them each rank has */
    size_t all_count, all_capacity;
    float *send, *received; /* pieces of a window of the gradient */
    int *sent, *got,
        *slices; /* [world] lengths in floats, of messages and of each rank's part of the window */
};

/* Memory for batches of up to `packs` packs; pages that a run never needs are never touched. */
enum err_code reduce_init(struct reduce *r, struct lora *l, const struct dist *d, size_t packs,
                          struct arena *a, struct err *e);

void reduce_begin(struct reduce *r, size_t pack_count);
/* Around the work on one pack, in ascending order: points lora->grads at zeros, then takes what was added. */
void reduce_pack_begin(struct reduce *r, size_t pack);
void reduce_pack_end(struct reduce *r);

/* Collective. lora->grads is the gradient of the batch, on all ranks. */
enum err_code reduce_finish(struct reduce *r, struct dist *d, struct err *e);

#endif
