/*
 * The part of HDF5 that mpilora needs: files with named arrays in groups and with attributes, which are written
 * once and then read.
 *
 * Writing uses the HDF5 library, in one thread of a process at a time. Errors are sticky: after one call has
 * failed, later calls do nothing, and h5_commit() reports the first error. This is needed because HDF5 1.10 can
 * report success from H5Fclose after a failed write. The file is written under a temporary name in the same folder;
 * h5_commit() closes it, verifies it by reading all of it and comparing the content hash, does fsync and renames
 * it; h5_discard() deletes it.
 *
 * The form of the file is the simplest that HDF5 has, so that our own reader is small; src/io/h5/README.md draws
 * it. All members of a group are stored in its header, so a group should have at most a few hundred members (for
 * example, one group per layer). The root attribute `format` is the version of this form and of the content. The
 * root attribute `content_hash` is the XXH3-128 of the names, types, shapes and payloads of all datasets and
 * attributes (src/io/h5/h5_manifest.h). It depends neither on the order of writing nor on HDF5's layout of the
 * file.
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
/* Writes a dataset; `path` is like "/adapter/model.layers.0/self_attn.q_proj/lora_A", and missing groups are
 * created. 1 to 4 dims, any of which may be 0 (data may then be NULL). Write the members of a group one after the
 * other: changing the group takes time. */
void h5_write(struct h5_writer *w, const char *path, enum h5_type type, int dims, const uint64_t *shape,
              const void *data);
/* Writes a UTF-8 text of any length as a dataset; "" is stored as one zero byte. */
void h5_write_text(struct h5_writer *w, const char *path, const char *text);
/* Write attributes of the root ("/"), or of the group or dataset at `path`; if there is none, a group is created. A
 * text may have up to LIMIT_H5_TEXT bytes. */
void h5_attribute_text(struct h5_writer *w, const char *path, const char *name, const char *value);
void h5_attribute_real(struct h5_writer *w, const char *path, const char *name, double value);
void h5_attribute_int(struct h5_writer *w, const char *path, const char *name, int64_t value);
/* Does everything that h5_commit() does, except renaming. After it, only h5_commit() or h5_discard() may be
 * called. */
enum err_code h5_finish(struct h5_writer *w, struct err *e);
enum err_code h5_commit(struct h5_writer *w, struct err *e); /* frees w, also on error */
void h5_discard(struct h5_writer *w);                        /* NULL is fine */

struct h5_reader;
/* Opens a file for reading, without the HDF5 library (src/io/h5/h5_format.h), so a reader may be used while another
 * thread writes. `verify` compares the whole file with its content hash. Errors: ERR_IO if the file does not exist;
 * ERR_FORMAT, with what to do, if it is truncated, not HDF5, or has constructs that this program does not write
 * (links, other types, external storage); ERR_BUSY if another program is just writing it (a complete file that
 * another program has open for writing is read); ERR_UNSUPPORTED if it has another format version. Memory and time
 * are proportional to the size of the file, whatever numbers it contains. */
enum err_code h5_open(struct h5_reader **r, const char *path, bool verify, struct err *e);
void h5_close(struct h5_reader *r);

/* Size of the file in bytes: an upper bound for the bytes of all its datasets together. */
uint64_t h5_size(const struct h5_reader *r);

/* Shape of a dataset; ERR_FORMAT if it is missing or of another type. */
enum err_code h5_shape(struct h5_reader *r, const char *path, enum h5_type type, int dims, uint64_t *shape,
                       struct err *e);
/* Reads a whole dataset, which must have the given shape. In a verified file, its bytes are compared with its hash
 * again. */
enum err_code h5_read(struct h5_reader *r, const char *path, enum h5_type type, int dims,
                      const uint64_t *shape, void *data, struct err *e);
enum err_code h5_read_text(const char **text, struct h5_reader *r, const char *path, struct arena *a,
                           struct err *e);
bool h5_exists(struct h5_reader *r, const char *path);
/* Lists the paths of all groups below `path` (not "/"), at any depth, that have a member `name`, sorted; memory
 * from `a`. */
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
