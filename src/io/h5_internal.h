/*
 * What the files of the HDF5 module share. Only they see hdf5.h.
 */
#ifndef MPILORA_IO_H5_INTERNAL_H
#define MPILORA_IO_H5_INTERNAL_H

#include <hdf5.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "io/h5.h"

#define H5_HASH_NAME   "content_hash"
#define H5_MAX_DIMS    4
#define H5_PATH_SIZE   4096
#define H5_REASON_SIZE 512

struct h5_reader {
    hid_t file;
    char path[H5_PATH_SIZE];
    uint64_t size; /* of the file: no dataset or attribute can be larger */
};

/* Kinds of attribute, and what the manifest calls them. */
enum h5_kind { H5_KIND_TEXT, H5_KIND_REAL, H5_KIND_INT };
extern const char *const h5_kind_names[];

struct h5_attribute {
    enum h5_kind kind;
    const char *text;
    double real;
    int64_t integer;
};

/* The HDF5 library is told how to behave, once. */
void h5_start_library(void);
hid_t h5_file_access(void);

/* HDF5's own words for the call that has just failed; any other call forgets them. */
const char *h5_reason(char buffer[H5_REASON_SIZE]);

const char *h5_type_name(enum h5_type type);
size_t h5_type_size(enum h5_type type);
hid_t h5_type_in_file(enum h5_type type);
hid_t h5_type_in_memory(enum h5_type type);

/* Bytes of an array; false if they overflow. */
bool h5_array_bytes(uint64_t *bytes, enum h5_type type, int dims, const uint64_t *shape);

bool h5_path_exists(hid_t file, const char *path);

/* Opens a dataset of one of our types, and says which; its bytes are in the file, so no larger than it. */
enum err_code h5_open_dataset(hid_t *dataset, enum h5_type *type, int *dims, uint64_t shape[H5_MAX_DIMS],
                              struct h5_reader *r, const char *path, struct err *e);

/* An attribute of one of our kinds; memory of a text from `a`. */
enum err_code h5_load_attribute(struct h5_attribute *out, struct h5_reader *r, const char *path,
                                const char *name, struct arena *a, struct err *e);

/* ERR_FORMAT "FILE: PATH WHY: HDF5's reason" */
enum err_code h5_refuse(const struct h5_reader *r, const char *path, const char *why, struct err *e);

/* Reads everything in the file and holds its hash against the one that it carries. */
enum err_code h5_verify(struct h5_reader *r, struct err *e);

#endif
