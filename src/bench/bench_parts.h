/*
 * The limit that bench compares with: the work of a step, and the rates of this machine.
 */
#ifndef MPILORA_BENCH_BENCH_PARTS_H
#define MPILORA_BENCH_BENCH_PARTS_H

#include "bench/bench.h"

struct bench_size {
    size_t tokens, examples, length, supervised; /* of a rank's pack; length: tokens of an example */
};

/* Counts the FLOP and bytes of each phase of a rank's step. */
void bench_count_work(struct bench_phase phases[PROF_COUNT], const struct session *s,
                      const struct bench_size *size);

/* Measures the FLOP per second of the base's products. */
enum err_code bench_gemm_rate(double *rate, const struct session *s, const struct bench_size *size,
                              struct err *e);

/* Measures the bytes per second of a triad on all threads. */
enum err_code bench_memory_rate(double *rate, const struct session *s, struct err *e);

double bench_median(double *values, size_t count); /* sorts them */

#endif
