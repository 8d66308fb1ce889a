#include <string.h>

#include "io/store/gguf.h"
#include "output.h"

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

enum err_code gguf_put_begin(struct str *out, uint32_t version, uint64_t tensors, uint64_t keys, struct err *e)
{
    if (str_append(out, "GGUF", 4, e) || append_u32(out, version, e) || append_u64(out, tensors, e))
        return e->code;
    return append_u64(out, keys, e);
}

static enum err_code append_text(struct str *out, const char *text, struct err *e)
{
    return append_u64(out, strlen(text), e) ? e->code : str_append(out, text, strlen(text), e);
}

enum err_code gguf_put_tensor(struct str *out, const char *name, uint32_t dims, const uint64_t *ne, uint32_t type,
                              uint64_t offset, struct err *e)
{
    if (append_text(out, name, e) || append_u32(out, dims, e) || str_append(out, ne, dims * sizeof *ne, e) ||
        append_u32(out, type, e))
        return e->code;
    return append_u64(out, offset, e);
}

enum err_code gguf_put_padding(struct str *out, uint64_t length, uint64_t alignment, struct err *e)
{
    enum err_code code = ERR_OK;
    for (; !code && length % alignment; length++)
        code = str_append(out, "", 1, e);
    return code;
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
    const uint64_t ne[] = {t->shape[1], t->shape[0]};
    uint64_t end = 0;
    if (output_end(&end, t, *at, ALIGNMENT, e) ||
        gguf_put_tensor(out, t->name, 2, ne, (uint32_t)dtype_info(DTYPE_F32)->ggml, *at, e))
        return e->code;
    *at = end;
    return ERR_OK;
}

static enum err_code append_file(struct str *out, const struct store_key *keys, size_t key_count,
                                 const struct store_output *tensors, size_t count, struct err *e)
{
    uint64_t at = 0;
    if (gguf_put_begin(out, VERSION, count, key_count, e))
        return e->code;
    for (size_t i = 0; i < key_count; i++)
        if (append_key(out, &keys[i], e))
            return e->code;
    for (size_t i = 0; i < count; i++)
        if (append_entry(out, &tensors[i], &at, e))
            return e->code;
    for (size_t i = 0; i < count; i++)
        if (gguf_put_padding(out, out->length, ALIGNMENT, e) ||
            str_append(out, tensors[i].data, (size_t)(tensors[i].shape[0] * tensors[i].shape[1] * sizeof(float)), e))
            return e->code;
    return gguf_put_padding(out, out->length, ALIGNMENT, e);
}

enum err_code store_write_gguf(const char *path, const struct store_key *keys, size_t key_count,
                               const struct store_output *tensors, size_t count, struct err *e)
{
    struct str file = {0};
    return output_write(&file, append_file(&file, keys, key_count, tensors, count, e), path, e);
}
