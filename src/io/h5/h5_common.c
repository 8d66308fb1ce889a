#include "h5_common.h"

#include <string.h>

static const struct {
    const char *name;
    size_t size;
} types[] = {[H5_F32] = {"f32", 4}, [H5_I32] = {"i32", 4}, [H5_I8] = {"i8", 1},    [H5_U64] = {"u64", 8},
             [H5_F64] = {"f64", 8}, [H5_I64] = {"i64", 8}, [H5_TEXT] = {"text", 1}};

const char *h5_type_name(enum h5_type type)
{
    return types[type].name;
}

size_t h5_type_size(enum h5_type type)
{
    return types[type].size;
}

size_t h5_text_bytes(const char *text)
{
    return *text ? strlen(text) : 1;
}

bool h5_array_bytes(uint64_t *bytes, enum h5_type type, int dims, const uint64_t *shape)
{
    *bytes = h5_type_size(type);
    for (int i = 0; i < dims; i++)
        if (__builtin_mul_overflow(*bytes, shape[i], bytes))
            return false;
    return *bytes <= SIZE_MAX / 2;
}
