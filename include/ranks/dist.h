/*
 * The ranks and their communication: the only module that uses MPI (MPI_THREAD_FUNNELED: only the main thread calls
 * it). A struct dist stands for all ranks, or for a group made by dist_split(). Functions marked Collective must be
 * called by all ranks of their struct dist, in the same order, and return the same code on all of them. Lengths may
 * exceed the range of int.
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
    struct dist_comm *comm; /* NULL: a single process without MPI */
    int rank, world;
    int node_rank, node_ranks; /* among the ranks of this host */
    int nodes;
    char host[DIST_HOST_SIZE];
};

/* Collective. Starts MPI. ERR_COMM also if the launcher started several processes that did not all find each
 * other. */
enum err_code dist_start(struct dist *d, int *argc, char ***argv, struct err *e);
/* Collective. */
void dist_stop(struct dist *d);
/* Collective. Divides the ranks into groups: ranks that pass the same number form a group, in their present order.
 * A failure is returned on all ranks. */
enum err_code dist_split(struct dist *group, struct dist *d, int number, struct err *e);
/* Collective. The same with one group for each node. */
enum err_code dist_split_node(struct dist *group, struct dist *d, struct err *e);
/* Collective over the group. Releases it. */
void dist_split_release(struct dist *group);

/* Ends all ranks at once with this status (after a local failure outside a collective phase). */
void dist_abort(struct dist *d, int status) __attribute__((noreturn));

/* Collective. All ranks learn of one rank's error: each rank passes its own code and `e`; afterwards `e` has, on
 * every rank, the code and the message of the lowest failing rank, and this code is returned (main() prints it on
 * rank 0 only). ERR_OK if all ranks pass ERR_OK. */
enum err_code dist_agree(struct dist *d, enum err_code code, struct err *e);

/* Collective. Sums, maximum and broadcast, in place, with the result on all ranks. */
enum err_code dist_sum_f32(struct dist *d, float *x, size_t count, struct err *e);
enum err_code dist_sum_f64(struct dist *d, double *x, size_t count, struct err *e);
enum err_code dist_sum_u64(struct dist *d, uint64_t *x, size_t count, struct err *e);
enum err_code dist_max_u64(struct dist *d, uint64_t *x, size_t count, struct err *e);
enum err_code dist_broadcast(struct dist *d, void *bytes, size_t length, int root, struct err *e);

/* Collective. `root` passes *bytes and *length; the other ranks get a copy from malloc(), which their caller
 * frees. */
enum err_code dist_broadcast_block(struct dist *d, void **bytes, size_t *length, int root, struct err *e);

/* Collective. Concatenates the bytes of all ranks in the order of the ranks, on all of them. *all is from malloc()
 * (the caller frees it; NULL on error); sizes[world] may be NULL. */
enum err_code dist_gather_all(struct dist *d, void **all, size_t *total, size_t *sizes, const void *mine,
                              size_t length, struct err *e);

/* A flat array divided into one piece per rank: the length and the start of each piece, in floats. At most INT_MAX
 * floats. */
struct dist_pieces {
    int *lengths, *places; /* [world] */
};

/* A collective call in progress; zeroed: none. The arrays that were passed to it, including lengths and places,
 * must stay valid until it is done. It makes progress only while the rank calls functions of this module; calling
 * dist_test() from time to time is enough. */
struct dist_request {
    uint64_t handle;
    bool active;
};

/* Collective calls that do not block. They form two lanes, one for exchanges and sums, one for shares: all ranks
 * must make the calls of a lane in the same order, but calls of the lanes may be mixed in any way. */
/* Starts an exchange: send[] has a piece for each rank; received[] gets the pieces that the ranks have for this
 * one. */
enum err_code dist_exchange_start(struct dist *d, struct dist_request *r, float *received,
                                  const struct dist_pieces *got, const float *send,
                                  const struct dist_pieces *sent, struct err *e);
/* Starts a sum in place, with the result on all ranks. The MPI library chooses the order of summation. At most
 * INT_MAX floats. */
enum err_code dist_sum_start(struct dist *d, struct dist_request *r, float *x, size_t count, struct err *e);
/* Starts sharing: each rank has its own piece of x in its place; afterwards x is complete on all ranks. */
enum err_code dist_share_start(struct dist *d, struct dist_request *r, float *x,
                               const struct dist_pieces *pieces, struct err *e);

/* dist_test() makes progress and sets *done if the request is complete (or there was none); dist_wait() waits for
 * that. */
enum err_code dist_test(struct dist_request *r, bool *done, struct err *e);
enum err_code dist_wait(struct dist_request *r, struct err *e);

/* Sends a word (a number) to another rank, independently of all collective calls and without waiting for it to be
 * received. The words from one rank to another arrive in order. All words must have been received before
 * dist_stop(). */
enum err_code dist_send_word(struct dist *d, int to, uint64_t word, struct err *e);
/* Receives the next word that has arrived for this rank, from any rank; *found is false if there is none. */
enum err_code dist_take_word(struct dist *d, bool *found, uint64_t *word, struct err *e);

/* "Open MPI 4.1.4", "MPICH 4.0.2" */
void dist_version(char *text, size_t size);

#endif
