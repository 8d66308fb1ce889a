/*
 * A task is one stack of heads of one segment of queries against one segment of keys of an example. It adds
 * to dq of its queries, and to dk and dv of its keys; what is added to the same place is added in the order
 * of the rounds, whichever threads the tasks run on.
 *
 *              keys
 *         0 +----.
 *           | 0  |                 The number in a field is its round, (i + j) mod 3:
 *  queries  +----+----.            the tasks of a round have no queries and no keys in common.
 *           | 1  | 2  |
 *           +----+----+----.
 *           | 2  | 0  | 1  |
 *           +----+----+----+
 *
 * Scores are computed transposed, keys by queries: P^T and dS^T are then the left operands of dv += P^T dO
 * and dk += dS^T Q as they lie, and only dq += dS K needs its left operand transposed.
 */
#include "attention_job.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#define LOG2_E 0x1.715476p+0F

/* What the tasks of a call share beyond the job. */
struct backward {
    struct attention_job job;
    float *sums; /* dqkv, or where its sums are kept until they are rounded */
    size_t ld;   /* of sums */
};

struct task {
    const struct attention_block *block; /* one of the example */
    size_t stack, queries, keys;         /* number of the stack, first query and first key of the segments */
};

/* A thread's scratch. */
struct workspace {
    void *queries, *douts, *keys, *values; /* filled up */
    float *log_sums, *delta;               /* filled up: [rows] */
    float *scores, *dprobs;                /* [KEYS, rows] */
    void *probs, *dscores;                 /* the same in the type */
    float *dq, *dk, *dv;                   /* [rows, head_dim], [KEYS, head_dim] twice */
    /* Operands of tiles.h: transposes of queries and douts, and lines of them, of keys and of dscores. */
    void *query_columns, *dout_columns, *query_lines, *dout_lines, *key_lines, *dscore_lines;
};

static struct workspace workspace_make(const struct attention_job *job)
{
    size_t real = job->typed->size, rows = job->rows, head_dim = job->s->head_dim;
    size_t tile = rows * ATTENTION_KEYS;
    bool in_place = job->s->type == DTYPE_F32;
    char *place = attention_job_scratch(job);
    struct workspace w;
    w.queries = attention_take(&place, rows * head_dim * real);
    w.douts = attention_take(&place, rows * head_dim * real);
    w.keys = attention_take(&place, ATTENTION_KEYS * head_dim * real);
    w.values = attention_take(&place, ATTENTION_KEYS * head_dim * real);
    w.log_sums = attention_take(&place, rows * sizeof(float));
    w.delta = attention_take(&place, rows * sizeof(float));
    w.scores = attention_take(&place, tile * sizeof(float));
    w.dprobs = attention_take(&place, tile * sizeof(float));
    w.probs = in_place ? w.scores : attention_take(&place, tile * real);
    w.dscores = in_place ? w.dprobs : attention_take(&place, tile * real);
    w.dq = attention_take(&place, rows * head_dim * sizeof(float));
    w.dk = attention_take(&place, ATTENTION_KEYS * head_dim * sizeof(float));
    w.dv = attention_take(&place, ATTENTION_KEYS * head_dim * sizeof(float));
    w.query_columns = attention_take(&place, rows * head_dim * real);
    w.dout_columns = attention_take(&place, rows * head_dim * real);
    w.query_lines = attention_take(&place, rows * head_dim * real);
    w.dout_lines = attention_take(&place, rows * head_dim * real);
    w.key_lines = attention_take(&place, ATTENTION_KEYS * head_dim * real);
    w.dscore_lines = in_place ? w.dscores : attention_take(&place, tile * real);
    return w;
}

static size_t kv_head_of(const struct attention_job *job, size_t stack)
{
    return stack * job->stack / (job->s->heads / job->s->kv_heads);
}

/* Where the sums of a task's queries, keys or values begin. */
static float *sums_at(const struct backward *b, size_t place, size_t column)
{
    return b->sums + place * b->ld + column;
}

