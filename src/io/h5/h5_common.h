/*
 * Shared by the writer and the reader of HDF5 files: names, types and sizes, without the HDF5 library.
 */
#ifndef MPILORA_IO_H5_H5_COMMON_H
#define MPILORA_IO_H5_H5_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/h5/h5.h"

#define H5_FORMAT      3 /* increase it when older programs must not read new files */
#define H5_FORMAT_NAME "format"
#define H5_HASH_NAME   "content_hash"
#define H5_MAX_DIMS    4
#define H5_PATH_SIZE   4096

const char *h5_type_name(enum h5_type type);
size_t h5_type_size(enum h5_type type); /* bytes of an element; for a text: of one character, 1 */

/* Bytes with which a text is stored, at least 1: "" is stored as its terminating zero. */
size_t h5_text_bytes(const char *text);

/* Bytes of an array; false if they overflow. */
bool h5_array_bytes(uint64_t *bytes, enum h5_type type, int dims, const uint64_t *shape);

#endif
