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
    return w;
}

static size_t kv_head_of(const struct attention_job *job, size_t stack)
{
    return stack * job->stack / (job->s->heads / job->s->kv_heads);
}

/* Where the sums of a task's queries, keys or values begin. */
static float *sums_at(const struct backward *b, size_t token, size_t column)
{
    return b->sums + token * b->ld + column;
}

/* The part of one block of queries with the keys k, v[count, head_dim], of which the first is number `key`:
 * adds to w->dk, w->dv and to the sums of dq. */
static void backward_tile(const struct backward *b, const struct workspace *w, const struct task *t,
                          size_t query, const void *k, const void *v, size_t key, size_t count)
{
    const struct attention_job *job = &b->job;
    const struct attention_shape *s = job->s;
    size_t head_dim = s->head_dim, rows = job->rows, token = t->block->begin + query;
    size_t valid = attention_min(ATTENTION_QUERIES, t->block->length - query), stack = job->stack;
    size_t at = (t->stack * job->n + token) * stack, row_bytes = head_dim * job->typed->size;
    const void *q = attention_fill_up(w->queries, job->scratch + job->at.queries + at * row_bytes,
                                      valid * stack, rows, row_bytes);
    const void *dout = attention_fill_up(w->douts, job->scratch + job->at.douts + at * row_bytes,
                                         valid * stack, rows, row_bytes);
    const float *log_sums = attention_fill_up(w->log_sums, (float *)(job->scratch + job->at.log_sums) + at,
                                              valid * stack, rows, sizeof(float));
    const float *delta = attention_fill_up(w->delta, (float *)(job->scratch + job->at.delta) + at,
                                           valid * stack, rows, sizeof(float));
    const struct attend_tile tile = {rows, count, stack, query - key, s->scale};

    gemm_tile(s->type, GEMM_N, GEMM_T, count, rows, head_dim, k, q, 0, w->scores);
    gemm_tile(s->type, GEMM_N, GEMM_T, count, rows, head_dim, v, dout, 0, w->dprobs);
    job->typed->attend_gradient(w->probs, w->dscores, w->scores, w->dprobs, log_sums, delta, &tile);
    gemm_tile(s->type, GEMM_N, GEMM_N, count, head_dim, rows, w->probs, dout, 1, w->dv);
    gemm_tile(s->type, GEMM_N, GEMM_N, count, head_dim, rows, w->dscores, q, 1, w->dk);
    gemm_tile(s->type, GEMM_T, GEMM_N, rows, head_dim, count, w->dscores, k, 0, w->dq);
    job->kern->attend_add(sums_at(b, token, t->stack * stack * head_dim), b->ld, s->scale, w->dq, valid,
                          stack * head_dim);
}

static void backward_task(const struct backward *b, const struct task *t)
{
    const struct attention_job *job = &b->job;
    const struct attention_shape *s = job->s;
    struct workspace w = workspace_make(job);
    size_t head_dim = s->head_dim, row_bytes = head_dim * job->typed->size, length = t->block->length;
    size_t kv_head = kv_head_of(job, t->stack), column = kv_head * head_dim;
    size_t queries_end = attention_min(length, t->queries + ATTENTION_SEGMENT);
    size_t keys_end = attention_min(length, t->keys + ATTENTION_SEGMENT);

    for (size_t key = t->keys; key < keys_end; key += ATTENTION_KEYS) {
        size_t valid = attention_min(ATTENTION_KEYS, length - key), count = attention_whole(valid);
        size_t token = t->block->begin + key, row = kv_head * job->n + token;
        const void *k =
            attention_fill_up(w.keys, job->scratch + job->at.keys + row * row_bytes, valid, count, row_bytes);
        const void *v = attention_fill_up(w.values, job->scratch + job->at.values + row * row_bytes, valid,
                                          count, row_bytes);
        memset(w.dk, 0, count * head_dim * sizeof(float));
        memset(w.dv, 0, count * head_dim * sizeof(float));
        for (size_t query = key > t->queries ? key : t->queries; query < queries_end;
             query += ATTENTION_QUERIES)
            backward_tile(b, &w, t, query, k, v, key, attention_min(count, query + ATTENTION_QUERIES - key));
        job->kern->attend_add(sums_at(b, token, attention_key_column(s) + column), b->ld, s->scale, w.dk,
                              valid, head_dim);
        job->kern->attend_add(sums_at(b, token, attention_value_column(s) + column), b->ld, 1, w.dv, valid,
                              head_dim);
    }
}

