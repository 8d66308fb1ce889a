#include <string.h>

#include "io/store/store.h"

#define VERSION   3
#define ALIGNMENT 32 /* what a file has that does not name another */

static enum err_code append_u32(struct str *out, uint32_t x, struct err *e)
{
    return str_append(out, &x, sizeof x, e);
}

static enum err_code append_u64(struct str *out, uint64_t x, struct err *e)
{
    return str_append(out, &x, sizeof x, e);
}

static enum err_code append_text(struct str *out, const char *text, struct err *e)
{
    return append_u64(out, strlen(text), e) ? e->code : str_append(out, text, strlen(text), e);
}

static enum err_code append_key(struct str *out, const struct store_key *key, struct err *e)
{
    if (append_text(out, key->name, e) || append_u32(out, key->text ? GGUF_STRING : GGUF_F32, e))
        return e->code;
    return key->text ? append_text(out, key->text, e) : str_append(out, &key->number, sizeof key->number, e);
}

/* Sizes stand innermost first. *at: where its numbers begin in the data, and then where those of the next tensor do. */
static enum err_code append_entry(struct str *out, const struct store_output *t, uint64_t *at, struct err *e)
{
    uint64_t elements, bytes, end;
    if (__builtin_mul_overflow(t->shape[0], t->shape[1], &elements) ||
        __builtin_mul_overflow(elements, sizeof(float), &bytes) ||
        __builtin_add_overflow(bytes, (uint64_t)ALIGNMENT - 1, &bytes) ||
        __builtin_add_overflow(*at, bytes / ALIGNMENT * ALIGNMENT, &end))
        return err_set(e, ERR_MEMORY, "tensor %s: its size overflows", t->name);
    if (append_text(out, t->name, e) || append_u32(out, 2, e) || append_u64(out, t->shape[1], e) ||
        append_u64(out, t->shape[0], e) || append_u32(out, (uint32_t)dtype_info(DTYPE_F32)->ggml, e) ||
        append_u64(out, *at, e))
        return e->code;
    *at = end;
    return ERR_OK;
}

static enum err_code pad(struct str *out, struct err *e)
{
    static const char zeros[ALIGNMENT];
    return str_append(out, zeros, (ALIGNMENT - out->length % ALIGNMENT) % ALIGNMENT, e);
}

static enum err_code append_file(struct str *out, const struct store_key *keys, size_t key_count,
                                 const struct store_output *tensors, size_t count, struct err *e)
{
    uint64_t at = 0;
    if (str_append(out, "GGUF", 4, e) || append_u32(out, VERSION, e) || append_u64(out, count, e) ||
        append_u64(out, key_count, e))
        return e->code;
    for (size_t i = 0; i < key_count; i++)
        if (append_key(out, &keys[i], e))
            return e->code;
    for (size_t i = 0; i < count; i++)
        if (append_entry(out, &tensors[i], &at, e))
            return e->code;
    for (size_t i = 0; i < count; i++)
        if (pad(out, e) || str_append(out, tensors[i].data,
                                      (size_t)(tensors[i].shape[0] * tensors[i].shape[1] * sizeof(float)), e))
            return e->code;
    return pad(out, e);
}

enum err_code store_write_gguf(const char *path, const struct store_key *keys, size_t key_count,
                               const struct store_output *tensors, size_t count, struct err *e)
{
    struct str file = {0};
    enum err_code code = append_file(&file, keys, key_count, tensors, count, e);
    if (code)
        err_wrap(e, "%s", path);
    else
        code = file_write_atomic(path, file.data, file.length, e);
    str_release(&file);
    return code;
}
