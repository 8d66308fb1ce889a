#include "attention_job.h"

#include <math.h>
#include <omp.h>
#include <string.h>

/* A thread's scratch for one block of queries. */
struct forward_task {
    void *block, *keys, *values; /* filled up */
    float *scores;               /* [rows, KEYS] */
    void *probs;                 /* the same in the type */
    float *out;                  /* [rows, head_dim] */
    float *max, *sum;            /* [rows] */
    void *columns, *value_lines; /* operands of tiles.h: the block's transpose, the values */
};

static struct forward_task forward_task_make(const struct attention_job *job)
{
    size_t real = job->typed->size, head_dim = job->s->head_dim, rows = job->rows;
    char *place = attention_job_scratch(job);
    struct forward_task t;
    t.block = attention_take(&place, rows * head_dim * real);
    t.keys = attention_take(&place, ATTENTION_KEYS * head_dim * real);
    t.values = attention_take(&place, ATTENTION_KEYS * head_dim * real);
    t.scores = attention_take(&place, rows * ATTENTION_KEYS * sizeof(float));
    t.probs = job->s->type == DTYPE_F32 ? t.scores : attention_take(&place, rows * ATTENTION_KEYS * real);
    t.out = attention_take(&place, rows * head_dim * sizeof(float));
    t.max = attention_take(&place, rows * sizeof(float));
    t.sum = attention_take(&place, rows * sizeof(float));
    t.columns = attention_take(&place, rows * head_dim * real);
    t.value_lines = attention_take(&place, ATTENTION_KEYS * head_dim * real);
    return t;
}

static void forward_store(void *out, float *lse, const struct attention_job *job,
                          const struct forward_task *t, const struct attention_block *block, size_t stack)
{
    const struct attention_shape *s = job->s;
    size_t head = stack * job->stack;
    for (size_t i = attention_first_own(block); i < attention_block_end(block); i++) {
        size_t row = (i - block->first) * job->stack, token = attention_token(block, i);
        char *to = (char *)out + (token * s->heads + head) * s->head_dim * job->typed->size;
        job->typed->attend_finish(to, t->out + row * s->head_dim, t->sum + row, job->stack, s->head_dim);
        for (size_t h = 0; h < job->stack; h++)
            lse[(head + h) * job->n + token] =
                (float)((double)t->max[row + h] * (double)s->scale + log((double)t->sum[row + h]));
    }
}

static void forward_tile(const struct forward_task *t, const struct attention_job *job, const void *k,
                         const void *v, const struct attend_tile *tile)
{
    const struct attention_shape *s = job->s;
    gemm_tile(s->type, GEMM_N, GEMM_T, job->rows, tile->keys, s->head_dim, t->block, k, 0, t->scores);
    attention_limit_rows(job, t->scores, tile);
    job->typed->attend_softmax(t->probs, t->scores, t->max, t->sum, t->out, s->head_dim, tile);
    gemm_tile(s->type, GEMM_N, GEMM_N, job->rows, s->head_dim, tile->keys, t->probs, v, 1, t->out);
}

static void forward_tile_by_parts(const struct forward_task *t, const struct attention_job *job,
                                  const void *k, const void *v, const struct attend_tile *tile, size_t rows)
{
    const struct tiles *tiles = job->tiles;
    size_t head_dim = job->s->head_dim, words = head_dim / tiles->word_elements;
    const struct tiles_left probs = {t->probs, 1, TILES_QUERIES};
    const uint32_t *lines = tiles->lines(t->value_lines, v, tile->keys, head_dim);
    for (size_t row = 0; row < rows; row += TILES_QUERIES) {
        size_t skipped;
        const struct tiles_part part = attention_part(&skipped, job, tile, row);
        const struct tiles_left keys = {(const uint32_t *)k + skipped * words, words, 1};
        float *out = t->out + row * head_dim;
        tiles->product(part.keys, TILES_QUERIES, words, keys, (const uint32_t *)t->columns + row, job->rows,
                       false, t->scores);
        attention_limit_part(job, t->scores, NULL, NULL, &part);
        tiles->softmax(t->probs, t->scores, t->max + row, t->sum + row, out, head_dim, &part);
        tiles->product(TILES_QUERIES, head_dim, part.keys / tiles->word_elements, probs,
                       lines + skipped / tiles->word_elements * head_dim, head_dim, true, out);
    }
}

