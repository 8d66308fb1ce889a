/*
 * The header of one safetensors file: 8 bytes of length, a JSON object, then the tensors' bytes end to end.
 * Source of the layout and its rules: the safetensors format description (huggingface/safetensors, README).
 */
#ifndef MPILORA_IO_STORE_SAFETENSORS_H
#define MPILORA_IO_STORE_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "base/limits.h"

struct safetensors_tensor {
    const char *name;
    const char *type; /* as the file names it: "BF16"; not necessarily one that we can read */
    int dims;
    uint64_t shape[LIMIT_SAFETENSORS_DIMS]; /* outermost first */
    uint64_t elements;                      /* product of the shape; 1 for a scalar */
    uint64_t begin, end;                    /* in bytes from data_offset; inside the file */
};

struct safetensors {
    uint64_t data_offset;
    struct safetensors_tensor *tensors; /* in the order of their bytes */
    size_t count;
};

/* Parses the header that `map` starts with; memory from `a`. Refused with ERR_FORMAT, by path, tensor and
 * byte: a length beyond the file or 100 MB, JSON that is not as described, sizes that overflow, and tensors
 * that overlap, leave a hole or do not fill the file to its end. Whether size and type agree is for the
 * caller to check, who knows the types. */
enum err_code safetensors_parse(struct safetensors *out, const struct file_map *map, const char *path,
                                struct arena *a, struct err *e);

#endif
