/*
 * A task is one head of one block of queries (forward) or of one example (backward). Its matrix products run
 * on the thread that has the task, and their shapes depend on the example alone: so do the bits of the
 * result.
 *
 *            keys of the example
 *          0      BLOCK    2 BLOCK
 *        0 +--------.
 *          |  \     |                  block 0: BLOCK x BLOCK scores
 *  queries +--------+--------.
 *          |        |  \     |         block 1: BLOCK x 2 BLOCK scores; right of the diagonal they become 0
 *          +--------+--------+
 */
#include "math/attention.h"

#include <assert.h>
#include <omp.h>

#include "math/gemm.h"
#include "math/kern.h"

enum { BLOCK = 64, ALIGNMENT = 64 };

struct block {
    uint32_t begin; /* first token of the example */
    uint32_t first; /* first query, counted from there */
    uint32_t rows;
};

/* Byte offsets of the parts of the scratch. */
struct layout {
    size_t blocks;         /* struct block [at most tokens] */
    size_t dkeys, dvalues; /* [H, tokens, head_dim] each: of the query heads, before each group is added up */
    size_t threads; /* [threads] of `per_thread` bytes: two matrices of `matrix` floats, then delta[BLOCK] */
    size_t matrix, per_thread;
    size_t total;
};

/* What the tasks of one call share. */
struct job {
    const struct attention_shape *s;
    const struct kern *kern;
    const float *qkv;
    size_t n, ld;
    struct layout layout;
    char *scratch;
};

