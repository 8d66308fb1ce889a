/*
 * Checks an installation on the ranks that the launcher has started, in seconds and without any files: what an
 * administrator runs after installing, and what a user runs first if something is odd.
 *
 * The checks are independent of each other, and each ends in one line with a verdict. They work with a decoder of
 * random weights and a small vocabulary that are made in memory, as images of a model's files
 * (io/store/store.h). Only the check of files writes, into a folder of its own that it removes.
 */
#ifndef MPILORA_BENCH_SELFTEST_H
#define MPILORA_BENCH_SELFTEST_H

#include <stddef.h>

#include "base/err.h"
#include "ranks/dist.h"
#include "run/options.h"

enum selftest_verdict {
    SELFTEST_FINE,
    SELFTEST_SLOW, /* it works, but worse than this machine can */
    SELFTEST_WRONG /* training would fail, or give another result */
};

struct selftest_number {
    const char *name; /* with the unit: "f32_gflops" */
    double value;
};

enum { SELFTEST_NUMBERS = 6 };

/* The result of a check. */
struct selftest_line {
    const char *name; /* "threads" */
    enum selftest_verdict verdict;
    char text[520]; /* what was found; of a fault of one rank, with its number and host */
    char cure[320]; /* what to do about it, in a sentence; "" if it is fine */
    struct selftest_number numbers[SELFTEST_NUMBERS];
    size_t number_count;
};

const char *selftest_word(enum selftest_verdict verdict); /* "fine" */

struct selftest;

/* Collective. Of the options: --threads, --gemm and --output, the folder in which to save (not given: the working
 * directory). `o` and `d` must outlive it. If communication does not end in two minutes, the watchdog ends the
 * process with status 1 (ranks/watchdog.h). */
enum err_code selftest_open(struct selftest **t, const struct options *o, struct dist *d, struct err *e);
void selftest_close(struct selftest *t); /* NULL is fine */

/* The checks: how many, and their names. Collective: makes check i, with the same line on all ranks, that of the rank
 * with the worst verdict. An error is one of communication or memory, after which no other check can be made. */
size_t selftest_count(void);
const char *selftest_name(size_t i);
enum err_code selftest_check(struct selftest_line *line, struct selftest *t, size_t i, struct err *e);

#endif
