/*
 * Reads the part of the HDF5 file format that h5_write.c makes, without the HDF5 library, which was not made
 * for files of strangers. Source: HDF5 File Format Specification 3.0. Taken are:
 *
 *   superblock       version 3, no extension
 *   object headers   version 2, with continuations; groups and datasets, no other kind
 *   links            hard ones, in the header or in a fractal heap with a version 2 B-tree of names
 *   attributes       version 3, scalars of three types, in the header or in a heap like links
 *   datasets         four types; no elements, or chunks with fletcher32 and no other filter, each a run of
 *                    consecutive elements: one by itself, or many with a fixed array as their index
 *
 * All else is refused. Every block of metadata has a checksum, which is checked. Memory and time are bounded:
 * what is taken from the file is counted, and no byte of it may be taken twice while it is opened (`left`),
 * so that objects that share what they hold, or hold one another, come to an end.
 */
#ifndef MPILORA_IO_H5_H5_FORMAT_H
#define MPILORA_IO_H5_H5_FORMAT_H

#include "base/arena.h"
#include "base/file.h"
#include "h5_common.h"

#define H5_NOWHERE UINT64_MAX /* an address that leads nowhere */

/* Things with names, sorted once all are there. An item is the first member of what it stands in. */
struct h5_item {
    const char *name;
    struct h5_item *next;
};
struct h5_set {
    struct h5_item *first, **sorted;
    size_t count;
};

struct h5_attribute {
    struct h5_item item;
    enum h5_kind kind;
    const char *text;
    double real;
    int64_t integer;
};

/* The array of a dataset, and where its chunks are. Each is a run of `chunk_bytes` of the array, one behind
 * another; the last one of a row has only the rest of `row_bytes` in use. */
struct h5_array {
    enum h5_type type;
    int dims;
    uint64_t shape[H5_MAX_DIMS], bytes; /* bytes 0: there are no chunks */
    uint64_t chunks, chunks_a_row, chunk_bytes, row_bytes;
    bool indexed;             /* `address` is the index's of the chunks, not the only chunk's */
    uint64_t address, stored; /* stored: bytes of the only chunk in the file */
};

struct h5_object {
    struct h5_item item;
    const struct h5_object *parent; /* NULL: the root */
    uint64_t address;
    bool is_dataset;
    struct h5_set attributes, members;
    struct h5_array array;
};

struct h5_reader {
    struct file_in file;
    char path[H5_PATH_SIZE];
    uint64_t left, objects;      /* bytes of the file that may still be taken; objects so far */
    struct arena arena, scratch; /* scratch: until the file is open */
    struct h5_object *root;
};

/* A part of the file in memory, and how far it has been decoded: numbers behind its end are 0, and `over` is
 * set, so that one look at it after some numbers is enough. */
struct h5_part {
    const unsigned char *data;
    uint64_t address;
    size_t size, at;
    bool over;
};
uint64_t h5_number(struct h5_part *p, size_t bytes);              /* little-endian, at most 8 bytes */
const unsigned char *h5_bytes(struct h5_part *p, uint64_t count); /* NULL: there are not so many */

/* ERR_FORMAT: what is wrong at which byte of the file. */
enum err_code h5_damaged(const struct h5_reader *r, uint64_t address, const char *what, struct err *e);

/* Takes these bytes out of what is left of the file; then also reads them, into memory of `a`. */
enum err_code h5_claim(struct h5_reader *r, uint64_t address, uint64_t size, struct err *e);
enum err_code h5_fetch(struct h5_part *out, struct h5_reader *r, uint64_t address, uint64_t size,
                       struct arena *a, struct err *e);
/* The same for a block of metadata that begins with four letters and a version, which are skipped, and ends
 * with a checksum, which the part leaves out. */
#define H5_NO_VERSION (-1) /* there is none in it */
enum err_code h5_fetch_block(struct h5_part *out, struct h5_reader *r, uint64_t address, uint64_t size,
                             const char *letters, int version, struct arena *a, struct err *e);

/* All records of a version 2 B-tree, one behind another. */
struct h5_records {
    const unsigned char *data;
    size_t count;
};
enum h5_tree { H5_TREE_HUGE = 1, H5_TREE_LINKS = 5, H5_TREE_ATTRIBUTES = 8 };
enum err_code h5_tree_read(struct h5_records *out, struct h5_reader *r, uint64_t address, enum h5_tree type,
                           size_t record_size, struct err *e);

/* A fractal heap, with all of its blocks in memory of the reader's scratch, and an object of it. */
struct h5_heap;
enum err_code h5_heap_read(struct h5_heap **out, struct h5_reader *r, uint64_t address, size_t id_size,
                           struct err *e);
enum err_code h5_heap_get(struct h5_part *out, struct h5_reader *r, const struct h5_heap *heap,
                          const unsigned char *id, struct err *e);

/* The object at an address, its attributes, and the names of its members, if it is a group. `o` has its name,
 * parent and address. */
enum err_code h5_object_read(struct h5_object *o, struct h5_reader *r, int depth, struct err *e);
/* "/adapter/x/lora_A"; false if it is too long. */
bool h5_object_path(char path[H5_PATH_SIZE], const struct h5_object *o);

/* The value of an attribute, and the place of an array, out of the encoded parts of their messages. */
enum err_code h5_decode_attribute(struct h5_attribute *out, struct h5_reader *r, const char *object,
                                  struct h5_part *message, struct err *e);
enum err_code h5_decode_array(struct h5_array *out, const struct h5_reader *r, const char *path,
                              struct h5_part space, struct h5_part type, struct h5_part layout,
                              struct h5_part filters, struct err *e);

/* Reads an array from its chunks, into `data`, or if that is NULL into the hasher. */
enum err_code h5_array_read(void *data, struct file_hasher *hasher, struct h5_reader *r,
                            const struct h5_array *a, const char *path, struct err *e);

/* Reads everything in the file and holds its hash against the one that it carries. */
enum err_code h5_verify(struct h5_reader *r, struct err *e);

/* NULL if there is none. */
const struct h5_object *h5_find(const struct h5_reader *r, const char *path);

void h5_set_add(struct h5_set *s, struct h5_item *item);
/* Sorts them into memory of `a`; *twice is a name that is there more than once, or NULL. */
enum err_code h5_set_sort(struct h5_set *s, const char **twice, struct arena *a, struct err *e);
struct h5_item *h5_set_find(const struct h5_set *s, const char *name, size_t length);

#endif
