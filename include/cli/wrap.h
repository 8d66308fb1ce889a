/*
 * Text in columns beside each other, for a terminal: each is wrapped at blanks, and within words that are longer than a
 * line. Columns are those of a terminal, where a character takes none, one or two.
 */
#ifndef MPILORA_CLI_WRAP_H
#define MPILORA_CLI_WRAP_H

#include <stddef.h>

#include "base/err.h"
#include "base/str.h"

struct wrap_cell {
    struct str text;    /* well-formed UTF-8; of control characters only newlines */
    size_t width;       /* in columns, at least 2 */
    const char *colour; /* what begins a coloured text, which "\033[0m" ends; NULL: none */
};

#define WRAP_CELLS_MAX 8 /* beside each other */

/* Columns of the terminal that stdout is, but from 40 to 200; 80 if stdout is none. */
#define WRAP_WIDTH_MAX 200
size_t wrap_width(void);

/* Appends lines until all cells have ended, with `gap` blanks between cells and none at the end of a line. */
enum err_code wrap_append(struct str *out, const struct wrap_cell *cells, size_t count, size_t gap, struct err *e);

/* Takes out of a text of more than `most` lines those in the middle, and says how many. */
enum err_code wrap_shorten(struct wrap_cell *cell, size_t most, struct err *e);

#endif
