#include <assert.h>

#include "io/store/gguf.h"
#include "merge.h"
#include "part.h"

/* The table of the tensors: those of the base in its order, some of another type and so at other places. */
static enum err_code append_tensors(struct str *out, const struct merge *m, struct err *e)
{
    const struct gguf *g = m->job->store->gguf;
    uint64_t at = 0;
    for (size_t i = 0; i < g->tensor_count; i++) {
        const struct gguf_tensor *t = &g->tensors[i];
        const struct store_tensor *found = store_find(m->job->store, t->name);
        assert(found); /* a store of a GGUF has all its tensors */
        const enum dtype saved = merge_type(m, found);
        size_t bytes = 0;
        if (gguf_put_tensor(out, t->name, t->dims, t->ne, (uint32_t)dtype_info(saved)->ggml, at, e) ||
            dtype_bytes(&bytes, saved, found->elements, e))
            return e->code;
        at += (bytes + g->alignment - 1) / g->alignment * g->alignment;
    }
    return ERR_OK;
}

/* Everything before the tensors: the base's keys are copied byte by byte. */
static enum err_code append_header(struct str *out, const struct merge *m, struct err *e)
{
    const struct gguf *g = m->job->store->gguf;
    if (gguf_put_begin(out, g->version, g->tensor_count, g->key_count, e) ||
        str_append(out, m->job->store->files[0].map.data + out->length, g->tensors_at - out->length, e) ||
        append_tensors(out, m, e))
        return e->code;
    return gguf_put_padding(out, out->length, g->alignment, e);
}

static enum err_code put_tensor(const struct file_out *f, const struct merge *m, const struct store_tensor *t,
                                struct err *e)
{
    struct str padding = {0};
    size_t bytes;
    enum err_code code = dtype_bytes(&bytes, merge_type(m, t), t->elements, e);
    if (!code)
        code = merge_put(f, m, t, e);
    if (!code)
        code = gguf_put_padding(&padding, bytes, m->job->store->gguf->alignment, e);
    if (!code)
        code = file_out_put(f, padding.data, padding.length, e);
    str_release(&padding);
    return code;
}

static enum err_code put_all(const struct file_out *f, const struct merge *m, struct err *e)
{
    const struct gguf *g = m->job->store->gguf;
    struct str header = {0};
    enum err_code code = append_header(&header, m, e);
    if (!code)
        code = file_out_put(f, header.data, header.length, e);
    for (size_t i = 0; !code && i < g->tensor_count; i++)
        code = put_tensor(f, m, store_find(m->job->store, g->tensors[i].name), e);
    str_release(&header);
    return code;
}

enum err_code merge_write_gguf(const struct merge *m, struct err *e)
{
    struct file_out f;
    if (part_refuse_taken(m->job->output, e) || file_out_replace(&f, m->job->output, e))
        return e->code;
    return file_out_finish(&f, put_all(&f, m, e), e);
}
