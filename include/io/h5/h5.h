/*
 * The part of HDF5 that mpilora needs: named arrays in groups, attributes, written once and read back.
 *
 * Writing, by the HDF5 library, one thread of a process at a time: errors are sticky. After one call fails, later calls
 * do nothing and h5_commit() reports the first error; this matters because HDF5 1.10 can report success from H5Fclose
 * after a failed write. The file is built under a temporary name in the same folder (".NAME.tmp-PID"); h5_commit()
 * closes it, verifies it by reading back the content hash, fsyncs and renames it; h5_discard() removes it.
 *
 * The form of the file is the simplest that HDF5 has, so that our own reader is small: src/io/h5/README.md draws it.
 * All members of a group stand in its header, so groups are kept to some hundred of them (one a layer, say). The root
 * attribute `format` is the version of this form and of what files of this program have in them. The root attribute
 * `content_hash` is XXH3-128 over the names, types, shapes and payload of all datasets and attributes
 * (src/io/h5/h5_manifest.h). It depends neither on the order of writing nor on HDF5's layout of the file.
 */
#ifndef MPILORA_IO_H5_H5_H
#define MPILORA_IO_H5_H5_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

enum h5_type { H5_F32, H5_I32, H5_I8, H5_U64, H5_F64, H5_I64, H5_TEXT };

struct h5_writer;
enum err_code h5_create(struct h5_writer **w, const char *path, struct err *e);
/* path like "/adapter/model.layers.0/self_attn.q_proj/lora_A"; groups on the way are made. 1 to 4 dims, any of which
 * may be 0 (data may then be NULL). What is written together should stand together: a change of group takes time. */
void h5_write(struct h5_writer *w, const char *path, enum h5_type type, int dims, const uint64_t *shape,
              const void *data);
/* A text of any length as a dataset, in UTF-8; "" is stored as its zero. */
void h5_write_text(struct h5_writer *w, const char *path, const char *text);
/* Attributes of the root ("/"), or of the group or dataset at `path`; a group is made if there is nothing. A text of up
 * to LIMIT_H5_TEXT bytes. */
void h5_attribute_text(struct h5_writer *w, const char *path, const char *name, const char *value);
void h5_attribute_real(struct h5_writer *w, const char *path, const char *name, double value);
void h5_attribute_int(struct h5_writer *w, const char *path, const char *name, int64_t value);
/* All but the renaming; after it only one of the two that follow. */
enum err_code h5_finish(struct h5_writer *w, struct err *e);
enum err_code h5_commit(struct h5_writer *w, struct err *e); /* frees w, also on error */
void h5_discard(struct h5_writer *w);                        /* NULL is fine */

struct h5_reader;
/* Opens for reading, without the HDF5 library (src/io/h5/h5_format.h): a reader may be used while another thread
 * writes. `verify` holds all that is in the file against its content hash. A file that is truncated or not HDF5 is
 * ERR_FORMAT with the cure, ERR_BUSY if it is in the middle of being written by another program; one that another has
 * open to write and that is whole is read. An absent one is ERR_IO; one of another format is ERR_UNSUPPORTED and says
 * so. What this program does not write (links, other types, external storage) is refused.
 * Memory and time are those of a file of its size, whatever it claims. */
enum err_code h5_open(struct h5_reader **r, const char *path, bool verify, struct err *e);
void h5_close(struct h5_reader *r);

/* Bytes of the file: what its datasets can hold together. */
uint64_t h5_size(const struct h5_reader *r);

/* Shape of a dataset; ERR_FORMAT if it is missing or of another type. */
enum err_code h5_shape(struct h5_reader *r, const char *path, enum h5_type type, int dims, uint64_t *shape,
                       struct err *e);
/* Reads a whole dataset whose shape must be as given. In a verified file it is held against its hash again. */
enum err_code h5_read(struct h5_reader *r, const char *path, enum h5_type type, int dims,
                      const uint64_t *shape, void *data, struct err *e);
enum err_code h5_read_text(const char **text, struct h5_reader *r, const char *path, struct arena *a,
                           struct err *e);
bool h5_exists(struct h5_reader *r, const char *path);
/* The groups below `path` (not "/"), at any depth, that have a member `name`: their paths, sorted; memory from `a`. */
enum err_code h5_list_groups(const char ***groups, size_t *count, struct h5_reader *r, const char *path,
                             const char *name, struct arena *a, struct err *e);
enum err_code h5_get_text(const char **value, struct h5_reader *r, const char *path, const char *name,
                          struct arena *a, struct err *e);
enum err_code h5_get_real(double *value, struct h5_reader *r, const char *path, const char *name,
                          struct err *e);
enum err_code h5_get_int(int64_t *value, struct h5_reader *r, const char *path, const char *name,
                         struct err *e);

/* "1.10.8" */
const char *h5_version(void);

#endif
