/*
 * Counts this program's own allocations: the linker wraps the calls of malloc, calloc, realloc and aligned_alloc in
 * mpilora's objects. Allocations inside libraries (MPI, BLAS, the C library) are not counted.
 */
#ifndef MPILORA_BASE_ALLOC_H
#define MPILORA_BASE_ALLOC_H

#include <stdint.h>

/* Number of calls since the process started, by all threads. Callable from any thread. */
uint64_t alloc_count(void);

#endif
