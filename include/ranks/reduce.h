/*
 * The gradient of a batch from the gradients of its packs: the same bits on any number of ranks.
 *
 * Packs are summed over one fixed binary tree over their numbers. Node (level, first) covers packs first ...
 * first + 2^level - 1 and is the sum of its two halves; a half beyond the last pack is left out:
 *
 *     level 2      (0..3) ----------- (4..6)
 *                  /    \             /   |
 *     level 1   (0,1)  (2,3)      (4,5)   |
 *               /  \   /  \       /  \    |
 *     level 0   0   1  2   3      4   5   6
 *                   '-- a rank's -'
 *
 * A rank owns contiguous packs, here 1 to 4. While they arrive it adds up the subtrees that it has whole: (1),
 * (2,3) and (4). The rest of the tree is added up in slices: each rank gets all ranks' subtree sums for one slice
 * of the flat gradient, adds them, and hands the result to all.
 *
 * The flat gradient travels in buckets, its end first, since that is what backward has first: a bucket leaves
 * as soon as the rank's last pack has added its part, while that pack's backward goes on. Two lanes of calls
 * keep the order of the buckets the same on all ranks, whatever the order in which they get ready and arrive.
 *
 * The fast way is a plain sum by the MPI library, whose order may depend on the number of ranks.
 */
#ifndef MPILORA_RANKS_REDUCE_H
#define MPILORA_RANKS_REDUCE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"
#include "model/lora.h"
#include "ranks/dist.h"

struct reduce_node {
    size_t first;
    int level;
};

/* A bucket's place among those under way. */
struct reduce_slot {
    struct dist_request exchange, share;
    float *send, *received;
    struct dist_pieces sent, got, slices;
};

enum { REDUCE_SLOTS = 4 }; /* buckets under way at most */

struct reduce {
    const struct lora_layout *layout;
    struct dist *dist;
    bool fast;
    float *total;              /* [layout->size] the sum over all ranks; unused on one rank, unless fast */
    size_t pack_count;         /* of the current batch */
    size_t pack, end;          /* the one that is worked on; behind the last of this rank */
    size_t reported;           /* floats of it that reduce_grads_ready() was told of */
    struct reduce_node *nodes; /* [depth] subtrees of this rank, in pack order: a stack */
    float **sums;              /* [depth] [layout->size] their gradients */
    size_t count, depth;
    struct reduce_node *all_nodes; /* of all ranks, in pack order */
    size_t *owned;                 /* [world] how many of them each rank has */
    size_t all_count, all_capacity;
    size_t bucket, buckets; /* floats of a bucket; how many there are */
    size_t *ready;          /* [buckets] floats whose last part has been added */
    size_t started, added,
        finished; /* buckets, in order: that left; whose slice is added up; that are done */
    struct reduce_slot slots[REDUCE_SLOTS];
    enum err_code code; /* of a call on the way, until reduce_finish() */
    struct err err;
};

/* Memory for batches of up to `packs` packs; pages that a run never needs are never touched. `fast`: the
 * plain sum. `l` and `d` must outlive it. */
enum err_code reduce_init(struct reduce *r, const struct lora_layout *l, struct dist *d, size_t packs,
                          bool fast, struct arena *a, struct err *e);

/* All ranks with the same number of packs, shared as pack_share() does. */
void reduce_begin(struct reduce *r, size_t pack_count);
/* Around the work on one pack, in ascending order. The first gives what the pack's gradient is to be added to
 * [layout->size], valid until the second: zeros, or, on the fast way, the sum so far. */
float *reduce_pack_begin(struct reduce *r, size_t pack);
void reduce_pack_end(struct reduce *r);

/* For the work on a pack to call, from time to time, on each part of its gradient that the pack adds nothing
 * to any more: all parts once, or none. Lets the gradient travel meanwhile. */
void reduce_grads_ready(struct reduce *r, size_t begin, size_t count);

/* The same for all that a layer has, as model_step_grad() tells it (struct model_grads). `reduce` is a struct reduce.
 */
void reduce_layer_ready(void *reduce, size_t layer);

/* Collective. *grads is the gradient of the batch [layout->size], on all ranks, until the next one begins. */
enum err_code reduce_finish(struct reduce *r, const float **grads, struct err *e);
/* Collective. Instead of it, when some rank has failed with its packs: brings what travels to an end. */
void reduce_drop(struct reduce *r);

/* Bytes that the rank with most to send sends for the current batch. */
size_t reduce_sent_bytes(const struct reduce *r);

/* What the sum of a batch takes that is shared among `world` ranks: the same numbers as above, without ranks.
 */
struct reduce_traffic {
    size_t depth;           /* gradients that a rank keeps beside the flat one */
    size_t subtrees;        /* sums that a rank has when its packs are done, at most */
    size_t bucket, buckets; /* floats of a bucket; how many there are: 0 when nothing travels */
    size_t sent_bytes;      /* by the rank with most to send, to all others together */
};
/* `size` is the adapter's. */
void reduce_count_traffic(struct reduce_traffic *t, size_t size, size_t packs, size_t world, bool fast);

#endif
