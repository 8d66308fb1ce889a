/*
 * Distributes independent pieces of work over the threads of the process.
 */
#ifndef MPILORA_MATH_PARALLEL_H
#define MPILORA_MATH_PARALLEL_H

#include <stddef.h>

/* Calls work(context, i) for each i below count, on all threads; each call runs on one thread. BLAS and LAPACK
 * calls inside run on that thread only, so the result of a piece does not depend on the number of threads. */
void parallel_each(size_t count, void (*work)(void *context, size_t i), void *context);

/* In the same way, calls work(context, first, count) for blocks of up to `block` rows that together cover rows 0 ..
 * n - 1. A block is always given to the same thread. If there is only one block, the calling thread processes it,
 * and products inside may use all threads. */
void parallel_blocks(size_t n, size_t block, void (*work)(void *context, size_t first, size_t count),
                     void *context);

/* With OMP_PROC_BIND or OMP_PLACES, OpenMP binds its threads, including the main thread, before main() starts.
 * Other threads or programs that the main thread starts would then have to share its processor.
 *
 * Writes the numbers of the processors to which OpenMP has bound its threads, at most `capacity` of them, and
 * returns how many it wrote; 0: OpenMP does not bind. */
size_t parallel_places(int *processors, size_t capacity);
/* Lets the calling thread run on all of these processors. Does nothing if OpenMP does not bind. */
void parallel_roam(void);

#endif
