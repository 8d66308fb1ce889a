/*
 * Times a fixed piece of training work: --steps steps, each with one pack of random tokens for every rank; all
 * linear layers are adapted, and all tokens except the first of an example are supervised. Compares the speed with
 * its limit.
 *
 * The limit is the time of the unavoidable work at the rate of this machine's matrix products:
 *
 *   work   products with the base forward and for the gradient of the activations (none for the input of the
 *          first block; lm_head for supervised tokens), attention's causal half (two products forward, four
 *          backward), LoRA's six products
 *   rate   FLOP per second of the base's products alone, with the shapes and numbers of the step, on
 *          the same threads, measured right after the steps
 *
 * With an objective for preferences the examples of a pack are the sides of pairs, which share no prompt here: data
 * whose pairs have as many tokens, a shared prompt counted once, take about as long. A step then computes the logits
 * twice, as training does (model/model.h); this counts once as work. If the objective has a reference, its
 * log-probabilities are computed before the steps, and timed by themselves.
 *
 * Each phase has its own limit, by the roofline model (Williams, Waterman & Patterson, 2009): the time of its FLOP
 * at that rate, or of its bytes at the rate of the memory, whichever is longer. bench_work.c describes how they are
 * counted.
 */
#ifndef MPILORA_BENCH_BENCH_H
#define MPILORA_BENCH_BENCH_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/prof.h"
#include "data/tokenizer/tokenizer.h"
#include "train/session.h"

struct bench_phase {
    double seconds;     /* mean over the steps */
    double flop, bytes; /* to compute and to move in a step; 0 if not counted */
    double limit_share; /* speed as a share of the limit; above 1 if arrays stay in caches, which are faster than
                         * memory */
};

struct bench_result {
    size_t step_tokens, step_pairs;                           /* on all ranks */
    double tokens_per_second, slowest_tokens, fastest_tokens; /* median, lowest, highest of the steps */
    double step_seconds, mean_seconds;                        /* median and mean */
    double reference_seconds;            /* median, for the pairs of a step; 0: the objective has no reference */
    double limit_share;                                       /* of the median step */
    double attention_share;              /* time of attention's FLOP at the rate of products, over its seconds */
    double step_flop;                    /* work of all ranks */
    double gemm_flops;                   /* rate of products, FLOP/s, sum of all ranks */
    double memory_rate;                  /* bytes/s of a triad with arrays larger than the caches, sum of all
                                          * ranks */
    uint64_t peak_memory;                /* bytes, of the rank with the most */
    uint64_t step_allocations;           /* largest number in a step of a rank (base/alloc.h) */
    double rank_gemm_flops, rank_memory; /* the two rates of rank 0 */
    struct bench_phase phases[PROF_COUNT]; /* the phases of rank 0 */
};

/* Collective. The session has no adapter yet; afterwards it has one. */
enum err_code bench_run(struct session *s, struct bench_result *r, struct err *e);

/* One pack of that work, without communication. All ranks of s->dist compute it at the same time, so that they
 * compete for memory and caches as they would in training. */
struct bench_pack {
    size_t tokens;
    double seconds;        /* median of forward, backward, and adding the gradient to that of the batch */
    double update_seconds; /* of the rest of a step: norm of the gradient, AdamW */
    double reference_seconds; /* median, of the reference's log-probabilities of the pack, once for each pair */
    double *left; /* [layers + 1], the caller's: seconds from the moment a layer's gradient (the last: lm_head's) is
                   * complete to the end of the pack; undefined for a layer without adapter */
};
/* Collective. The session has no adapter yet; afterwards it has one, and the memory of a step. Times `steps` packs,
 * --steps at most, after one that is not timed; 0: none, and all times are 0. */
enum err_code bench_time_pack(struct session *s, size_t steps, struct bench_pack *p, struct err *e);

/* Writes an SVG file with the phases as points under the limits of a rank's memory and products. `what` names the
 * work. */
enum err_code bench_write_roofline(const char *path, const struct bench_result *r, const char *what,
                                   struct err *e);

/* Times only the tokenizer, on the lines of a file, on one thread and on `threads` in turn, `passes` times.
 * Afterwards the number of threads is `threads` (math/gemm.h). */
struct bench_tokens {
    size_t bytes, texts, tokens;
    double thread_rate, rate; /* bytes per second on one thread and on all: medians */
};
enum err_code bench_tokenize(const struct tokenizer *t, const char *path, int threads, size_t passes,
                             struct bench_tokens *r, struct err *e);

/* In the same way, times the reading of examples, as before the first step of a run: parsing JSON, rendering
 * conversations, tokenising, and marking supervised tokens. */
struct bench_examples {
    size_t examples;
    uint64_t tokens;
    double thread_rate, rate; /* examples per second */
    double json_share;        /* of the time on one thread, for JSON; the rest renders, tokenises and marks */
};
enum err_code bench_examples(struct dataset *d, int threads, size_t passes, struct bench_examples *r, struct err *e);

#endif
