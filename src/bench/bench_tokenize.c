#include "bench_parts.h"

#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "io/json.h"
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

static enum err_code encode_all(void *context, struct err *e)
{
    struct passage *p = context;
    parallel_each(p->count, encode_piece, p);
    for (size_t i = 0; i < p->count; i++)
        if (p->pieces[i].e.code) {
            *e = p->pieces[i].e;
            return e->code;
        }
    return ERR_OK;
}

/* Work that is timed, on as many threads as are set. */
typedef enum err_code pass(void *context, struct err *e);

static enum err_code time_pass(double *seconds, pass *work, void *context, int threads, struct err *e)
{
    gemm_set_threads(threads);
    double begun = cpu_seconds();
    enum err_code code = work(context, e);
    *seconds = cpu_seconds() - begun;
    return code;
}

/* Medians of the seconds of a pass on one thread and on all, in turn. */
static enum err_code time_passes(double *alone, double *together, pass *work, void *context, int threads,
                                 size_t passes, struct arena *arena, struct err *e)
{
    double *seconds = arena_alloc(arena, 2 * passes, sizeof *seconds, "times", e);
    enum err_code code = seconds ? ERR_OK : ERR_MEMORY;
    for (size_t i = 0; !code && i < passes; i++) {
        code = time_pass(&seconds[i], work, context, 1, e);
        if (!code)
            code = time_pass(&seconds[passes + i], work, context, threads, e);
    }
    if (code)
        return code;
    *alone = bench_median(seconds, passes);
    *together = bench_median(seconds + passes, passes);
    return ERR_OK;
}

enum err_code bench_tokenize(const struct tokenizer *t, const char *path, int threads, size_t passes,
                             struct bench_tokens *r, struct err *e)
{
    struct file_map map;
    struct arena arena = {0};
    struct passage p = {.tokenizer = t};
    double alone = 0, together = 0;
    enum err_code code = file_map_open(&map, path, e);
    if (code)
        return code;
    *r = (struct bench_tokens){.bytes = map.size};
    code = map.size ? cut(&p, &arena, &map, e) : err_set(e, ERR_DATA, "the file is empty");
    if (!code)
        code = time_passes(&alone, &together, encode_all, &p, threads, passes, &arena, e);
    r->thread_rate = (double)r->bytes / alone;
    r->rate = (double)r->bytes / together;
    for (size_t i = 0; i < p.count; i++) {
        r->texts += p.pieces[i].texts;
        r->tokens += p.pieces[i].tokens;
    }
    arena_release(&arena);
    file_map_close(&map);
    return code ? err_wrap(e, "%s", path) : ERR_OK;
}

static enum err_code scan_all(void *data, struct err *e)
{
    return dataset_scan(data, 0, 1, e);
}

/* What reading all examples takes at the least: their bytes, and parsing these as JSON. */
static enum err_code parse_all(void *data, struct err *e)
{
    const struct dataset *d = data;
    struct str line = {0};
    struct json *doc;
    e->code = ERR_OK;
    for (size_t i = 0; !e->code && i < d->count; i++) {
        const struct dataset_entry *entry = &d->entries[i];
        str_clear(&line);
        if (!str_reserve(&line, entry->bytes, e) &&
            !file_in_read(line.data, &d->files[entry->file], entry->offset, entry->bytes, e) &&
            !json_open_bytes(&doc, line.data, entry->bytes, NULL, e))
            json_close(doc);
    }
    str_release(&line);
    return e->code;
}

enum err_code bench_examples(struct dataset *d, int threads, size_t passes, struct bench_examples *r, struct err *e)
{
    struct arena arena = {0};
    double alone = 0, together = 0, json = 0, *seconds = arena_alloc(&arena, passes, sizeof *seconds, "times", e);
    enum err_code code =
        seconds ? time_passes(&alone, &together, scan_all, d, threads, passes, &arena, e) : ERR_MEMORY;
    for (size_t i = 0; !code && i < passes; i++)
        code = time_pass(&seconds[i], parse_all, d, threads, e);
    if (!code)
        json = bench_median(seconds, passes);
    *r = (struct bench_examples){.examples = d->count,
                                 .tokens = d->counts.tokens,
                                 .thread_rate = (double)d->count / alone,
                                 .rate = (double)d->count / together,
                                 .json_share = json / alone};
    arena_release(&arena);
    return code;
}
