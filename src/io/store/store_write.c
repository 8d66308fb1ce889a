#include <inttypes.h>
#include <string.h>

#include "io/store/safetensors.h"
#include "output.h"

#define HEADER_ALIGNMENT 8

static enum err_code append_keys(struct str *out, const struct store_key *keys, size_t count, struct err *e)
{
    if (str_appendf(out, e, "{\"format\":\"pt\""))
        return e->code;
    for (size_t i = 0; i < count; i++)
        if (str_append(out, ",", 1, e) || json_append_string(out, keys[i].name, strlen(keys[i].name), e) ||
            str_append(out, ":", 1, e) || json_append_string(out, keys[i].text, strlen(keys[i].text), e))
            return e->code;
    return str_append(out, "}", 1, e);
}

enum err_code safetensors_put_begin(struct str *out, const struct json_value *metadata, const struct store_key *keys,
                                    size_t key_count, struct err *e)
{
    const uint64_t length = 0; /* known at the end */
    if (str_append(out, &length, sizeof length, e) || str_appendf(out, e, "{\"__metadata__\":"))
        return e->code;
    return metadata ? json_append_value(out, metadata, e) : append_keys(out, keys, key_count, e);
}

enum err_code safetensors_put_tensor(struct str *out, const char *name, const char *type, const uint64_t *shape,
                                     int dims, uint64_t begin, uint64_t end, struct err *e)
{
    if (str_append(out, ",", 1, e) || json_append_string(out, name, strlen(name), e) ||
        str_appendf(out, e, ":{\"dtype\":") || json_append_string(out, type, strlen(type), e) ||
        str_appendf(out, e, ",\"shape\":["))
        return e->code;
    for (int i = 0; i < dims; i++)
        if (str_appendf(out, e, i ? ",%" PRIu64 : "%" PRIu64, shape[i]))
            return e->code;
    return str_appendf(out, e, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", begin, end);
}

enum err_code safetensors_put_end(struct str *out, struct err *e)
{
    if (str_append(out, "}", 1, e))
        return e->code;
    while (out->length % HEADER_ALIGNMENT != 0)
        if (str_append(out, " ", 1, e))
            return e->code;
    const uint64_t length = out->length - sizeof length;
    memcpy(out->data, &length, sizeof length);
    return ERR_OK;
}

static enum err_code append_file(struct str *out, const struct store_key *keys, size_t key_count,
                                 const struct store_output *tensors, size_t count, struct err *e)
{
    uint64_t begin = 0;
    if (safetensors_put_begin(out, NULL, keys, key_count, e))
        return e->code;
    for (size_t i = 0; i < count; i++) {
        uint64_t end = 0;
        if (output_end(&end, &tensors[i], begin, 1, e) ||
            safetensors_put_tensor(out, tensors[i].name, dtype_info(DTYPE_F32)->safetensors, tensors[i].shape, 2, begin,
                                   end, e))
            return e->code;
        begin = end;
    }
    if (safetensors_put_end(out, e))
        return e->code;
    for (size_t i = 0; i < count; i++)
        if (str_append(out, tensors[i].data,
                       (size_t)(tensors[i].shape[0] * tensors[i].shape[1] * sizeof(float)), e))
            return e->code;
    return ERR_OK;
}

enum err_code store_write_safetensors(const char *path, const struct store_key *keys, size_t key_count,
                                      const struct store_output *tensors, size_t count, struct err *e)
{
    struct str file = {0};
    return output_write(&file, append_file(&file, keys, key_count, tensors, count, e), path, e);
}
