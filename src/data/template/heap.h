/*
 * The memory of one rendering: pieces are allocated one after another and all freed together. The blocks are kept
 * for the next rendering.
 */
#ifndef MPILORA_DATA_TEMPLATE_HEAP_H
#define MPILORA_DATA_TEMPLATE_HEAP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct jinja_heap {
    struct jinja_block *first, *current;
    size_t total; /* bytes in use, including unused ends of blocks */
};

/* Allocates a piece, not zeroed, aligned to 16 bytes. NULL with an error if memory is short or
 * LIMIT_TEMPLATE_MEMORY would be exceeded. */
void *jinja_heap_take(struct jinja_heap *h, size_t size, struct err *e);

/* Makes a piece larger without moving it, if it is the last one allocated and its block has space; else returns
 * false. */
bool jinja_heap_extend(struct jinja_heap *h, const void *piece, size_t size, size_t larger);

void jinja_heap_reset(struct jinja_heap *h);
void jinja_heap_release(struct jinja_heap *h);

#endif
