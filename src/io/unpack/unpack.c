#include "io/unpack.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/stop.h"
#include "unpacker.h"

enum { CHUNK = 1 << 18 };

static const struct unpacker *const unpackers[] = {[UNPACK_GZIP] = &unpack_gzip, [UNPACK_ZSTD] = &unpack_zstd};
#define KINDS (sizeof unpackers / sizeof *unpackers)

enum err_code unpack_recognise(enum unpack_kind *kind, const struct file_in *f, struct err *e)
{
    unsigned char begin[sizeof unpackers[UNPACK_GZIP]->magic];
    size_t length = f->size < sizeof begin ? f->size : sizeof begin;
    *kind = UNPACK_NONE;
    if (file_in_read(begin, f, 0, length, e))
        return e->code;
    for (size_t k = UNPACK_GZIP; k < KINDS; k++)
        if (length >= unpackers[k]->magic_length && !memcmp(begin, unpackers[k]->magic, unpackers[k]->magic_length))
            *kind = (enum unpack_kind)k;
    return ERR_OK;
}

/* A file on its way. */
struct work {
    const struct unpacker *unpacker;
    const struct file_in *from;
    const char *path;
    FILE *to;
    void *state;
    struct unpack_buffers buffers;
    uint64_t taken, given;               /* bytes read, bytes written */
    unsigned char in[CHUNK], out[CHUNK]; /* what the buffers point to */
};

static enum err_code read_more(struct work *w, struct err *e)
{
    uint64_t left = w->from->size - w->taken;
    size_t length = left < CHUNK ? (size_t)left : CHUNK;
    if (w->buffers.in_left || !length)
        return ERR_OK;
    w->buffers.in = w->in;
    w->buffers.in_left = length;
    w->taken += length;
    return file_in_read(w->in, w->from, w->taken - length, length, e);
}

static enum err_code write_out(struct work *w, struct err *e)
{
    size_t length = CHUNK - w->buffers.out_left;
    w->given += length;
    if (w->given > LIMIT_EXPANDED)
        return err_set(e, ERR_FORMAT, "%s expands to more than the %lld bytes that such a file may have", w->from->path,
                       (long long)LIMIT_EXPANDED);
    return fwrite(w->out, 1, length, w->to) == length ? ERR_OK : err_set_errno(e, errno, "cannot write %s", w->path);
}

static enum err_code run(struct work *w, struct err *e)
{
    struct unpack_buffers *b = &w->buffers;
    for (;;) {
        const char *why = NULL;
        if (stop_check("the data was expanded", e) || read_more(w, e))
            return e->code;
        b->out = w->out;
        b->out_left = CHUNK;
        if (!w->unpacker->run(w->state, b, &why))
            return err_set(e, ERR_FORMAT, "%s: damaged %s data before byte %" PRIu64 " (%s)", w->from->path,
                           w->unpacker->name, w->taken - b->in_left, why);
        if (write_out(w, e))
            return e->code;
        if (b->in_left || w->taken < w->from->size)
            continue;
        if (b->whole)
            return ERR_OK;
        if (b->out_left) /* it had room, and has no more to say */
            return err_set(e, ERR_FORMAT, "%s: the %s data is cut off: it does not end with the file, at byte %" PRIu64,
                           w->from->path, w->unpacker->name, w->taken);
    }
}

enum err_code unpack_file(const char *path, const struct file_in *f, enum unpack_kind kind, struct err *e)
{
    struct work *w = calloc(1, sizeof *w);
    if (!w)
        return err_set(e, ERR_MEMORY, "no memory to expand %s", f->path);
    w->unpacker = unpackers[kind];
    w->from = f;
    w->path = path;
    w->to = fopen(path, "wbx");
    enum err_code code =
        w->to ? ERR_OK : err_set_errno(e, errno, "cannot create %s, to expand %s into it", path, f->path);
    if (!code) {
        w->state = w->unpacker->open();
        code = w->state ? run(w, e) : err_set(e, ERR_MEMORY, "no memory to expand %s", f->path);
        if (w->state)
            w->unpacker->close(w->state);
        if (fclose(w->to) && !code)
            code = err_set_errno(e, errno, "cannot write %s", path);
        if (code)
            unlink(path);
    }
    free(w);
    return code;
}
