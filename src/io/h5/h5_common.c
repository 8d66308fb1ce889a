#include "h5_common.h"

const char *const h5_kind_names[] = {[H5_KIND_TEXT] = "text", [H5_KIND_REAL] = "real", [H5_KIND_INT] = "int"};

const char *h5_type_name(enum h5_type type)
{
    static const char *const names[] = {[H5_F32] = "f32", [H5_I32] = "i32", [H5_I8] = "i8", [H5_U64] = "u64"};
    return names[type];
}

size_t h5_type_size(enum h5_type type)
{
    static const size_t sizes[] = {[H5_F32] = 4, [H5_I32] = 4, [H5_I8] = 1, [H5_U64] = 8};
    return sizes[type];
}

bool h5_array_bytes(uint64_t *bytes, enum h5_type type, int dims, const uint64_t *shape)
{
    *bytes = h5_type_size(type);
    for (int i = 0; i < dims; i++)
        if (__builtin_mul_overflow(*bytes, shape[i], bytes))
            return false;
    return *bytes <= SIZE_MAX / 2;
}
