/*
 * What training would be like on other numbers of ranks: memory, seconds of a step, and how much of it is
 * communication that nothing hides. Out of what one rank's pack takes and the figures of the network.
 *
 * A step of N ranks, K of them on a node:
 *
 *     seconds = packs * pack + update + agreement + rest
 *
 *   packs      of the rank with most of them, ceil(batch / N): pack_share()
 *   pack       forward, backward and adding the gradient up, and update (norm, AdamW): measured or given
 *   agreement  before the gradient is used, one all-reduce of some numbers and one for each rank and pack
 *              (train/tally.h): recursive doubling over the nodes, log2(nodes) messages one after another
 *   rest       of the gradient's travel, what the backward of the last pack does not hide
 *
 * The gradient travels in the buckets of ranks/reduce.h; reduce_count_traffic() counts. With S the most
 * subtree sums of a rank, a bucket of F floats takes one node's link, in stages one behind the other,
 *
 *     exact   K S 4 F (N - K) / N bytes    to the ranks of other nodes: slices of S sums, a rank's messages
 *             in N - K messages            one after another; then
 *             K 4 F (N - K) / N bytes      the slices' totals, likewise
 *     fast    4 F bytes in one message     2 log2(nodes) times: what Open MPI does for a sum in place is a
 *                                          binomial tree, with all of the bucket on each edge, in one
 *                                          direction of the links on the way up and in the other down
 *
 * and takes latency * messages + 8 * bytes / rate seconds: Hockney's model, under which Thakur, Rabenseifner
 * & Gropp (2005) give these costs of an all-to-all by single messages and of the trees. Stages of several
 * buckets that are under way share the link and follow each other.
 *
 * The library moves data only while a rank is in it, which is once a layer. At one such look a stage is
 * announced, at the next the receivers' answers are there and its data is sent, and the first look after it
 * has arrived sees that it has and begins the next stage; a bucket sets out at the look that finds its last
 * layer's gradient complete. When the last pack has ended the ranks look all the time. `left` says when looks
 * are. So the last bucket or two are exposed in most of their stages, even where the link is fast.
 *
 * Memory of a rank: what train's first lines say (activations; values, gradient, two moments and sums of
 * packs of the adapter, as many sums as these packs need) and the buffers of the buckets under way. The base
 * lies once on each node.
 *
 * Not in the model: checkpoints, evaluation, text (it is prepared ahead), ranks that are slower than the one
 * that was measured, what packing and adding up the last buckets takes a rank, and links that are slower the
 * more pairs of nodes use them.
 */
#ifndef MPILORA_BENCH_PLAN_H
#define MPILORA_BENCH_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "train/session.h"

struct plan_link {
    double rate;    /* bit/s of payload, of a node's link in each direction; may be infinite */
    double latency; /* s, of a message */
};

/* "1gbit" and "10gbit", TCP over Ethernet of that rate in frames of 1,500 bytes, or "RATE,LATENCY":
 * "25gbit,5us"; bit/s and seconds without a unit. ERR_USAGE. */
enum err_code plan_read_link(struct plan_link *link, const struct opt_text *network, struct err *e);

/* A part of the flat gradient, and how many seconds before a pack's end it is complete. */
struct plan_part {
    size_t begin, count;
    double left;
};

struct plan_facts {
    size_t adapter;                      /* length of the flat gradient */
    const struct plan_part *parts;       /* all of it, the end of the array first */
    double pack_seconds, update_seconds; /* of one rank */
    double base, activations;            /* bytes: of a node, of a rank */
    size_t pack_tokens;
    size_t rank_packs, batch_packs; /* of a rank, or of all ranks together; the other is 0 */
    size_t ranks_per_node;
    bool fast; /* --reduce */
    struct plan_link link;
};

struct plan_row {
    size_t ranks, nodes, packs;                           /* packs: of the rank with most */
    double adapter, messages, rank_memory, node_memory;   /* bytes; rank_memory as if the base were its own */
    double sent;                                          /* bytes for the gradient, of the rank with most */
    double step_seconds, exposed_seconds, travel_seconds; /* exposed: agreement and rest; travel: all of it */
    double tokens_per_second;
    double efficiency; /* tokens a second of a rank, over those of one rank by itself */
};

/* The formulas. */
void plan_predict(struct plan_row *row, const struct plan_facts *f, size_t ranks);

/* Packs of a step of one rank: what a --step-seconds is for. */
size_t plan_single_packs(const struct options *o);

/* Collective. Fills in all but `link` from the session, which has no adapter yet, and its options: sizes, and
 * the times of a pack of --length tokens an example (bench/bench.h): the slowest rank's when the session's
 * ranks do it at the same time. With --step-seconds nothing is timed: half of a pack is then its backward,
 * which takes as long in each layer. `parts` has room for layers + 1. */
enum err_code plan_measure(struct plan_facts *f, struct plan_part *parts, struct session *s, struct err *e);

#endif
