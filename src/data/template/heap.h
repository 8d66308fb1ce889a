/*
 * The memory of one rendering: pieces are handed out one after another, and all of them are taken back at once. The
 * blocks stay for the next rendering.
 */
#ifndef MPILORA_DATA_TEMPLATE_HEAP_H
#define MPILORA_DATA_TEMPLATE_HEAP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct jinja_heap {
    struct jinja_block *first, *current;
    size_t total; /* bytes in use, and lost between blocks */
};

/* Not zeroed, aligned to 16 bytes. NULL with an error when there is none left or LIMIT_TEMPLATE_MEMORY is passed. */
void *jinja_heap_take(struct jinja_heap *h, size_t size, struct err *e);

/* Makes a piece longer where it lies, if it was the last one taken and its block has room. */
bool jinja_heap_extend(struct jinja_heap *h, const void *piece, size_t size, size_t larger);

void jinja_heap_reset(struct jinja_heap *h);
void jinja_heap_release(struct jinja_heap *h);

#endif
