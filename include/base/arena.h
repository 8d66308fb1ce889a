/*
 * Arenas: memory that one owner allocates piece by piece and frees in one call.
 *
 * A module that loads something (a model's tensor table, a vocabulary, a data index) allocates all its memory from
 * one arena. Blocks are zeroed, aligned to ARENA_ALIGN bytes (a cache line, enough for any vector load), and do not
 * move until the arena is released. Large blocks ask the kernel for large pages. Under AddressSanitizer a red zone
 * follows each (base/redzone.h). Not thread-safe.
 */
#ifndef MPILORA_BASE_ARENA_H
#define MPILORA_BASE_ARENA_H

#include <stddef.h>

#include "base/err.h"

#define ARENA_ALIGN 64

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks; /* newest first; NULL when empty: `struct arena a = {0}` is ready for use */
    size_t total;               /* bytes handed out */
};

/* `count` elements of `size` bytes, zeroed; NULL with ERR_MEMORY on overflow or when memory is short.
 * `what` names the array in the message. With count 0 the pointer is valid but must not be dereferenced. */
void *arena_alloc(struct arena *a, size_t count, size_t size, const char *what, struct err *e);

/* A zero-terminated copy of `length` bytes. */
char *arena_strndup(struct arena *a, const char *text, size_t length, struct err *e);

/* Frees everything; the arena is empty and may be used again. */
void arena_release(struct arena *a);

#endif