static void forward_block(void *out, float *lse, const void *qkv, const struct attention_job *job,
                          const struct attention_block *block, size_t stack)
{
    const struct attention_shape *s = job->s;
    if (attention_first_own(block) == attention_block_end(block))
        return;
    struct forward_task t = forward_task_make(job);
    size_t head_dim = s->head_dim, row_bytes = head_dim * job->typed->size,
           block_bytes = job->stack * row_bytes;
    size_t queries = attention_block_end(block) - block->first;
    size_t kv_head = stack * job->stack / (s->heads / s->kv_heads);
    size_t example = kv_head * job->places + block->begin; /* its first row in keys and values */
    const char *keys = job->scratch + job->at.keys + example * row_bytes;
    const char *values = job->scratch + job->at.values + example * row_bytes;

    memset(t.block, 0, job->rows * row_bytes);
    for (size_t i = 0; i < queries; i++)
        memcpy((char *)t.block + i * block_bytes,
               (const char *)qkv + attention_token(block, block->first + i) * job->ld * job->typed->size +
                   stack * block_bytes,
               block_bytes);
    memset(t.out, 0, job->rows * head_dim * sizeof(float));
    memset(t.sum, 0, job->rows * sizeof(float));
    for (size_t i = 0; i < job->rows; i++)
        t.max[i] = -INFINITY;
    if (job->tiles)
        job->tiles->transpose(t.columns, t.block, job->rows, head_dim);

    size_t begin = attention_first_seen(job, block->first) / ATTENTION_QUERIES * ATTENTION_QUERIES;
    for (size_t end = block->first + ATTENTION_QUERIES; begin < end; begin += ATTENTION_KEYS) {
        size_t count = attention_min(ATTENTION_KEYS, end - begin);
        size_t valid = attention_min(count, block->length - begin);
        const struct attend_tile tile = {job->rows, count, job->stack, block->first - begin, s->scale};
        const void *k = attention_fill_up(t.keys, keys + begin * row_bytes, valid, count, row_bytes);
        const void *v = attention_fill_up(t.values, values + begin * row_bytes, valid, count, row_bytes);
        if (job->tiles)
            forward_tile_by_parts(&t, job, k, v, &tile, queries * job->stack);
        else
            forward_tile(&t, job, k, v, &tile);
    }
    forward_store(out, lse, job, &t, block, stack);
}

void attention_forward(void *out, float *lse, const void *qkv, size_t ld, const struct attention_shape *s,
                       void *scratch)
{
    struct attention_job job;
    attention_job_init(&job, ld, s, scratch);
#pragma omp parallel
    {
#pragma omp for schedule(static)
        for (size_t i = 0; i < job.count; i++) {
            attention_pack(&job, job.scratch + job.at.keys, qkv, ld, attention_key_column(s), s->kv_heads,
                           s->head_dim, &job.blocks[i]);
            attention_pack(&job, job.scratch + job.at.values, qkv, ld, attention_value_column(s), s->kv_heads,
                           s->head_dim, &job.blocks[i]);
        }
#pragma omp for schedule(dynamic)
        for (size_t task = 0; task < job.count * job.stacks; task++)
            forward_block(out, lse, qkv, &job, &job.blocks[task / job.stacks], task % job.stacks);
    }
}

void attention_decode(float *out, const float *q, const float *keys, const float *values, size_t count,
                      size_t capacity, const struct attention_shape *s)
{
    const struct kern *kern = s->kern ? s->kern : kern_for(cpu_isa_best());
    size_t group = s->heads / s->kv_heads, seen = s->window && s->window < count ? s->window : count;
#pragma omp parallel for schedule(static) if (seen * s->heads * s->head_dim >= 1 << 16)
    for (size_t head = 0; head < s->heads; head++) {
        size_t cache = (head / group * capacity + count - seen) * s->head_dim;
        kern->attend_one(out + head * s->head_dim, q + head * s->head_dim, keys + cache, values + cache, seen,
                         s->head_dim, s->scale, s->cap);
    }
}