static size_t align_up(size_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* Row stride of a matrix of `cols` scores. The extra columns keep rows off the same cache set. */
static size_t score_stride(size_t cols)
{
    return (cols + 15) / 16 * 16 + 16;
}

static struct layout layout_make(const struct attention_shape *s, size_t tokens, size_t longest,
                                 size_t threads)
{
    struct layout l;
    size_t gradient = align_up(s->heads * tokens * s->head_dim * sizeof(float));
    l.matrix = BLOCK * score_stride(longest);
    l.per_thread = (2 * l.matrix + BLOCK) * sizeof(float);
    l.blocks = 0;
    l.dkeys = align_up(tokens * sizeof(struct block));
    l.dvalues = l.dkeys + gradient;
    l.threads = l.dvalues + gradient;
    l.total = l.threads + threads * l.per_thread;
    return l;
}

size_t attention_scratch_bytes(const struct attention_shape *s, size_t tokens, size_t longest, int threads)
{
    return layout_make(s, tokens, longest, (size_t)threads).total;
}

static struct job job_make(const float *qkv, size_t ld, const struct attention_shape *s, void *scratch)
{
    assert(s->heads % s->kv_heads == 0 && (uintptr_t)scratch % ALIGNMENT == 0);
    size_t n = s->offsets[s->examples], longest = 0;
    for (size_t e = 0; e < s->examples; e++) {
        size_t length = s->offsets[e + 1] - s->offsets[e];
        longest = length > longest ? length : longest;
    }
    return (struct job){.s = s,
                        .kern = s->kern ? s->kern : kern_for(cpu_isa_best()),
                        .qkv = qkv,
                        .n = n,
                        .ld = ld,
                        .layout = layout_make(s, n, longest, (size_t)omp_get_max_threads()),
                        .scratch = scratch};
}

/* Lists the blocks of queries of all examples; returns their number. */
static size_t list_blocks(struct block *blocks, const struct attention_shape *s)
{
    size_t count = 0;
    for (size_t e = 0; e < s->examples; e++) {
        uint32_t begin = s->offsets[e], length = s->offsets[e + 1] - begin;
        for (uint32_t first = 0; first < length; first += BLOCK) {
            uint32_t rows = length - first < BLOCK ? length - first : BLOCK;
            blocks[count++] = (struct block){begin, first, rows};
        }
    }
    return count;
}

static float *thread_scratch(const struct job *job)
{
    return (float *)(job->scratch + job->layout.threads +
                     (size_t)omp_get_thread_num() * job->layout.per_thread);
}

/* Columns of q, and of the k and v that it reads, in a row of qkv. */
static size_t query_column(const struct attention_shape *s, size_t head)
{
    return head * s->head_dim;
}

static size_t key_column(const struct attention_shape *s, size_t head)
{
    return (s->heads + head / (s->heads / s->kv_heads)) * s->head_dim;
}

static size_t value_column(const struct attention_shape *s, size_t head)
{
    return key_column(s, head) + s->kv_heads * s->head_dim;
}

static void forward_block(float *out, float *lse, const struct job *job, const struct block *block,
                          size_t head)
{
    const struct attention_shape *s = job->s;
    const float *rows = job->qkv + block->begin * job->ld;
    const float *q = rows + block->first * job->ld + query_column(s, head);
    const float *k = rows + key_column(s, head), *v = rows + value_column(s, head);
    size_t cols = block->first + block->rows, stride = score_stride(cols), width = s->heads * s->head_dim;
    size_t token = block->begin + block->first;
    float *scores = thread_scratch(job);

    gemm_f32(GEMM_N, GEMM_T, block->rows, cols, s->head_dim, 1, q, job->ld, k, job->ld, 0, scores, stride);
    job->kern->softmax_causal(scores, stride, lse + head * job->n + token, block->rows, block->first,
                              s->scale);
    gemm_f32(GEMM_N, GEMM_N, block->rows, s->head_dim, cols, 1, scores, stride, v, job->ld, 0,
             out + token * width + query_column(s, head), width);
}

void attention_forward(float *out, float *lse, const float *qkv, size_t ld, const struct attention_shape *s,
                       void *scratch)
{
    struct job job = job_make(qkv, ld, s, scratch);
    struct block *blocks = (struct block *)(job.scratch + job.layout.blocks);
    size_t tasks = list_blocks(blocks, s) * s->heads;
    /* the last blocks of an example are the largest: they go first */
#pragma omp parallel for schedule(dynamic)
    for (size_t task = 0; task < tasks; task++)
        forward_block(out, lse, &job, &blocks[(tasks - 1 - task) / s->heads], task % s->heads);
}

/* The part of one head of one block: dq of its queries, and what they add to the head's dk and dv. `before`
 * is 0 for the block that comes first. */
static void backward_block(float *dq, float *dk, float *dv, float before, const float *dout, const float *out,
                           const float *lse, const struct job *job, const struct block *block, size_t head)
{
    const struct attention_shape *s = job->s;
    size_t hd = s->head_dim, ld = job->ld, width = s->heads * hd, n_rows = block->rows;
    size_t cols = block->first + n_rows, stride = score_stride(cols);
    const float *rows = job->qkv + block->begin * ld, *q = rows + block->first * ld + query_column(s, head);
    const float *k = rows + key_column(s, head), *v = rows + value_column(s, head);
    float *scores = thread_scratch(job), *dprobs = scores + job->layout.matrix;
    float *delta = dprobs + job->layout.matrix;

    gemm_f32(GEMM_N, GEMM_T, n_rows, cols, hd, 1, q, ld, k, ld, 0, scores, stride);
    gemm_f32(GEMM_N, GEMM_T, n_rows, cols, hd, 1, dout, width, v, ld, 0, dprobs, stride);
    job->kern->row_dots(delta, dout, width, out, width, n_rows, hd);
    job->kern->softmax_causal_backward(scores, dprobs, stride, lse, delta, n_rows, block->first, s->scale);
    gemm_f32(GEMM_N, GEMM_N, n_rows, hd, cols, 1, dprobs, stride, k, ld, 0, dq, ld);
    gemm_f32(GEMM_T, GEMM_N, cols, hd, n_rows, 1, dprobs, stride, q, ld, before, dk, hd);
    gemm_f32(GEMM_T, GEMM_N, cols, hd, n_rows, 1, scores, stride, dout, width, before, dv, hd);
}

/* One head of one example, from its last block back: that one reaches all keys and so sets dk and dv. */
static void backward_head(float *dqkv, const float *dout, const float *out, const float *lse,
                          const struct job *job, size_t example, size_t head)
{
    const struct attention_shape *s = job->s;
    uint32_t begin = s->offsets[example], length = s->offsets[example + 1] - begin;
    size_t width = s->heads * s->head_dim, own = (head * job->n + begin) * s->head_dim;
    float *dk = (float *)(job->scratch + job->layout.dkeys) + own;
    float *dv = (float *)(job->scratch + job->layout.dvalues) + own;
    for (uint32_t end = length; end > 0;) {
        uint32_t first = (end - 1) / BLOCK * BLOCK;
        struct block block = {begin, first, end - first};
        size_t token = begin + first, column = query_column(s, head);
        backward_block(dqkv + token * job->ld + column, dk, dv, end == length ? 0 : 1,
                       dout + token * width + column, out + token * width + column,
                       lse + head * job->n + token, job, &block, head);
        end = first;
    }
}

/* dst[head_dim] = sum of a token's dk (or dv) over the query heads of a group */
static void sum_group(float *dst, const float *src, size_t head_stride, size_t group, size_t head_dim)
{
    for (size_t i = 0; i < head_dim; i++)
        dst[i] = src[i];
    for (size_t h = 1; h < group; h++)
        for (size_t i = 0; i < head_dim; i++)
            dst[i] += src[h * head_stride + i];
}

void attention_backward(float *dqkv, const float *dout, const float *out, const float *lse, const float *qkv,
                        size_t ld, const struct attention_shape *s, void *scratch)
{
    struct job job = job_make(qkv, ld, s, scratch);
    size_t group = s->heads / s->kv_heads, head_stride = job.n * s->head_dim;
    const float *dkeys = (const float *)(job.scratch + job.layout.dkeys);
    const float *dvalues = (const float *)(job.scratch + job.layout.dvalues);
#pragma omp parallel
    {
#pragma omp for schedule(dynamic) collapse(2)
        for (size_t example = 0; example < s->examples; example++)
            for (size_t head = 0; head < s->heads; head++)
                backward_head(dqkv, dout, out, lse, &job, example, head);
#pragma omp for schedule(static)
        for (size_t token = 0; token < job.n; token++) {
            for (size_t head = 0; head < s->heads; head += group) {
                size_t own = head * head_stride + token * s->head_dim;
                float *row = dqkv + token * ld;
                sum_group(row + key_column(s, head), dkeys + own, head_stride, group, s->head_dim);
                sum_group(row + value_column(s, head), dvalues + own, head_stride, group, s->head_dim);
            }
        }
    }
}

void attention_decode(float *out, const float *q, const float *keys, const float *values, size_t count,
                      size_t capacity, const struct attention_shape *s)
{
    const struct kern *kern = s->kern ? s->kern : kern_for(cpu_isa_best());
    size_t group = s->heads / s->kv_heads;
#pragma omp parallel for schedule(static) if (count * s->heads * s->head_dim >= 1 << 16)
    for (size_t head = 0; head < s->heads; head++) {
        size_t cache = head / group * capacity * s->head_dim;
        kern->attend_one(out + head * s->head_dim, q + head * s->head_dim, keys + cache, values + cache,
                         count, s->head_dim, s->scale);
    }
}
