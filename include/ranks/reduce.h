/*
 * Sums the gradients of the packs of a batch, with the same bits on any number of ranks.
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
 * A rank owns contiguous packs, here 1 to 4. As they are computed, it sums the subtrees that are complete: (1),
 * (2,3) and (4). The rest of the tree is summed in slices: each rank receives the subtree sums of all ranks for one
 * slice of the flat gradient, adds them, and sends the result to all ranks.
 *
 * The flat gradient is sent in buckets, starting at its end, because backward completes the end first: a bucket is
 * sent as soon as the rank's last pack has added its part, while backward of that pack continues. Two lanes of
 * calls (dist.h) keep the order of the buckets the same on all ranks, in whatever order they become ready and
 * arrive.
 *
 * With `fast`, the MPI library computes a plain sum, whose order may depend on the number of ranks.
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

/* A bucket that is being sent. */
struct reduce_slot {
    struct dist_request exchange, share;
    float *send, *received;
    struct dist_pieces sent, got, slices;
};

enum { REDUCE_SLOTS = 4 }; /* at most this many buckets are being sent at a time */

struct reduce {
    const struct lora_layout *layout;
    struct dist *dist;
    bool fast;
    float *total;              /* [layout->size] the sum over all ranks; unused on one rank, unless fast */
    size_t pack_count;         /* of the current batch */
    size_t pack, end;          /* the current pack; the number after this rank's last pack */
    size_t reported;           /* floats of it that have been passed to reduce_grads_ready() */
    struct reduce_node *nodes; /* [depth] subtrees of this rank, in pack order: a stack */
    float **sums;              /* [depth] [layout->size] their gradients */
    size_t count, depth;
    struct reduce_node *all_nodes; /* of all ranks, in pack order */
    size_t *owned;                 /* [world] how many of them each rank has */
    size_t all_count, all_capacity;
    size_t bucket, buckets; /* floats of a bucket; how many there are */
    size_t *ready;          /* [buckets] number of floats that are complete */
    size_t started, added,
        finished; /* numbers of buckets, in order: sent; with their slice summed; done */
    struct reduce_slot slots[REDUCE_SLOTS];
    enum err_code code; /* of a failed call, until reduce_finish() returns it */
    struct err err;
};

/* Allocates memory for batches of up to `packs` packs; pages that a run does not need are never touched. `fast`:
 * the plain sum. `l` and `d` must outlive it. */
enum err_code reduce_init(struct reduce *r, const struct lora_layout *l, struct dist *d, size_t packs,
                          bool fast, struct arena *a, struct err *e);

/* Starts a batch. All ranks pass the same number of packs; each rank owns those that pack_share() gives it. */
void reduce_begin(struct reduce *r, size_t pack_count);
/* Called before and after the computation of each pack, in ascending order. reduce_pack_begin() returns the array
 * [layout->size] to which the pack's gradient must be added, valid until reduce_pack_end(). It has zeros or, with
 * `fast`, the sum so far. */
float *reduce_pack_begin(struct reduce *r, size_t pack);
void reduce_pack_end(struct reduce *r);

/* Called during the computation of a pack for each part of its gradient that is complete: for all parts, each once,
 * or for none. It also lets communication make progress. */
void reduce_grads_ready(struct reduce *r, size_t begin, size_t count);

/* The same for all parameters of a layer, as a callback of model_step_grad() (struct model_grads). `reduce` is a
 * struct reduce. */
void reduce_layer_ready(void *reduce, size_t layer);

/* Collective. *grads is the gradient of the batch [layout->size], on all ranks, valid until the next
 * reduce_begin(). */
enum err_code reduce_finish(struct reduce *r, const float **grads, struct err *e);
/* Collective. Called instead of reduce_finish() if some rank failed with its packs: completes all communication. */
void reduce_drop(struct reduce *r);

/* The number of bytes that a rank sends for the current batch; the largest number over all ranks. */
size_t reduce_sent_bytes(const struct reduce *r);

/* Memory and traffic of the sum of a batch on `world` ranks: the same numbers as above, computed without
 * communication. */
struct reduce_traffic {
    size_t depth;           /* number of gradients that a rank keeps in addition to the flat one */
    size_t subtrees;        /* largest number of sums that a rank has when its packs are done */
    size_t bucket, buckets; /* floats of a bucket; number of buckets, 0 if nothing is sent */
    size_t sent_bytes;      /* by the rank that sends most, to all others together */
};
/* `size` is that of the adapter: layout->size. */
void reduce_count_traffic(struct reduce_traffic *t, size_t size, size_t packs, size_t world, bool fast);

#endif
