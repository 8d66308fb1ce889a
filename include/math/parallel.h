/*
 * Independent pieces of work over the threads of the process.
 */
#ifndef MPILORA_MATH_PARALLEL_H
#define MPILORA_MATH_PARALLEL_H

#include <stddef.h>

/* Calls work(context, i) for each i below count, on all threads, each piece on one of them: BLAS and LAPACK
 * inside run on that thread alone, so a piece's result does not depend on how many threads there are. */
void parallel_each(size_t count, void (*work)(void *context, size_t i), void *context);

/* Calls work(context, first, count) for blocks of up to `block` rows that cover rows 0 .. n - 1, likewise,
 * and always the same blocks on the same thread. One block alone is worked on by the caller, with all
 * threads. */
void parallel_blocks(size_t n, size_t block, void (*work)(void *context, size_t first, size_t count),
                     void *context);

/* OMP_PROC_BIND and OMP_PLACES have OpenMP bind its threads, the main one too, before main() begins: threads
 * that this one starts otherwise, or programs, would have to share its processor.
 *
 * The processors on which OpenMP puts threads then, at most `capacity` of them; 0: it does not bind. */
size_t parallel_places(int *processors, size_t capacity);
/* Lets the calling thread run on all of them. Nothing when OpenMP does not bind. */
void parallel_roam(void);

#endif
