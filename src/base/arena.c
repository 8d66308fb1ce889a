#include "base/arena.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/redzone.h"

/* Small blocks share chunks of this size; a block that would fill most of one gets its own. */
#define CHUNK_SIZE ((size_t)64 * 1024)

struct arena_chunk {
    struct arena_chunk *next;
    unsigned char *base; /* aligned start of the payload, inside this very allocation */
    size_t size, used;
};

/* Large chunks ask for large pages: fewer page faults at the start, and fewer misses of the TLB in each step.
 * A kernel that has none to give says so, and nothing is lost. */
#define LARGE_PAGE ((uintptr_t)2 * 1024 * 1024)

static void ask_for_large_pages(void *chunk, size_t bytes)
{
    uintptr_t first = ((uintptr_t)chunk + LARGE_PAGE - 1) / LARGE_PAGE * LARGE_PAGE;
    uintptr_t end = ((uintptr_t)chunk + bytes) / LARGE_PAGE * LARGE_PAGE;
    if (first < end)
        madvise((void *)first, end - first, MADV_HUGEPAGE);
}

/* calloc, not aligned_alloc: large chunks come as untouched zero pages, so a reserve that is not used costs
 * nothing and pages settle on the NUMA node of the thread that writes them first. */
static struct arena_chunk *chunk_create(size_t payload)
{
    size_t bytes;
    if (__builtin_add_overflow(payload, sizeof(struct arena_chunk) + ARENA_ALIGN, &bytes))
        return NULL;
    struct arena_chunk *chunk = calloc(1, bytes);
    if (!chunk)
        return NULL;
    ask_for_large_pages(chunk, bytes);
    uintptr_t start = (uintptr_t)(chunk + 1);
    chunk->base = (unsigned char *)(chunk + 1) + (ARENA_ALIGN - start % ARENA_ALIGN) % ARENA_ALIGN;
    chunk->size = payload;
    return chunk;
}

/* A chunk with room for `bytes` in it, or NULL. */
static struct arena_chunk *chunk_with_room(struct arena *a, size_t bytes)
{
    struct arena_chunk *head = a->chunks;
    if (head && head->size - head->used >= bytes)
        return head;
    bool own = bytes > CHUNK_SIZE / 2;
    struct arena_chunk *chunk = chunk_create(own ? bytes : CHUNK_SIZE);
    if (!chunk)
        return NULL;
    if (own && head) { /* after the head, whose rest still serves small blocks */
        chunk->next = head->next;
        head->next = chunk;
    } else {
        chunk->next = head;
        a->chunks = chunk;
    }
    return chunk;
}

void *arena_alloc(struct arena *a, size_t count, size_t size, const char *what, struct err *e)
{
    size_t bytes, padded;
    if (__builtin_mul_overflow(count, size, &bytes) ||
        __builtin_add_overflow(bytes ? bytes : 1, (size_t)ARENA_ALIGN - 1 + RED_ZONE, &padded)) {
        err_set(e, ERR_MEMORY, "%s: %zu x %zu bytes is more than can be addressed", what, count, size);
        return NULL;
    }
    padded -= padded % ARENA_ALIGN;
    struct arena_chunk *chunk = chunk_with_room(a, padded);
    if (!chunk) {
        err_set(e, ERR_MEMORY, "%s: no memory for %zu bytes (%zu already in use for the same purpose)", what,
                bytes, a->total);
        return NULL;
    }
    unsigned char *block = chunk->base + chunk->used;
    red_zone_mark(block + bytes, padded - bytes);
    chunk->used += padded;
    a->total += bytes;
    return block;
}

char *arena_strndup(struct arena *a, const char *text, size_t length, struct err *e)
{
    if (length == SIZE_MAX) {
        err_set(e, ERR_MEMORY, "text: %zu bytes is more than can be addressed", length);
        return NULL;
    }
    char *copy = arena_alloc(a, length + 1, 1, "text", e);
    if (copy && length)
        memcpy(copy, text, length);
    return copy;
}

void arena_release(struct arena *a)
{
    for (struct arena_chunk *chunk = a->chunks, *next; chunk; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    *a = (struct arena){0};
}
