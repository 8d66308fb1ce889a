/*
 * What a file is, by its first bytes: so that a reader that was given another one can say so, and what to do,
 * instead of what does not fit its own format. Names are not looked at, since they lie.
 */
#ifndef MPILORA_BASE_FORMAT_H
#define MPILORA_BASE_FORMAT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum format { FORMAT_TEXT, FORMAT_SAFETENSORS, FORMAT_GGUF, FORMAT_HDF5 }; /* TEXT: JSON, JSON lines, YAML */

#define FORMAT_BYTES 512 /* of the beginning that are looked at, where there are as many */

/* Do the bytes begin a file of this format? Text: ASCII alone. */
bool format_is(enum format format, const void *bytes, size_t length);

/* ERR_FORMAT, with the path, when the bytes are known to begin something else than is wanted: a Git LFS pointer, a web
 * page, an archive, a pickle, UTF-16, another of these formats, ... What is not known passes; its reader judges it. */
enum err_code format_expect(enum format wanted, const void *bytes, size_t length, const char *path,
                            struct err *e);

#endif
