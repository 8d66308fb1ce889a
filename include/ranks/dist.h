/*
 * The ranks: the only module that knows MPI. All of them, or a group that dist_split() made;
 * MPI_THREAD_FUNNELED. Functions marked Collective are called by all ranks of their struct dist in the same
 * order. Lengths may exceed what an int counts.
 */
#ifndef MPILORA_RANKS_DIST_H
#define MPILORA_RANKS_DIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define DIST_HOST_SIZE 128

struct dist_comm;

struct dist {
    struct dist_comm *comm; /* NULL: one process by itself */
    int rank, world;
    int node_rank, node_ranks; /* among the ranks of this host */
    int nodes;
    char host[DIST_HOST_SIZE];
};

/* Collective. Starts MPI; also detects that the launcher started more
 * processes than have found each other (N silent singletons). */
enum err_code dist_start(struct dist *d, int *argc, char ***argv, struct err *e);
/* Collective. */
void dist_stop(struct dist *d);
/* Collective. Makes groups: ranks that give the same number are a world of their own, in their present order.
 * A failure reaches all ranks. */
enum err_code dist_split(struct dist *group, struct dist *d, int number, struct err *e);
/* Collective. Likewise a group for each node. */
enum err_code dist_split_node(struct dist *group, struct dist *d, struct err *e);
/* Collective over the group. */
void dist_split_release(struct dist *group);

/* Ends all ranks at once with this status (after a local failure outside a collective phase). */
void dist_abort(struct dist *d, int status) __attribute__((noreturn));

/* Collective. All ranks learn of one rank's error: on every rank `e` then holds code and message of the
 * lowest failing rank, and the code is returned; rank 0 prints it once. ERR_OK when all ranks pass ERR_OK. */
enum err_code dist_agree(struct dist *d, enum err_code code, struct err *e);

/* Collective. In place, result on all ranks. */
enum err_code dist_sum_f32(struct dist *d, float *x, size_t count, struct err *e);
enum err_code dist_sum_f64(struct dist *d, double *x, size_t count, struct err *e);
enum err_code dist_sum_u64(struct dist *d, uint64_t *x, size_t count, struct err *e);
enum err_code dist_max_u64(struct dist *d, uint64_t *x, size_t count, struct err *e);
enum err_code dist_broadcast(struct dist *d, void *bytes, size_t length, int root, struct err *e);

/* Collective. `root` gives *bytes and *length; the others get a malloc'ed copy (their caller frees it). */
enum err_code dist_broadcast_block(struct dist *d, void **bytes, size_t *length, int root, struct err *e);

/* Collective. Concatenates every rank's bytes in rank order; *all is malloc'ed (caller frees, NULL on error),
 * sizes[world] may be NULL. */
enum err_code dist_gather_all(struct dist *d, void **all, size_t *total, size_t *sizes, const void *mine,
                              size_t length, struct err *e);

/* A flat array in pieces, one a rank: lengths in floats and where each piece begins. At most INT_MAX floats.
 */
struct dist_pieces {
    int *lengths, *places; /* [world] */
};

/* A collective call under way: zeroed, nothing is. Arrays that were given to it, lengths and places too, must
 * stay until it is done. It gets on while the rank is in this module: dist_test() now and then is enough. */
struct dist_request {
    uint64_t handle;
    bool active;
};

/* Collective, as the blocking ones, but in two lanes: exchanges and sums are called in the same order on all
 * ranks, and shares are, whatever comes between them. */
/* send[] holds a piece for each rank; what the ranks have for this one goes to received[]. */
enum err_code dist_exchange_start(struct dist *d, struct dist_request *r, float *received,
                                  const struct dist_pieces *got, const float *send,
                                  const struct dist_pieces *sent, struct err *e);
/* In place, result on all ranks; in an order that is the library's. At most INT_MAX. */
enum err_code dist_sum_start(struct dist *d, struct dist_request *r, float *x, size_t count, struct err *e);
/* Each rank has its piece of x at its place; afterwards all are filled. */
enum err_code dist_share_start(struct dist *d, struct dist_request *r, float *x,
                               const struct dist_pieces *pieces, struct err *e);

/* *done: the request is done with, or there was none. */
enum err_code dist_test(struct dist_request *r, bool *done, struct err *e);
enum err_code dist_wait(struct dist_request *r, struct err *e);

/* A word for another rank, beside all collective calls: sending does not wait for it to be taken. What one rank
 * sends another arrives in order, and each word must have been taken before dist_stop(). */
enum err_code dist_send_word(struct dist *d, int to, uint64_t word, struct err *e);
/* The next word that has arrived for this rank, from whichever; *found is false when there is none. */
enum err_code dist_take_word(struct dist *d, bool *found, uint64_t *word, struct err *e);

/* "Open MPI 4.1.4" */
void dist_version(char *text, size_t size);

#endif
