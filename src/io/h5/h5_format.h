/*
 * The internals of the reader of HDF5 files: bytes, blocks, messages, objects, the open file. It accepts only files
 * of the form that h5_write.c makes (README.md draws it). It does not use the HDF5 library, which was not made for
 * untrusted files. Source: HDF5 File Format Specification 3.0.
 *
 * The checksum of every block of metadata is checked. Memory and time are bounded: while a file is opened, the
 * reader counts the bytes that it reads, and may not read more bytes than the file has (`left`). So objects that
 * share their content, or that contain one another, cannot make it loop for ever.
 */
#ifndef MPILORA_IO_H5_H5_FORMAT_H
#define MPILORA_IO_H5_H5_FORMAT_H

#include "base/arena.h"
#include "base/file.h"
#include "h5_common.h"

#define H5_NOWHERE UINT64_MAX /* the undefined address */

struct h5_attribute {
    const char *name;
    enum h5_type type;
    size_t size;
    const char *value; /* [size], and a zero after it */
    struct h5_attribute *next;
};

/* The type, shape and address of a dataset. A text has one dimension here: its bytes. */
struct h5_array {
    enum h5_type type;
    int dims;
    uint64_t shape[H5_MAX_DIMS], bytes, address; /* if bytes is 0 there is no address */
    char hash[FILE_HASH_SIZE];                   /* of its bytes, if the file has been verified; else "" */
};

struct h5_object {
    const char *path; /* "/", "/adapter/x/lora_A" */
    uint64_t address;
    bool is_dataset;
    struct h5_attribute *attributes;
    struct h5_array array;
    struct h5_object *next;
};

struct h5_reader {
    struct file_in file;
    char path[H5_PATH_SIZE];
    bool marked;                      /* the file says that it is open for writing */
    uint64_t left, path_bytes;        /* bytes of the file that may still be read; bytes of all paths */
    struct arena arena, scratch;      /* scratch is released when the file is open */
    struct h5_object *first, *last;   /* in the order of reading, the root first */
    const struct h5_object **objects; /* [object_count], sorted by path, set when all have been read */
    size_t object_count;
};

/* ---- h5_block.c ---- */

/* A part of the file in memory, and how far it has been decoded. Reading beyond its end gives 0 and sets `over`, so
 * it is enough to check `over` once after several numbers. */
struct h5_part {
    const unsigned char *data;
    uint64_t address;
    size_t size, at;
    bool over;
};
uint64_t h5_number(struct h5_part *p, size_t bytes);              /* little-endian, at most 8 bytes */
const unsigned char *h5_bytes(struct h5_part *p, uint64_t count); /* NULL: fewer bytes are left */
struct h5_part h5_part_of(struct h5_part *p, uint64_t size); /* the next bytes; `over` is set if there are fewer */

/* Returns ERR_FORMAT with what is wrong at which byte of the file. */
enum err_code h5_damaged(const struct h5_reader *r, uint64_t address, const char *what, struct err *e);

/* Subtracts these bytes from what may still be read; ERR_FORMAT if the file does not have them, or not that many
 * are left. */
enum err_code h5_claim(struct h5_reader *r, uint64_t address, uint64_t size, struct err *e);
/* The same, and reads them as a block of metadata. The block starts with `letters`, which are skipped, and ends
 * with a checksum, which is checked and left out. Memory from the reader's scratch. */
enum err_code h5_block(struct h5_part *out, struct h5_reader *r, uint64_t address, uint64_t size,
                       const char *letters, struct err *e);

/* ---- h5_message.c ---- */

/* Decode the message of an attribute, and the messages that describe an array. */
enum err_code h5_take_attribute(struct h5_object *o, struct h5_reader *r, struct h5_part message,
                                struct err *e);
enum err_code h5_take_array(struct h5_object *o, const struct h5_reader *r, struct h5_part space,
                            struct h5_part type, struct h5_part layout, struct err *e);

/* ---- h5_object.c ---- */

/* Adds an object, to be read later. `parent` is NULL for the root; `name` is not zero-terminated. */
enum err_code h5_object_add(struct h5_reader *r, const struct h5_object *parent, const char *name,
                            size_t length, uint64_t address, struct err *e);
/* Reads the header of an object: its attributes and, for a dataset, its array; for a group, adds its members. */
enum err_code h5_object_read(struct h5_object *o, struct h5_reader *r, struct err *e);

/* ---- h5_read.c ---- */

/* NULL if there is none. */
const struct h5_object *h5_find(const struct h5_reader *r, const char *path);
const struct h5_attribute *h5_find_attribute(const struct h5_object *o, const char *name);

/* ---- h5_verify.c ---- */

/* Reads the whole file and compares its content hash with the one that it contains. */
enum err_code h5_verify(struct h5_reader *r, struct err *e);

#endif
