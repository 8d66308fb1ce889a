/*
 * Compressed files, gzip and zstd, told by how they begin and not by their names: expanded whole, into another file.
 * Memory is that of the format's window, whatever a file claims.
 */
#ifndef MPILORA_IO_UNPACK_H
#define MPILORA_IO_UNPACK_H

#include "base/err.h"
#include "base/file.h"

enum unpack_kind { UNPACK_NONE, UNPACK_GZIP, UNPACK_ZSTD };

/* How the file is compressed: UNPACK_NONE when it is not. */
enum err_code unpack_recognise(enum unpack_kind *kind, const struct file_in *f, struct err *e);

/* Writes the content of `f`, which may be several compressed files one after the other, to the new file `path`.
 * ERR_FORMAT with the place when it is damaged or cut off, or expands to more than LIMIT_EXPANDED; ERR_IO when `path`
 * exists or cannot be written. After an error there is no such file. */
enum err_code unpack_file(const char *path, const struct file_in *f, enum unpack_kind kind, struct err *e);

#endif
