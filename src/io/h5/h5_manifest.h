/*
 * The manifest of an HDF5 file: one line for each dataset and attribute, with the hash of its payload. The content
 * hash of the file is the hash of these lines in sorted order, so it depends neither on the order of writing nor on
 * HDF5's layout of the file.
 */
#ifndef MPILORA_IO_H5_H5_MANIFEST_H
#define MPILORA_IO_H5_H5_MANIFEST_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/file.h"
#include "base/str.h"

/* dataset /adapter/x/lora_A f32 16 576 <hash of payload> */
enum err_code h5_manifest_add_dataset(struct str *m, const char *path, const char *type, int dims,
                                      const uint64_t *shape, const char payload_hash[FILE_HASH_SIZE],
                                      struct err *e);

/* attribute / step i64 <hash of value> */
enum err_code h5_manifest_add_attribute(struct str *m, const char *path, const char *name, const char *type,
                                        const void *value, size_t bytes, struct err *e);

enum err_code h5_manifest_hash(char hash[FILE_HASH_SIZE], const struct str *m, struct err *e);

#endif
