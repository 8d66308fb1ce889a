#include <inttypes.h>
#include <string.h>

#include "io/store/store.h"

#define HEADER_ALIGNMENT 8

static enum err_code append_header(struct str *out, const struct store_output *tensors, size_t count,
                                   struct err *e)
{
    uint64_t at = 0;
    if (str_appendf(out, e, "{\"__metadata__\":{\"format\":\"pt\"}"))
        return e->code;
    for (size_t i = 0; i < count; i++) {
        const struct store_output *t = &tensors[i];
        uint64_t elements, bytes, end;
        if (__builtin_mul_overflow(t->shape[0], t->shape[1], &elements) ||
            __builtin_mul_overflow(elements, sizeof(float), &bytes) ||
            __builtin_add_overflow(at, bytes, &end))
            return err_set(e, ERR_MEMORY, "tensor %s: its size overflows", t->name);
        if (str_append(out, ",", 1, e) || json_append_string(out, t->name, strlen(t->name), e) ||
            str_appendf(out, e,
                        ":{\"dtype\":\"F32\",\"shape\":[%" PRIu64 ",%" PRIu64 "],\"data_offsets\":[%" PRIu64
                        ",%" PRIu64 "]}",
                        t->shape[0], t->shape[1], at, end))
            return e->code;
        at = end;
    }
    if (str_append(out, "}", 1, e))
        return e->code;
    while (out->length % HEADER_ALIGNMENT != 0)
        if (str_append(out, " ", 1, e))
            return e->code;
    return ERR_OK;
}

static enum err_code append_file(struct str *out, const struct store_output *tensors, size_t count,
                                 struct err *e)
{
    uint64_t length = 0;
    if (str_append(out, &length, sizeof length, e) || append_header(out, tensors, count, e))
        return e->code;
    length = out->length - sizeof length;
    memcpy(out->data, &length, sizeof length);
    for (size_t i = 0; i < count; i++)
        if (str_append(out, tensors[i].data,
                       (size_t)(tensors[i].shape[0] * tensors[i].shape[1] * sizeof(float)), e))
            return e->code;
    return ERR_OK;
}

enum err_code store_write_safetensors(const char *path, const struct store_output *tensors, size_t count,
                                      struct err *e)
{
    struct str file = {0};
    enum err_code code = append_file(&file, tensors, count, e);
    if (code)
        err_wrap(e, "%s", path);
    else
        code = file_write_atomic(path, file.data, file.length, e);
    str_release(&file);
    return code;
}
