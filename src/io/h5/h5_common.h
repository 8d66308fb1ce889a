/*
 * What writer and reader of HDF5 files share: names, types and sizes, without the HDF5 library.
 */
#ifndef MPILORA_IO_H5_H5_COMMON_H
#define MPILORA_IO_H5_H5_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/h5/h5.h"

#define H5_HASH_NAME "content_hash"
#define H5_MAX_DIMS  4
#define H5_PATH_SIZE 4096

/* Kinds of attribute, and what the manifest calls them. */
enum h5_kind { H5_KIND_TEXT, H5_KIND_REAL, H5_KIND_INT };
extern const char *const h5_kind_names[];

const char *h5_type_name(enum h5_type type);
size_t h5_type_size(enum h5_type type);

/* Bytes of an array; false if they overflow. */
bool h5_array_bytes(uint64_t *bytes, enum h5_type type, int dims, const uint64_t *shape);

#endif