/* What a tile reads of its block of queries, filled up: [rows, head_dim] and [rows]. */
struct block_rows {
    const void *q, *dout;
    const float *log_sums, *delta;
};

/* ... and of its keys, [count, head_dim]; lines are the keys as an operand of tiles.h. */
struct key_rows {
    const void *k, *v, *lines;
};

/* The keys from that row on, a multiple of ATTENTION_QUERIES. */
static struct key_rows key_rows_from(const struct attention_job *job, const struct key_rows *keys, size_t row)
{
    size_t bytes = row * job->s->head_dim * job->typed->size;
    const char *lines = keys->lines;
    return (struct key_rows){(const char *)keys->k + bytes, (const char *)keys->v + bytes,
                             lines ? lines + bytes : NULL};
}

static void multiply_tile(const struct attention_job *job, const struct workspace *w,
                          const struct block_rows *rows, const struct key_rows *keys,
                          const struct attend_tile *tile)
{
    enum dtype type = job->s->type;
    size_t head_dim = job->s->head_dim, count = tile->keys, queries = tile->queries;
    gemm_tile(type, GEMM_N, GEMM_T, count, queries, head_dim, keys->k, rows->q, 0, w->scores);
    gemm_tile(type, GEMM_N, GEMM_T, count, queries, head_dim, keys->v, rows->dout, 0, w->dprobs);
    attention_limit_columns(job, w->scores, w->dprobs, rows->delta, tile, 0);
    job->typed->attend_gradient(w->probs, w->dscores, w->scores, w->dprobs, rows->log_sums, rows->delta,
                                tile);
    gemm_tile(type, GEMM_N, GEMM_N, count, head_dim, queries, w->probs, rows->dout, 1, w->dv);
    gemm_tile(type, GEMM_N, GEMM_N, count, head_dim, queries, w->dscores, rows->q, 1, w->dk);
    gemm_tile(type, GEMM_T, GEMM_N, queries, head_dim, count, w->dscores, keys->k, 0, w->dq);
}

/* The same by parts, of the first `valid` rows of the block. */
static void multiply_by_parts(const struct attention_job *job, const struct workspace *w,
                              const struct block_rows *rows, const struct key_rows *keys,
                              const struct attend_tile *tile, size_t valid)
{
    const struct tiles *tiles = job->tiles;
    size_t head_dim = job->s->head_dim, words = head_dim / tiles->word_elements,
           half = TILES_QUERIES / tiles->word_elements;
    const struct tiles_left probs = {w->probs, half, 1}, dscores = {w->dscores, half, 1},
                            dscore_columns = {w->dscore_lines, 1, TILES_QUERIES};
    tiles->transpose(w->query_columns, rows->q, tile->queries, head_dim);
    tiles->transpose(w->dout_columns, rows->dout, tile->queries, head_dim);
    const uint32_t *query_columns = w->query_columns, *dout_columns = w->dout_columns;
    const uint32_t *query_lines = tiles->lines(w->query_lines, rows->q, tile->queries, head_dim);
    const uint32_t *dout_lines = tiles->lines(w->dout_lines, rows->dout, tile->queries, head_dim);
    for (size_t row = 0; row < valid; row += TILES_QUERIES) {
        size_t skipped, line = row / tiles->word_elements * head_dim;
        const struct tiles_part part = attention_part(&skipped, job, tile, row);
        if (part.keys == 0) { /* a window that ends inside of the block */
            memset(w->dq + row * head_dim, 0, TILES_QUERIES * head_dim * sizeof(float));
            continue;
        }
        const struct tiles_left k = {(const uint32_t *)keys->k + skipped * words, words, 1},
                                v = {(const uint32_t *)keys->v + skipped * words, words, 1};
        tiles->product(part.keys, TILES_QUERIES, words, k, query_columns + row, tile->queries, false,
                       w->scores);
        tiles->product(part.keys, TILES_QUERIES, words, v, dout_columns + row, tile->queries, false,
                       w->dprobs);
        attention_limit_part(job, w->scores, w->dprobs, rows->delta + row, &part);
        tiles->gradient(w->probs, w->dscores, w->dscore_lines, w->scores, w->dprobs, rows->log_sums + row,
                        rows->delta + row, &part);
        tiles->product(part.keys, head_dim, half, probs, dout_lines + line, head_dim, true,
                       w->dv + skipped * head_dim);
        tiles->product(part.keys, head_dim, half, dscores, query_lines + line, head_dim, true,
                       w->dk + skipped * head_dim);
        tiles->product(TILES_QUERIES, head_dim, part.keys / tiles->word_elements, dscore_columns,
                       (const uint32_t *)keys->lines + skipped / tiles->word_elements * head_dim, head_dim, false,
                       w->dq + row * head_dim);
    }
}

