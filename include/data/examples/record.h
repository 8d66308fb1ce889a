/*
 * Where the texts of examples lie in a file: the lines of JSONL, or the elements of one JSON array, which is told by
 * the [ that the file begins with. Nothing is parsed and nothing kept: a file of any size is gone through once.
 */
#ifndef MPILORA_DATA_EXAMPLES_RECORD_H
#define MPILORA_DATA_EXAMPLES_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/file.h"

struct record {
    uint64_t offset, length; /* in the file; never empty */
};

/* The records of a part of a file: those that begin in bytes [begin, end). */
struct record_cursor {
    struct file_map map; /* of the file; the caller's */
    uint64_t begin, end;
    uint64_t at; /* where to go on */
    bool array, opened, closed;
    uint64_t number; /* of the last record of an array that was met, from 1 */
};

struct record_cursor record_begin(const struct file_map *map, uint64_t begin, uint64_t end);

/* The next record; *found is false at the end of the part. A byte order mark, CRLF and blank lines are passed over.
 * ERR_FORMAT "element N ..." when an array is cut off, or something follows it. */
enum err_code record_next(struct record *r, bool *found, struct record_cursor *c, struct err *e);

/* Of an array: number of the element that begins at byte `offset`, from 1. 0 of a file of lines. */
uint64_t record_number(const struct file_map *map, uint64_t offset);

#endif