/* Lays out what the tasks read, of some tokens, and clears what they add to. */
static void prepare(const struct backward *b, const float *dout, const void *out, const float *lse,
                    const void *qkv, size_t begin, size_t end)
{
    const struct attention_job *job = &b->job;
    const struct attention_shape *s = job->s;
    size_t head_dim = s->head_dim, width = job->stack * head_dim, real = job->typed->size;
    char *scratch = job->scratch;
    attention_pack(job, scratch + job->at.queries, qkv, job->ld, 0, job->stacks, width, begin, end);
    attention_pack(job, scratch + job->at.keys, qkv, job->ld, attention_key_column(s), s->kv_heads, head_dim,
                   begin, end);
    attention_pack(job, scratch + job->at.values, qkv, job->ld, attention_value_column(s), s->kv_heads,
                   head_dim, begin, end);
    for (size_t stack = 0; stack < job->stacks; stack++) {
        for (size_t token = begin; token < end; token++) {
            size_t at = (stack * job->n + token) * job->stack;
            size_t from = (token * s->heads + stack * job->stack) * head_dim;
            float *log_sums = (float *)(scratch + job->at.log_sums) + at;
            job->typed->attend_delta((float *)(scratch + job->at.delta) + at,
                                     scratch + job->at.douts + at * head_dim * real, dout + from,
                                     (const char *)out + from * real, job->stack, head_dim);
            for (size_t h = 0; h < job->stack; h++)
                log_sums[h] = lse[(stack * job->stack + h) * job->n + token] * LOG2_E;
        }
    }
    for (size_t token = begin; token < end; token++)
        memset(sums_at(b, token, 0), 0, job->columns * sizeof(float));
}

/* The task of a round that begins at this block of queries, for a key/value head and the stack of that number
 * among those that share it; false if there is none. */
static bool find_task(struct task *t, const struct attention_job *job, const struct attention_block *block,
                      size_t round, size_t kv_head, size_t number)
{
    size_t segments = (block->length + ATTENTION_SEGMENT - 1) / ATTENTION_SEGMENT;
    assert(segments > 0);
    size_t i = block->first / ATTENTION_SEGMENT, j = (round + segments - i) % segments;
    *t = (struct task){block, kv_head * (job->stacks / job->s->kv_heads) + number, i * ATTENTION_SEGMENT,
                       j * ATTENTION_SEGMENT};
    return block->first % ATTENTION_SEGMENT == 0 && round < segments && j <= i;
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

void attention_backward(void *dqkv, const float *dout, const void *out, const float *lse, const void *qkv,
                        size_t ld, const struct attention_shape *s, void *scratch)
{
    struct backward b;
    bool rounds = s->type != DTYPE_F32;
    attention_job_init(&b.job, ld, s, scratch);
    const struct attention_job *job = &b.job;
    b.sums = rounds ? (float *)(job->scratch + job->at.sums) : dqkv;
    b.ld = rounds ? job->columns : ld;
#pragma omp parallel
    {
#pragma omp for schedule(static)
        for (size_t begin = 0; begin < job->n; begin += ATTENTION_QUERIES)
            prepare(&b, dout, out, lse, qkv, begin, attention_min(job->n, begin + ATTENTION_QUERIES));
        run_rounds(&b);
#pragma omp for schedule(static)
        for (size_t token = 0; token < (rounds ? job->n : 0); token++)
            job->typed->from_f32_row((char *)dqkv + token * ld * job->typed->size, sums_at(&b, token, 0),
                                     job->columns);
    }
}