/* The part of one block of queries with `count` keys, of which the first is number `key`:
 * adds to w->dk, w->dv and to the sums of dq. */
static void backward_tile(const struct backward *b, const struct workspace *w, const struct task *t,
                          size_t query, const struct key_rows *keys, size_t key, size_t count)
{
    const struct attention_job *job = &b->job;
    const struct attention_shape *s = job->s;
    size_t head_dim = s->head_dim, rows = job->rows, place = t->block->begin + query;
    size_t valid = attention_min(ATTENTION_QUERIES, t->block->length - query), stack = job->stack;
    size_t at = (t->stack * job->places + place) * stack, row_bytes = head_dim * job->typed->size;
    const char *scratch = job->scratch;
    const struct block_rows block = {
        attention_fill_up(w->queries, scratch + job->at.queries + at * row_bytes, valid * stack, rows,
                          row_bytes),
        attention_fill_up(w->douts, scratch + job->at.douts + at * row_bytes, valid * stack, rows, row_bytes),
        attention_fill_up(w->log_sums, scratch + job->at.log_sums + at * sizeof(float), valid * stack, rows,
                          sizeof(float)),
        attention_fill_up(w->delta, scratch + job->at.delta + at * sizeof(float), valid * stack, rows,
                          sizeof(float))};
    const struct attend_tile tile = {rows, count, stack, query - key, s->scale};

    if (job->tiles)
        multiply_by_parts(job, w, &block, keys, &tile, valid * stack);
    else
        multiply_tile(job, w, &block, keys, &tile);
    job->kern->attend_add(sums_at(b, place, t->stack * stack * head_dim), b->ld, s->scale, w->dq, valid,
                          stack * head_dim);
}

static void backward_task(const struct backward *b, const struct task *t)
{
    const struct attention_job *job = &b->job;
    const struct attention_shape *s = job->s;
    struct workspace w = workspace_make(job);
    float *dk = w.dk, *dv = w.dv;
    size_t head_dim = s->head_dim, row_bytes = head_dim * job->typed->size, length = t->block->length;
    size_t kv_head = kv_head_of(job, t->stack), column = kv_head * head_dim;
    size_t queries_end = attention_min(length, t->queries + ATTENTION_SEGMENT);
    size_t keys_end = attention_min(length, t->keys + ATTENTION_SEGMENT);
    size_t prefix = t->block->prefix, copies = prefix / ATTENTION_QUERIES * ATTENTION_QUERIES;
    size_t queries_begin = t->queries > copies ? t->queries : copies;

    for (size_t key = t->keys; key < keys_end; key += ATTENTION_KEYS) {
        size_t valid = attention_min(ATTENTION_KEYS, length - key), count = attention_whole(valid);
        size_t place = t->block->begin + key, row = kv_head * job->places + place;
        struct key_rows keys = {
            attention_fill_up(w.keys, job->scratch + job->at.keys + row * row_bytes, valid, count, row_bytes),
            attention_fill_up(w.values, job->scratch + job->at.values + row * row_bytes, valid, count,
                              row_bytes),
            NULL};
        if (job->tiles)
            keys.lines = job->tiles->lines(w.key_lines, keys.k, count, head_dim);
        memset(dk, 0, count * head_dim * sizeof(float));
        memset(dv, 0, count * head_dim * sizeof(float));
        for (size_t query = key > queries_begin ? key : queries_begin; query < queries_end;
             query += ATTENTION_QUERIES) {
            size_t unseen = attention_first_seen(job, query) / ATTENTION_QUERIES * ATTENTION_QUERIES;
            size_t skipped = unseen > key ? unseen - key : 0, end = query + ATTENTION_QUERIES - key;
            if (skipped >= count)
                break;
            const struct key_rows seen = key_rows_from(job, &keys, skipped);
            w.dk = dk + skipped * head_dim;
            w.dv = dv + skipped * head_dim;
            backward_tile(b, &w, t, query, &seen, key + skipped, attention_min(count, end) - skipped);
        }
        job->kern->attend_add(sums_at(b, place, attention_key_column(s) + column), b->ld, s->scale, dk,
                              valid, head_dim);
        job->kern->attend_add(sums_at(b, place, attention_value_column(s) + column), b->ld, 1, dv, valid,
                              head_dim);
    }
}

