#include <zstd.h>
#include <zstd_errors.h>

#include "base/limits.h"
#include "unpacker.h"

static void *open_zstd(void)
{
    ZSTD_DCtx *z = ZSTD_createDCtx();
    if (z)
        ZSTD_DCtx_setParameter(z, ZSTD_d_windowLogMax, LIMIT_ZSTD_WINDOW);
    return z;
}

static bool run_zstd(void *state, struct unpack_buffers *b, const char **why)
{
    ZSTD_inBuffer in = {.src = b->in, .size = b->in_left};
    ZSTD_outBuffer out = {.dst = b->out, .size = b->out_left};
    size_t result = ZSTD_decompressStream(state, &out, &in);
    b->in += in.pos;
    b->in_left -= in.pos;
    b->out += out.pos;
    b->out_left -= out.pos;
    b->whole = result == 0;
    *why = ZSTD_getErrorCode(result) == ZSTD_error_frameParameter_windowTooLarge
               ? "its window takes too much memory: expand it, or compress it again without --long"
               : ZSTD_getErrorName(result);
    return !ZSTD_isError(result);
}

static void close_zstd(void *state)
{
    ZSTD_freeDCtx(state);
}

const struct unpacker unpack_zstd = {.name = "zstd",
                                     .magic = {0x28, 0xb5, 0x2f, 0xfd},
                                     .magic_length = 4,
                                     .open = open_zstd,
                                     .run = run_zstd,
                                     .close = close_zstd};
