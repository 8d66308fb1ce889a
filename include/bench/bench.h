/*
 * A fixed piece of training work, timed: --steps steps, each of one pack of random tokens for every rank, all
 * linear layers adapted, every token but an example's first supervised. And how far that is from the limit.
 *
 * The limit is the work that nobody can leave out, over the rate at which the machine multiplies:
 *
 *   work   products with the base forward and for the gradient of the activations (none for the input of the
 *          first block; lm_head for supervised tokens), attention's causal half (two products forward, four
 *          backward), LoRA's six products
 *   rate   FLOP per second of the base's products by themselves, in the shapes and numbers of the step, on
 *          the same threads, measured right after the steps
 *
 * Each phase has a limit of its own, that of the roofline model (Williams, Waterman & Patterson, 2009): its
 * FLOP at that rate or its bytes at the rate of the memory, whichever takes longer. bench_work.c says how
 * they are counted.
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
    double seconds;     /* of a step: mean */
    double flop, bytes; /* to compute and to move in a step; 0 where nothing is counted */
    double limit_share; /* above 1 where arrays stay in caches, which are faster than memory */
};

struct bench_result {
    size_t step_tokens;                                       /* on all ranks */
    double tokens_per_second, slowest_tokens, fastest_tokens; /* median, lowest, highest of the steps */
    double step_seconds, mean_seconds;                        /* median and mean */
    double limit_share;                                       /* of the median step */
    double attention_share;              /* attention's FLOP at the rate of products over its seconds */
    double step_flop;                    /* the work, of all ranks */
    double gemm_flops;                   /* the rate, FLOP/s, sum of all ranks */
    double memory_rate;                  /* bytes per second of a triad beyond the caches, sum of all ranks */
    uint64_t peak_memory;                /* bytes, of the rank with the most */
    uint64_t step_allocations;           /* most in a step of any rank (base/alloc.h) */
    double rank_gemm_flops, rank_memory; /* the two rates of rank 0, */
    struct bench_phase phases[PROF_COUNT]; /* and its phases */
};

/* Collective. The session has no adapter yet; afterwards it has one. */
enum err_code bench_run(struct session *s, struct bench_result *r, struct err *e);

/* A pack of that work by itself, without other ranks; those of s->dist do it at the same time, and so take
 * from each other what they would in training. */
struct bench_pack {
    size_t tokens;
    double seconds;        /* forward, backward, and adding its gradient to the batch's: median */
    double update_seconds; /* of the rest of a step: the gradient's norm, AdamW */
    double *left; /* [layers + 1], the caller's: from when a layer's gradient (the last: lm_head's) is
                   * complete to the end of the pack; of a layer without one it means nothing */
};
/* Collective. The session has no adapter yet; afterwards it has one, and the memory of a step. `steps` are
 * timed, --steps at most, after one that is not; 0: none, and seconds are 0. */
enum err_code bench_time_pack(struct session *s, size_t steps, struct bench_pack *p, struct err *e);

/* The phases as points under the roofs of a rank's memory and products: a picture that stands by itself.
 * `what` names the work. */
enum err_code bench_write_roofline(const char *path, const struct bench_result *r, const char *what,
                                   struct err *e);

/* Tokenising by itself: the lines of a file, on one thread and on `threads`, in turn, `passes` times. Leaves
 * `threads` set (math/gemm.h). */
struct bench_tokens {
    size_t bytes, texts, tokens;
    double thread_rate, rate; /* bytes per second on one thread and on all: medians */
};
enum err_code bench_tokenize(const struct tokenizer *t, const char *path, int threads, size_t passes,
                             struct bench_tokens *r, struct err *e);

#endif