/* What a task reads of the queries at a place, of one stack. A copy gets no gradient: it is the one example's that has
 * the token itself. */
static void prepare_query(const struct backward *b, size_t stack, size_t place, size_t token, bool is_copy,
                          const float *dout, const void *out, const float *lse)
{
    const struct attention_job *job = &b->job;
    const struct attention_shape *s = job->s;
    size_t head_dim = s->head_dim, real = job->typed->size, at = (stack * job->places + place) * job->stack;
    size_t from = (token * s->heads + stack * job->stack) * head_dim;
    float *log_sums = (float *)(job->scratch + job->at.log_sums) + at;
    float *delta = (float *)(job->scratch + job->at.delta) + at;
    char *copy = job->scratch + job->at.douts + at * head_dim * real;
    for (size_t h = 0; h < job->stack; h++)
        log_sums[h] = lse[(stack * job->stack + h) * job->n + token] * LOG2_E;
    if (is_copy) {
        memset(delta, 0, job->stack * sizeof *delta);
        memset(copy, 0, job->stack * head_dim * real);
    } else {
        job->typed->attend_delta(delta, copy, dout + from, (const char *)out + from * real, job->stack, head_dim);
    }
}

/* Lays out what the tasks read, of the places of a block, and clears what they add to. */
static void prepare(const struct backward *b, const float *dout, const void *out, const float *lse,
                    const void *qkv, const struct attention_block *block)
{
    const struct attention_job *job = &b->job;
    const struct attention_shape *s = job->s;
    size_t head_dim = s->head_dim, own = attention_first_own(block), end = attention_block_end(block);
    char *scratch = job->scratch;
    attention_pack(job, scratch + job->at.queries, qkv, job->ld, 0, job->stacks, job->stack * head_dim, block);
    attention_pack(job, scratch + job->at.keys, qkv, job->ld, attention_key_column(s), s->kv_heads, head_dim,
                   block);
    attention_pack(job, scratch + job->at.values, qkv, job->ld, attention_value_column(s), s->kv_heads, head_dim,
                   block);
    for (size_t stack = 0; stack < job->stacks; stack++)
        for (size_t i = block->first; i < end; i++)
            prepare_query(b, stack, block->begin + i, attention_token(block, i), i < own, dout, out, lse);
    for (size_t i = block->first; i < end; i++)
        memset(sums_at(b, block->begin + i, 0), 0, job->columns * sizeof(float));
}

/* The task of a round that begins at this block of queries, for a key/value head and the stack of that number
 * among those that share it; false if there is none, or if its queries are
 * all copies or see none of its keys. */
