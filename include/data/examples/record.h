/*
 * Finds where the text of each example lies in a file: a line of JSONL, or an element of one JSON array. A file is
 * an array if it starts with [. Nothing is parsed and no text is kept in memory; a file of any size is read once
 * from start to end.
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

/* The position in a part of a file. The records of the part are those that start in bytes [begin, end). */
struct record_cursor {
    struct file_map map; /* of the file; the caller's */
    uint64_t begin, end;
    uint64_t at; /* where to continue */
    bool array, opened, closed;
    uint64_t number; /* of the last record found in an array, from 1 */
};

struct record_cursor record_begin(const struct file_map *map, uint64_t begin, uint64_t end);

/* The next record; *found is false at the end of the part. A byte order mark, CR before LF and blank lines are
 * skipped. ERR_FORMAT "element N ..." if an array is truncated or something follows it. */
enum err_code record_next(struct record *r, bool *found, struct record_cursor *c, struct err *e);

/* The number, from 1, of the array element that starts at byte `offset`; 0 if the file has lines. */
uint64_t record_number(const struct file_map *map, uint64_t offset);

/* Is the file one JSON object over several lines, one field of which is a list of objects? If so, `key[size]` is the
 * first such field. */
bool record_find_list(char *key, size_t size, const struct file_map *map);

#endif
