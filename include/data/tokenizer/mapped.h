/*
 * Text on its way through the stages, and the way back from it to the caller's: each byte knows the half-open
 * range of the original that it stands for. A view is text at hand (the caller's own, or made by a stage); a
 * struct mapped is the memory in which a stage makes text.
 *
 *     original   H i   y o u            bytes 0..6
 *     made      _ H i _ y o u           "_" in front stands for H, the other one for the space
 *     start     0 0 1 2 3 4 5
 *     end       1 1 2 3 4 5 6
 */
#ifndef MPILORA_DATA_TOKENIZER_MAPPED_H
#define MPILORA_DATA_TOKENIZER_MAPPED_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct mapped_view {
    const char *text;
    size_t length;
    const uint32_t *start, *end; /* of each byte; NULL: byte i stands for byte offset + i */
    uint32_t offset;
};

struct mapped { /* zero-initialise, mapped_begin(), mapped_release() */
    char *bytes;
    uint32_t *start, *end;
    size_t length, capacity;
    size_t most; /* bytes that it may get */
};

/* Empties `m` for what is to be made of a text of `length` bytes: LIMIT_TEXT_GROWTH times as much, or a little. */
void mapped_begin(struct mapped *m, size_t length);

void mapped_release(struct mapped *m);

/* Appends `count` bytes that stand for start..end-1 of the original. ERR_DATA when there are too many. */
enum err_code mapped_append(struct mapped *m, const char *bytes, size_t count, uint32_t start, uint32_t end,
                            struct err *e);

/* Appends bytes from..to-1 of a view, each standing for what it stands for there. */
enum err_code mapped_copy(struct mapped *m, const struct mapped_view *view, size_t from, size_t to,
                          struct err *e);

/* Valid until `m` changes. */
struct mapped_view mapped_view_of(const struct mapped *m);

/* Bytes from..to-1 of a view. */
struct mapped_view mapped_slice(const struct mapped_view *view, size_t from, size_t to);

/* Where the original of the byte begins and ends. */
static inline uint32_t mapped_start(const struct mapped_view *view, size_t i)
{
    return view->start ? view->start[i] : view->offset + (uint32_t)i;
}

static inline uint32_t mapped_end(const struct mapped_view *view, size_t i)
{
    return view->start ? view->end[i] : view->offset + (uint32_t)i + 1;
}

/* Room for `count` elements of `size` bytes in *array, a pointer; contents are kept. */
enum err_code mapped_grow(void *array, size_t *capacity, size_t count, size_t size, struct err *e);

#endif