static bool find_task(struct task *t, const struct attention_job *job, const struct attention_block *block,
                      size_t round, size_t kv_head, size_t number)
{
    size_t segments = (block->length + ATTENTION_SEGMENT - 1) / ATTENTION_SEGMENT;
    assert(segments > 0);
    size_t i = block->first / ATTENTION_SEGMENT, j = (round + segments - i) % segments;
    *t = (struct task){block, kv_head * (job->stacks / job->s->kv_heads) + number, i * ATTENTION_SEGMENT,
                       j * ATTENTION_SEGMENT};
    return block->first % ATTENTION_SEGMENT == 0 && round < segments && j <= i &&
           block->prefix < attention_min(block->length, t->queries + ATTENTION_SEGMENT) &&
           attention_first_seen(job, t->queries) < t->keys + ATTENTION_SEGMENT;
}

static size_t count_rounds(const struct attention_job *job)
{
    size_t longest = 0;
    for (size_t i = 0; i < job->count; i++)
        longest = job->blocks[i].length > longest ? job->blocks[i].length : longest;
    return (longest + ATTENTION_SEGMENT - 1) / ATTENTION_SEGMENT;
}

/* All rounds, from inside of a parallel region. Stacks that share their keys take turns. */
static void run_rounds(const struct backward *b)
{
    const struct attention_job *job = &b->job;
    size_t kv_heads = job->s->kv_heads, turns = job->stacks / kv_heads;
    size_t rounds = count_rounds(job) * turns;
    for (size_t round = 0; round < rounds; round++) {
#pragma omp for schedule(dynamic)
        for (size_t i = 0; i < job->count * kv_heads; i++) {
            struct task t;
            if (find_task(&t, job, &job->blocks[i / kv_heads], round / turns, i % kv_heads, round % turns))
                backward_task(b, &t);
        }
    }
}

/* Adds the sums of keys and values of copies to those of their tokens, from inside of a parallel region. */
static void add_copies(const struct backward *b)
{
    const struct attention_job *job = &b->job;
    const struct attention_shape *s = job->s;
    size_t column = attention_key_column(s), begin = 0, source = 0;
    for (size_t e = 0; e < s->examples; e++) {
        size_t prefix = attention_prefix(s, e);
        source = prefix ? source : begin;
#pragma omp for schedule(static)
        for (size_t i = 0; i < prefix; i++)
            job->kern->attend_add(sums_at(b, source + i, column), b->ld, 1, sums_at(b, begin + i, column), 1,
                                  job->columns - column);
        begin += prefix + s->offsets[e + 1] - s->offsets[e];
    }
}

/* Writes the sums of a block's tokens as their gradient. */
static void store(const struct backward *b, void *dqkv, const struct attention_block *block)
{
    const struct attention_job *job = &b->job;
    for (size_t i = attention_first_own(block); i < attention_block_end(block); i++)
        job->typed->from_f32_row((char *)dqkv + attention_token(block, i) * job->ld * job->typed->size,
                                 sums_at(b, block->begin + i, 0), job->columns);
}

void attention_backward(void *dqkv, const float *dout, const void *out, const float *lse, const void *qkv,
                        size_t ld, const struct attention_shape *s, void *scratch)
{
    struct backward b;
    attention_job_init(&b.job, ld, s, scratch);
    const struct attention_job *job = &b.job;
    bool shares = job->places > job->n, apart = shares || s->type != DTYPE_F32;
    b.sums = apart ? (float *)(job->scratch + job->at.sums) : dqkv;
    b.ld = apart ? job->columns : ld;
#pragma omp parallel
    {
#pragma omp for schedule(static)
        for (size_t i = 0; i < job->count; i++)
            prepare(&b, dout, out, lse, qkv, &job->blocks[i]);
        run_rounds(&b);
        if (shares)
            add_copies(&b);
#pragma omp for schedule(static)
        for (size_t i = 0; i < (apart ? job->count : 0); i++)
            store(&b, dqkv, &job->blocks[i]);
    }
}
