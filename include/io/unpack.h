/*
 * Expands compressed files (gzip, zstd) as a whole into another file. The format is recognised by the first bytes
 * of the file, not by its name. The memory needed is that of the format's window, whatever numbers a file contains.
 */
#ifndef MPILORA_IO_UNPACK_H
#define MPILORA_IO_UNPACK_H

#include "base/err.h"
#include "base/file.h"

enum unpack_kind { UNPACK_NONE, UNPACK_GZIP, UNPACK_ZSTD };

/* How the file is compressed; UNPACK_NONE if it is not. ERR_IO if it cannot be read. */
enum err_code unpack_recognise(enum unpack_kind *kind, const struct file_in *f, struct err *e);

/* Writes the expanded content of `f`, which may consist of several compressed files in sequence, to the new file
 * `path`. ERR_FORMAT with the place if `f` is damaged or truncated, or expands to more than LIMIT_EXPANDED bytes;
 * ERR_IO if `path` exists or cannot be written. After an error, `path` does not exist. */
enum err_code unpack_file(const char *path, const struct file_in *f, enum unpack_kind kind, struct err *e);

#endif
