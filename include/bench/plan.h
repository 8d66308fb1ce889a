/*
 * Predicts training on other numbers of ranks: memory, the time of a step, and the exposed communication, that is,
 * communication that does not overlap with computation. The prediction uses the measured time of one rank's pack
 * and the speed of the network.
 *
 * A step of N ranks, K of them on a node:
 *
 *     seconds = packs * pack + update + agreement + rest
 *
 *   packs      largest number of packs of a rank, ceil(batch / N): pack_share()
 *   pack       forward, backward and summing the gradient; update: norm and AdamW; measured or given
 *   agreement  before the gradient is used: one all-reduce of a few numbers plus one per rank and per pack
 *              (train/tally.h): recursive doubling over the nodes, log2(nodes) messages in sequence
 *   rest       the time to send the gradient, as far as it does not overlap with backward of the last pack
 *
 * The gradient is sent in the buckets of ranks/reduce.h; reduce_count_traffic() counts them. If a rank has at most
 * S subtree sums, a bucket of F floats uses the link of a node in these stages, one after the other:
 *
 *     exact   K S 4 F (N - K) / N bytes    to the ranks of other nodes: slices of S sums, the messages of a rank
 *             in N - K messages            in sequence; then
 *             K 4 F (N - K) / N bytes      the totals of the slices, in the same way
 *     fast    4 F bytes in one message     2 log2(nodes) times: for a sum in place, Open MPI uses a
 *                                          binomial tree, with the whole bucket on each edge, in one
 *                                          direction of the links on the way up and in the other one down
 *
 * A stage takes latency * messages + 8 * bytes / rate seconds (Hockney's model; Thakur, Rabenseifner & Gropp (2005)
 * give these costs of an all-to-all with single messages and of the trees). Stages of several buckets share the
 * link and follow one another.
 *
 * The MPI library makes progress only while a rank calls it, which is once per layer. The first call announces a
 * stage. At the next call, the receivers' answers have arrived and the data is sent. The first call after the data
 * has arrived notices this and starts the next stage. A bucket starts at the call that finds the gradient of its
 * last layer complete. When the last pack has ended, the ranks call the library all the time. `left` says when
 * these calls are made. So most stages of the last one or two buckets are exposed, even on a fast link.
 *
 * If the objective has a reference, its log-probabilities of all pairs are computed before the first step, each once:
 * for the pairs of a step in packs * (forward of a pack) + agreement seconds.
 *
 * The memory of a rank is what the first lines of train say (the activations; for the adapter, its values,
 * gradient, two moments, copies of values that training started from and as many sums as the packs need) and the
 * buffers of the buckets that are being sent. The base is in memory once per node.
 *
 * The model does not contain: checkpoints, evaluation, reading data (it is done in advance), ranks that are slower
 * than the measured one, the time to pack and sum the last buckets, and links that become slower when more pairs of
 * nodes use them.
 */
#ifndef MPILORA_BENCH_PLAN_H
#define MPILORA_BENCH_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "train/session.h"

struct plan_link {
    double rate;    /* payload of a node's link in each direction, bit/s; may be infinite */
    double latency; /* of a message, s */
};

/* Reads --network: "1gbit" or "10gbit" for TCP over Ethernet of that rate in frames of 1,500 bytes, or
 * "RATE,LATENCY": "25gbit,5us"; without a unit, bit/s and seconds. ERR_USAGE. */
enum err_code plan_read_link(struct plan_link *link, const struct opt_text *network, struct err *e);

/* A part of the flat gradient; it is complete `left` seconds before the end of a pack. */
struct plan_part {
    size_t begin, count;
    double left;
};

struct plan_facts {
    size_t adapter;                      /* length of the flat gradient */
    size_t copies;                       /* further arrays of this length (session_adapter_copies()) */
    const struct plan_part *parts;       /* the whole gradient, starting with the end of the array */
    double pack_seconds, update_seconds; /* of one rank */
    double reference_seconds;            /* of a pack's reference; 0: the objective has none */
    double base, activations;            /* bytes: of the base on a node, of a rank's activations */
    size_t pack_tokens;
    size_t rank_packs, batch_packs; /* packs of a rank, or of all ranks together; the other one is 0 */
    size_t ranks_per_node;
    bool fast; /* --reduce */
    struct plan_link link;
};

struct plan_row {
    size_t ranks, nodes, packs;                           /* packs: of the rank that has most */
    double adapter, messages, rank_memory, node_memory;   /* bytes; rank_memory includes the whole base */
    double sent;                                          /* bytes of the gradient that the rank which sends most
                                                           * sends */
    double step_seconds, exposed_seconds, travel_seconds; /* exposed: agreement and rest; travel: all
                                                           * communication */
    double reference_seconds;                             /* once, for the pairs of a step; 0: there is no reference */
    double tokens_per_second;
    double efficiency; /* tokens per second of a rank, divided by those of a single rank */
};

/* Computes a row by the formulas above. */
void plan_predict(struct plan_row *row, const struct plan_facts *f, size_t ranks);

/* Number of packs of a step on one rank, to which --step-seconds refers. */
size_t plan_single_packs(const struct options *o);

/* Collective. Fills in everything except `link`, from the session, which must not have an adapter yet, and its
 * options: the sizes, and the times of a pack with --length tokens per example (bench/bench.h), those of the
 * slowest rank when all ranks of the session compute at the same time. With --step-seconds nothing is timed:
 * backward then counts as half of a pack, with equal time in each layer, and a reference as the other half. `parts` has
 * memory for layers + 1. */
enum err_code plan_measure(struct plan_facts *f, struct plan_part *parts, struct session *s, struct err *e);

#endif
