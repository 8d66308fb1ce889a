/*
 * Red zones: in a build with AddressSanitizer, bytes between blocks of one allocation that nobody may touch, so that
 * a write past a block is found where it happens. In all other builds they have no size and cost nothing.
 *
 *     block                      red zone            block
 *     |<- bytes ->|<- to the alignment, RED_ZONE ->| ...
 *
 * Memory that goes back to malloc with red zones in it is fine: it is handed out anew without them.
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

/* From now on, touching [from, from + bytes) ends the program. */
static inline void red_zone_mark(const void *from, size_t bytes)
{
#ifdef RED_ZONES
    __asan_poison_memory_region(from, bytes);
#else
    (void)from, (void)bytes;
#endif
}

#endif
