/* What both writers of F32 matrices share. Internal to the store. */
#ifndef MPILORA_STORE_OUTPUT_H
#define MPILORA_STORE_OUTPUT_H

#include "io/store/store.h"

/* Where the next matrix begins in the data, at a multiple of `alignment`, if this one begins at `begin`. ERR_MEMORY if
 * that overflows. */
enum err_code output_end(uint64_t *end, const struct store_output *t, uint64_t begin, uint64_t alignment,
                         struct err *e);

/* After `code` ERR_OK writes the file atomically, otherwise puts the path before the message; releases its bytes. */
enum err_code output_write(struct str *file, enum err_code code, const char *path, struct err *e);

#endif
