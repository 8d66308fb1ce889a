/*
 * Counts this program's own allocations: the link wraps malloc, calloc, realloc and aligned_alloc as
 * mpilora's objects call them. What libraries allocate for themselves (MPI, BLAS, the C library) is not seen.
 */
#ifndef MPILORA_BASE_ALLOC_H
#define MPILORA_BASE_ALLOC_H

#include <stdint.h>

/* Calls since the process began, of all threads. */
uint64_t alloc_count(void);

#endif
