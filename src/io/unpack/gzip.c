#include <stdint.h>
#include <stdlib.h>
#include <zlib.h>

#include "unpacker.h"

enum { WINDOW_BITS = 15, GZIP_ONLY = 16 };

struct state {
    z_stream stream;
    bool ended; /* a member; another may follow */
};

static void *open_gzip(void)
{
    struct state *s = calloc(1, sizeof *s);
    if (s && inflateInit2(&s->stream, WINDOW_BITS + GZIP_ONLY) != Z_OK) {
        free(s);
        return NULL;
    }
    return s;
}

static bool run_gzip(void *state, struct unpack_buffers *b, const char **why)
{
    struct state *s = state;
    z_stream *z = &s->stream;
    if (s->ended && b->in_left) {
        inflateReset(z);
        s->ended = false;
    }
    z->next_in = (z_const Bytef *)(uintptr_t)b->in;
    z->avail_in = (uInt)b->in_left;
    z->next_out = b->out;
    z->avail_out = (uInt)b->out_left;
    int result = inflate(z, Z_NO_FLUSH);
    b->in = z->next_in;
    b->in_left = z->avail_in;
    b->out = z->next_out;
    b->out_left = z->avail_out;
    s->ended = result == Z_STREAM_END;
    b->whole = s->ended;
    *why = z->msg ? z->msg : zError(result);
    return result == Z_OK || result == Z_STREAM_END || result == Z_BUF_ERROR;
}

static void close_gzip(void *state)
{
    struct state *s = state;
    inflateEnd(&s->stream);
    free(s);
}

const struct unpacker unpack_gzip = {.name = "gzip",
                                     .magic = {0x1f, 0x8b},
                                     .magic_length = 2,
                                     .open = open_gzip,
                                     .run = run_gzip,
                                     .close = close_gzip};
