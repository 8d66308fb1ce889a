/*
 * Reads the header of GGUF files (versions 2 and 3, little-endian): the keys with their values, and the table of
 * tensors. Source of the layout: the GGUF specification of ggml (docs/gguf.md). Values point into the mapping of
 * the file and are valid as long as it is.
 */
#ifndef MPILORA_IO_STORE_GGUF_H
#define MPILORA_IO_STORE_GGUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/str.h"

enum gguf_type {
    GGUF_U8, GGUF_I8, GGUF_U16, GGUF_I16, GGUF_U32, GGUF_I32, GGUF_F32, GGUF_BOOL, GGUF_STRING, GGUF_ARRAY,
    GGUF_U64, GGUF_I64, GGUF_F64, GGUF_TYPE_COUNT
};

struct gguf_string {
    const char *data; /* not zero-terminated */
    size_t length;
};

struct gguf_key {
    const char *name;             /* zero-terminated copy */
    enum gguf_type type;          /* for arrays: GGUF_ARRAY, with element_type */
    enum gguf_type element_type;
    uint64_t count;               /* elements of an array; 1 otherwise */
    const unsigned char *value;   /* scalar or array payload (numbers are little-endian, unaligned) */
    const struct gguf_string *strings; /* for a string (1 of them) or an array of strings (count of them), else
                                        * NULL */
};

struct gguf_tensor {
    const char *name;
    uint32_t dims;
    uint64_t ne[LIMIT_GGUF_DIMS]; /* sizes, innermost dimension first, as in the file */
    uint32_t type;
    uint64_t offset; /* from the start of the data section */
};

struct gguf {
    const char *path;
    uint32_t version;
    uint64_t alignment, data_offset;
    uint64_t tensors_at; /* offset of the table of tensors, after the keys */
    struct gguf_key *keys;
    size_t key_count;
    struct gguf_tensor *tensors;
    size_t tensor_count;
};

/* Parses the header that `map` starts with; memory from `a`. Every count, length and offset is checked against
 * the file's size before use; ERR_FORMAT names path, key or tensor and byte offset. */
enum err_code gguf_parse(struct gguf **out, const struct file_map *map, const char *path, struct arena *a,
                         struct err *e);

const struct gguf_key *gguf_find(const struct gguf *g, const char *name);

/* Typed access: `otherwise` if the key is missing, ERR_FORMAT if it has another type. Integers of any width and
 * sign are accepted if the value fits; a missing string is {NULL, 0}. */
enum err_code gguf_get_u64(uint64_t *out, const struct gguf *g, const char *name, uint64_t otherwise,
                           struct err *e);
enum err_code gguf_get_f64(double *out, const struct gguf *g, const char *name, double otherwise, struct err *e);
enum err_code gguf_get_bool(bool *out, const struct gguf *g, const char *name, bool otherwise, struct err *e);
enum err_code gguf_get_string(struct gguf_string *out, const struct gguf *g, const char *name, struct err *e);
bool gguf_string_is(const struct gguf_string *s, const char *text);

/* An array whose elements are strings, integers (of any width and sign), numbers (including integers) or booleans;
 * NULL if the key is missing, ERR_FORMAT if it is something else. */
enum gguf_elements { GGUF_STRINGS, GGUF_INTEGERS, GGUF_NUMBERS, GGUF_FLAGS };
enum err_code gguf_get_array(const struct gguf_key **out, const struct gguf *g, const char *name,
                             enum gguf_elements elements, struct err *e);

/* Element `index` of an array of integers, of numbers or of booleans, returned by gguf_get_array(). */
int64_t gguf_array_int(const struct gguf_key *key, uint64_t index);
double gguf_array_real(const struct gguf_key *key, uint64_t index);
bool gguf_array_flag(const struct gguf_key *key, uint64_t index);

/* Writes parts of such a header: magic and counts, after which the keys come; a tensor's row of the table, with its
 * numbers at `offset` of the data section; zeros up to a multiple of the alignment, after `length` bytes. */
enum err_code gguf_put_begin(struct str *out, uint32_t version, uint64_t tensors, uint64_t keys, struct err *e);
enum err_code gguf_put_tensor(struct str *out, const char *name, uint32_t dims, const uint64_t *ne, uint32_t type,
                              uint64_t offset, struct err *e);
enum err_code gguf_put_padding(struct str *out, uint64_t length, uint64_t alignment, struct err *e);

#endif
