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
 */
#ifndef MPILORA_TRAIN_BENCH_H
#define MPILORA_TRAIN_BENCH_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/prof.h"
#include "train/session.h"

struct bench_result {
    size_t step_tokens;                                       /* on all ranks */
    double tokens_per_second, slowest_tokens, fastest_tokens; /* median, lowest, highest of the steps */
    double step_seconds, mean_seconds;                        /* median and mean */
    double limit_share;                                       /* of the median step */
    double gemm_flops;                                        /* the rate, FLOP/s, sum of all ranks */
    double step_flop;                                         /* the work, of all ranks */
    uint64_t peak_memory;                                     /* bytes, of the rank with the most */
    uint64_t step_allocations;                                /* most in a step of any rank (base/alloc.h) */
    double phases[PROF_COUNT];                                /* seconds of a step: means of rank 0 */
};

/* Collective. The session has no adapter yet; afterwards it has one. */
enum err_code bench_run(struct session *s, struct bench_result *r, struct err *e);

#endif
