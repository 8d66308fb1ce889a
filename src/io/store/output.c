#include "output.h"

enum err_code output_end(uint64_t *end, const struct store_output *t, uint64_t begin, uint64_t alignment,
                         struct err *e)
{
    uint64_t elements, bytes, padded;
    if (__builtin_mul_overflow(t->shape[0], t->shape[1], &elements) ||
        __builtin_mul_overflow(elements, sizeof(float), &bytes) ||
        __builtin_add_overflow(bytes, alignment - 1, &padded) ||
        __builtin_add_overflow(begin, padded / alignment * alignment, end))
        return err_set(e, ERR_MEMORY, "tensor %s: its size overflows", t->name);
    return ERR_OK;
}

enum err_code output_write(struct str *file, enum err_code code, const char *path, struct err *e)
{
    if (code)
        err_wrap(e, "%s", path);
    else
        code = file_write_atomic(path, file->data, file->length, e);
    str_release(file);
    return code;
}
