/*
 * The reader of HDF5 files, inside: from bytes over blocks, messages and objects to a file that is open. It takes
 * only what h5_write.c makes (README.md has the drawing), without the HDF5 library, which was not made for files of
 * strangers. Source: HDF5 File Format Specification 3.0.
 *
 * Every block of metadata has a checksum, which is checked. Memory and time are bounded: what is taken from the file
 * is counted, and no byte of it may be taken twice while it is opened (`left`), so that objects that share what they
 * hold, or hold one another, come to an end.
 */
#ifndef MPILORA_IO_H5_H5_FORMAT_H
#define MPILORA_IO_H5_H5_FORMAT_H

#include "base/arena.h"
#include "base/file.h"
#include "h5_common.h"

#define H5_NOWHERE UINT64_MAX /* an address that leads nowhere */

struct h5_attribute {
    const char *name;
    enum h5_type type;
    size_t size;
    const char *value; /* [size], and a zero after it */
    struct h5_attribute *next;
};

/* Where the bytes of a dataset are. A text has one dimension here, its bytes. */
struct h5_array {
    enum h5_type type;
    int dims;
    uint64_t shape[H5_MAX_DIMS], bytes, address; /* bytes 0: there is no address */
    char hash[FILE_HASH_SIZE];                   /* of its bytes, once the file is verified; else "" */
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
    bool marked;                      /* as open to write */
    uint64_t left, path_bytes;        /* of the file, that may still be taken; of the paths of all objects */
    struct arena arena, scratch;      /* scratch: until the file is open */
    struct h5_object *first, *last;   /* in the order in which they were found, the root first */
    const struct h5_object **objects; /* [object_count], sorted by path once all are there */
    size_t object_count;
};

/* ---- h5_block.c ---- */

/* A part of the file in memory, and how far it has been decoded: numbers after its end are 0, and `over` is
 * set, so that one look at it after some numbers is enough. */
struct h5_part {
    const unsigned char *data;
    uint64_t address;
    size_t size, at;
    bool over;
};
uint64_t h5_number(struct h5_part *p, size_t bytes);              /* little-endian, at most 8 bytes */
const unsigned char *h5_bytes(struct h5_part *p, uint64_t count); /* NULL: there are not so many */
struct h5_part h5_part_of(struct h5_part *p, uint64_t size); /* the next bytes; over if they are not there */

/* ERR_FORMAT: what is wrong at which byte of the file. */
enum err_code h5_damaged(const struct h5_reader *r, uint64_t address, const char *what, struct err *e);

/* Takes these bytes out of what is left of the file. */
enum err_code h5_claim(struct h5_reader *r, uint64_t address, uint64_t size, struct err *e);
/* The same, and reads them, for a block of metadata: it begins with these letters, which are skipped, and ends with
 * a checksum, which is checked and left out. Memory from the reader's scratch. */
enum err_code h5_block(struct h5_part *out, struct h5_reader *r, uint64_t address, uint64_t size,
                       const char *letters, struct err *e);

/* ---- h5_message.c ---- */

/* An attribute, and where an array is, out of the messages that say so. */
enum err_code h5_take_attribute(struct h5_object *o, struct h5_reader *r, struct h5_part message,
                                struct err *e);
enum err_code h5_take_array(struct h5_object *o, const struct h5_reader *r, struct h5_part space,
                            struct h5_part type, struct h5_part layout, struct err *e);

/* ---- h5_object.c ---- */

/* A new object, to be read later: `parent` is NULL for the root, `name` is no text with an end. */
enum err_code h5_object_add(struct h5_reader *r, const struct h5_object *parent, const char *name,
                            size_t length, uint64_t address, struct err *e);
/* Reads the header at its address: its attributes, its array if it is a dataset; adds its members if it is a group. */
enum err_code h5_object_read(struct h5_object *o, struct h5_reader *r, struct err *e);

/* ---- h5_read.c ---- */

/* NULL if there is none. */
const struct h5_object *h5_find(const struct h5_reader *r, const char *path);
const struct h5_attribute *h5_find_attribute(const struct h5_object *o, const char *name);

/* ---- h5_verify.c ---- */

/* Reads everything in the file and holds its hash against the one that it carries. */
enum err_code h5_verify(struct h5_reader *r, struct err *e);

#endif
