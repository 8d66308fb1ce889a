#include "bench_parts.h"

#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "math/gemm.h"
#include "math/parallel.h"

#define PIECE_BYTES ((size_t)256 << 10)

struct piece {
    const char *begin, *end;
    size_t texts, tokens;
    struct err e;
};

struct passage {
    const struct tokenizer *tokenizer;
    struct piece *pieces;
    size_t count;
};

static void encode_piece(void *context, size_t i)
{
    const struct passage *p = context;
    struct piece *piece = &p->pieces[i];
    struct ids ids = {0};
    piece->texts = piece->tokens = 0;
    piece->e.code = ERR_OK;
    for (const char *line = piece->begin; !piece->e.code && line < piece->end; piece->texts++) {
        const char *stop = memchr(line, '\n', (size_t)(piece->end - line));
        if (!stop)
            stop = piece->end;
        if (!tokenizer_encode(&ids, p->tokenizer, line, (size_t)(stop - line), true, &piece->e))
            piece->tokens += ids.count;
        line = stop + 1;
    }
    ids_release(&ids);
}

/* Pieces of whole lines. */
static enum err_code cut(struct passage *p, struct arena *arena, const struct file_map *map, struct err *e)
{
    const char *at = (const char *)map->data, *end = at + map->size;
    p->pieces = arena_alloc(arena, map->size / PIECE_BYTES + 1, sizeof *p->pieces, "pieces of text", e);
    if (!p->pieces)
        return e->code;
    while (at < end) {
        const char *stop = (size_t)(end - at) > PIECE_BYTES ? at + PIECE_BYTES - 1 : end;
        stop = stop < end ? memchr(stop, '\n', (size_t)(end - stop)) : end;
        stop = stop && stop < end ? stop + 1 : end;
        p->pieces[p->count++] = (struct piece){.begin = at, .end = stop};
        at = stop;
    }
    return ERR_OK;
}

static enum err_code time_pass(double *rate, struct passage *p, size_t bytes, struct err *e)
{
    double begun = cpu_seconds();
    parallel_each(p->count, encode_piece, p);
    *rate = (double)bytes / (cpu_seconds() - begun);
    for (size_t i = 0; i < p->count; i++)
        if (p->pieces[i].e.code) {
            *e = p->pieces[i].e;
            return e->code;
        }
    return ERR_OK;
}

static enum err_code time_passes(struct passage *p, struct arena *arena, int threads, size_t passes,
                                 struct bench_tokens *r, struct err *e)
{
    double *rates = arena_alloc(arena, 2 * passes, sizeof *rates, "rates", e), *alone;
    if (!rates)
        return e->code;
    alone = rates + passes;
    enum err_code code = ERR_OK;
    for (size_t i = 0; !code && i < passes; i++) {
        gemm_set_threads(1);
        code = time_pass(&alone[i], p, r->bytes, e);
        gemm_set_threads(threads);
        if (!code)
            code = time_pass(&rates[i], p, r->bytes, e);
    }
    r->thread_rate = bench_median(alone, passes);
    r->rate = bench_median(rates, passes);
    return code;
}

enum err_code bench_tokenize(const struct tokenizer *t, const char *path, int threads, size_t passes,
                             struct bench_tokens *r, struct err *e)
{
    struct file_map map;
    struct arena arena = {0};
    struct passage p = {.tokenizer = t};
    enum err_code code = file_map_open(&map, path, e);
    if (code)
        return code;
    *r = (struct bench_tokens){.bytes = map.size};
    code = map.size ? cut(&p, &arena, &map, e) : err_set(e, ERR_DATA, "the file is empty");
    if (!code)
        code = time_passes(&p, &arena, threads, passes, r, e);
    for (size_t i = 0; i < p.count; i++) {
        r->texts += p.pieces[i].texts;
        r->tokens += p.pieces[i].tokens;
    }
    arena_release(&arena);
    file_map_close(&map);
    return code ? err_wrap(e, "%s", path) : ERR_OK;
}
