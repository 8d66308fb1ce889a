/*
 * Reads the header of a safetensors file. The file has 8 bytes with the length of the header, the header (a JSON
 * object), then the bytes of the tensors, one after the other. Source of the layout and its rules: the safetensors
 * format description (huggingface/safetensors, README).
 */
#ifndef MPILORA_IO_STORE_SAFETENSORS_H
#define MPILORA_IO_STORE_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/str.h"
#include "io/json.h"

struct store_key; /* io/store/store.h */

struct safetensors_tensor {
    const char *name;
    const char *type; /* the file's name for it: "BF16"; not necessarily a type that we can read */
    int dims;
    uint64_t shape[LIMIT_SAFETENSORS_DIMS]; /* outermost first */
    uint64_t elements;                      /* product of the shape; 1 for a scalar */
    uint64_t begin, end;                    /* in bytes, counted from data_offset; within the file */
};

struct safetensors_note {
    const char *key, *text;
};

struct safetensors {
    uint64_t data_offset;
    struct safetensors_tensor *tensors; /* in the order of their bytes */
    size_t count;
    struct safetensors_note *notes; /* its __metadata__ */
    size_t note_count;
};

/* Parses the header at the start of `map`; memory from `a`. ERR_FORMAT, with path, tensor and byte, if the header
 * is longer than the file or LIMIT_SAFETENSORS_HEADER, if its JSON does not have the described form, if sizes
 * overflow, or if the tensors overlap, leave a gap or do not fill the file to its end. The caller checks that the
 * number of bytes fits the type. */
enum err_code safetensors_parse(struct safetensors *out, const struct file_map *map, const char *path,
                                struct arena *a, struct err *e);

/* Writes such a header, in this order, into an empty `out`: its beginning, with the metadata, or if that is NULL with
 * {"format":"pt"} and the keys, which have texts; each tensor with its shape [dims] and its bytes begin..end-1 of the
 * data; its end, padded to 8 bytes. */
enum err_code safetensors_put_begin(struct str *out, const struct json_value *metadata, const struct store_key *keys,
                                    size_t key_count, struct err *e);
enum err_code safetensors_put_tensor(struct str *out, const char *name, const char *type, const uint64_t *shape,
                                     int dims, uint64_t begin, uint64_t end, struct err *e);
enum err_code safetensors_put_end(struct str *out, struct err *e);

#endif
