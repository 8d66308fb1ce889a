/*
 * Text that goes through the stages, together with the place in the caller's text from which each byte comes: each
 * byte has a half-open range of the original. A view is a text that can be read (the caller's, or one made by a
 * stage); a struct mapped is the memory in which a stage makes a text.
 *
 *     original   H i   y o u            bytes 0..6
 *     made      _ H i _ y o u           the first "_" stands for H, the other one for the space
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
    const uint32_t *start, *end; /* range of each byte; NULL: byte i stands for byte offset + i */
    uint32_t offset;
};

struct mapped { /* zero-initialise, mapped_begin(), mapped_release() */
    char *bytes;
    uint32_t *start, *end;
    size_t length, capacity;
    size_t most; /* largest number of bytes that it may have */
};

/* Empties `m` and sets its limit for a text that is made from one of `length` bytes: LIMIT_TEXT_GROWTH times that,
 * but at least a little. */
void mapped_begin(struct mapped *m, size_t length);

void mapped_release(struct mapped *m);

/* Appends `count` bytes that stand for start..end-1 of the original. ERR_DATA if the limit would be exceeded. */
enum err_code mapped_append(struct mapped *m, const char *bytes, size_t count, uint32_t start, uint32_t end,
                            struct err *e);

/* Appends bytes from..to-1 of a view, with their ranges. */
enum err_code mapped_copy(struct mapped *m, const struct mapped_view *view, size_t from, size_t to,
                          struct err *e);

/* A view of the text in `m`, valid until `m` changes. */
struct mapped_view mapped_view_of(const struct mapped *m);

/* Bytes from..to-1 of a view. */
struct mapped_view mapped_slice(const struct mapped_view *view, size_t from, size_t to);

/* Start and end of the range of byte i. */
static inline uint32_t mapped_start(const struct mapped_view *view, size_t i)
{
    return view->start ? view->start[i] : view->offset + (uint32_t)i;
}

static inline uint32_t mapped_end(const struct mapped_view *view, size_t i)
{
    return view->start ? view->end[i] : view->offset + (uint32_t)i + 1;
}

/* Makes the array at *array (a pointer) large enough for `count` elements of `size` bytes, keeping its content. */
enum err_code mapped_grow(void *array, size_t *capacity, size_t count, size_t size, struct err *e);

#endif
