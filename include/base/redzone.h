/*
 * Red zones: in a build with AddressSanitizer, these are bytes between the blocks of one allocation that nobody may
 * access, so that a write beyond a block is reported where it happens. In all other builds their size is 0 and they
 * cost nothing.
 *
 *     block                      red zone            block
 *     |<- bytes ->|<- to the alignment, RED_ZONE ->| ...
 *
 * Memory with red zones may be freed: malloc removes them when it returns the memory again.
 */
#ifndef MPILORA_BASE_REDZONE_H
#define MPILORA_BASE_REDZONE_H

#include <stddef.h>

#ifdef __has_feature /* clang */
#if __has_feature(address_sanitizer)
#define RED_ZONES
#endif
#elif defined(__SANITIZE_ADDRESS__) /* gcc */
#define RED_ZONES
#endif

#ifdef RED_ZONES
#include <sanitizer/asan_interface.h>
#define RED_ZONE ((size_t)64) /* a multiple of any block's alignment */
#else
#define RED_ZONE ((size_t)0)
#endif

/* From now on, any access to [from, from + bytes) ends the program. */
static inline void red_zone_mark(const void *from, size_t bytes)
{
#ifdef RED_ZONES
    __asan_poison_memory_region(from, bytes);
#else
    (void)from, (void)bytes;
#endif
}

#endif
