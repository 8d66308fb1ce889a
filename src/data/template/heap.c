#include "heap.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/limits.h"

#define ALIGN      ((size_t)16)
#define BLOCK_SIZE ((size_t)256 * 1024)

struct jinja_block {
    struct jinja_block *next;
    size_t size, used;
    _Alignas(16) unsigned char bytes[];
};

static size_t aligned(size_t size)
{
    return (size + ALIGN - 1) & ~(ALIGN - 1);
}

/* A block with room, after the current one: the next that is there already, or a new one between the two. */
static struct jinja_block *next_block(struct jinja_heap *h, size_t size)
{
    struct jinja_block *after = h->current ? h->current->next : h->first;
    if (after && after->size >= size) {
        after->used = 0;
        return after;
    }
    size_t room = size > BLOCK_SIZE ? size : BLOCK_SIZE;
    struct jinja_block *made = malloc(sizeof *made + room);
    if (!made)
        return NULL;
    *made = (struct jinja_block){.next = after, .size = room};
    if (h->current)
        h->current->next = made;
    else
        h->first = made;
    return made;
}

void *jinja_heap_take(struct jinja_heap *h, size_t size, struct err *e)
{
    if (size > LIMIT_TEMPLATE_MEMORY || h->total + aligned(size) > LIMIT_TEMPLATE_MEMORY) {
        err_set(e, ERR_DATA, "more than %d bytes of memory", LIMIT_TEMPLATE_MEMORY);
        return NULL;
    }
    size = aligned(size ? size : 1);
    struct jinja_block *block = h->current;
    if (!block || block->size - block->used < size) {
        block = next_block(h, size);
        if (!block) {
            err_set(e, ERR_MEMORY, "no memory for %zu bytes of a template's values", size);
            return NULL;
        }
        if (h->current)
            h->total += h->current->size - h->current->used;
        h->current = block;
    }
    void *piece = block->bytes + block->used;
    block->used += size;
    h->total += size;
    return piece;
}

bool jinja_heap_extend(struct jinja_heap *h, const void *piece, size_t size, size_t larger)
{
    struct jinja_block *block = h->current;
    if (!block || !piece || larger > LIMIT_TEMPLATE_MEMORY)
        return false;
    uintptr_t start = (uintptr_t)block->bytes, at = (uintptr_t)piece;
    if (at < start || at + aligned(size) != start + block->used)
        return false;
    size_t more = aligned(larger) - aligned(size);
    if (block->size - block->used < more || h->total + more > LIMIT_TEMPLATE_MEMORY)
        return false;
    block->used += more;
    h->total += more;
    return true;
}

void jinja_heap_reset(struct jinja_heap *h)
{
    h->current = h->first;
    if (h->first)
        h->first->used = 0;
    h->total = 0;
}

void jinja_heap_release(struct jinja_heap *h)
{
    for (struct jinja_block *block = h->first, *next; block; block = next) {
        next = block->next;
        free(block);
    }
    *h = (struct jinja_heap){0};
}
