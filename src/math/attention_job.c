#include "attention_job.h"

#include <assert.h>
#include <math.h>
#include <omp.h>
#include <string.h>

enum { ALIGNMENT = 64, STACK_MAX = 4 };

static size_t align_up(size_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static size_t reserve(size_t *total, size_t bytes)
{
    size_t offset = *total;
    *total += align_up(bytes);
    return offset;
}

static size_t stack_of(const struct attention_shape *s)
{
    size_t group = s->heads / s->kv_heads, stack = group < STACK_MAX ? group : STACK_MAX;
    while (group % stack != 0)
        stack--;
    return stack;
}

static size_t real_size(const struct attention_shape *s)
{
    return s->type == DTYPE_F32 ? sizeof(float) : sizeof(uint16_t);
}

/* The larger of what a task of forward and one of backward take: see there. */
static size_t task_bytes(const struct attention_shape *s)
{
    size_t real = real_size(s), rows = ATTENTION_QUERIES * stack_of(s), hd = s->head_dim;
    size_t block = align_up(rows * hd * real), keys = align_up(ATTENTION_KEYS * hd * real);
    size_t row_floats = align_up(rows * sizeof(float)), out = align_up(rows * hd * sizeof(float));
    size_t scores = align_up(ATTENTION_KEYS * rows * sizeof(float));
    size_t probs = s->type == DTYPE_F32 ? 0 : align_up(ATTENTION_KEYS * rows * real);
    size_t key_sums = align_up(ATTENTION_KEYS * hd * sizeof(float));
    size_t forward = 2 * block + 3 * keys + scores + probs + out + 2 * row_floats;
    size_t backward = 6 * block + 2 * row_floats + 3 * keys + 2 * scores + 3 * probs + out + 2 * key_sums;
    return forward > backward ? forward : backward;
}

static struct attention_layout layout_make(const struct attention_shape *s, size_t tokens, size_t repeated,
                                           size_t longest, size_t threads)
{
    struct attention_layout l = {0};
    size_t real = real_size(s), places = tokens + repeated, width = places * s->head_dim;
    size_t columns = s->heads + 2 * s->kv_heads;
    bool apart = repeated > 0 || s->type != DTYPE_F32;
    l.blocks = reserve(&l.total, places * sizeof(struct attention_block));
    l.levels = reserve(&l.total, (longest / ATTENTION_QUERIES + 1) * sizeof(size_t));
    l.keys = reserve(&l.total, s->kv_heads * width * real);
    l.values = reserve(&l.total, s->kv_heads * width * real);
    l.queries = reserve(&l.total, s->heads * width * real);
    l.douts = reserve(&l.total, s->heads * width * real);
    l.log_sums = reserve(&l.total, s->heads * places * sizeof(float));
    l.delta = reserve(&l.total, s->heads * places * sizeof(float));
    l.sums = reserve(&l.total, apart ? columns * width * sizeof(float) : 0);
    l.per_thread = task_bytes(s);
    l.threads = reserve(&l.total, threads * l.per_thread);
    return l;
}

size_t attention_scratch_bytes(const struct attention_shape *s, size_t tokens, size_t repeated, size_t longest,
                               int threads)
{
    return layout_make(s, tokens, repeated, longest, (size_t)threads).total;
}

/* The block of an example's first queries; `last` is that of the example before it. */
static struct attention_block next_example(const struct attention_block *last, const struct attention_shape *s,
                                           size_t example)
{
    uint32_t prefix = attention_prefix(s, example), own = s->offsets[example];
    return (struct attention_block){.begin = last->begin + last->length,
                                    .length = prefix + s->offsets[example + 1] - own,
                                    .prefix = prefix,
                                    .source = prefix ? last->source : own,
                                    .own = own};
}

/* Lists the blocks of all examples by the number of their keys, most first: a counting sort. */
static size_t list_blocks(struct attention_block *blocks, size_t *levels, size_t longest,
                          const struct attention_shape *s)
{
    size_t top = attention_whole(longest) / ATTENTION_QUERIES, count = 0;
    struct attention_block block = {0};
    memset(levels, 0, top * sizeof *levels);
    for (size_t e = 0; e < s->examples; e++) {
        block = next_example(&block, s, e);
        for (size_t first = 0; first < block.length; first += ATTENTION_QUERIES)
            levels[first / ATTENTION_QUERIES]++;
    }
    for (size_t level = top; level-- > 0;) { /* how many -> where they begin */
        size_t here = levels[level];
        levels[level] = count;
        count += here;
    }
    block = (struct attention_block){0};
    for (size_t e = 0; e < s->examples; e++) {
        block = next_example(&block, s, e);
        for (; block.first < block.length; block.first += ATTENTION_QUERIES)
            blocks[levels[block.first / ATTENTION_QUERIES]++] = block;
    }
    return count;
}

void attention_job_init(struct attention_job *job, size_t ld, const struct attention_shape *s, void *scratch)
{
    assert(s->heads % s->kv_heads == 0 && (uintptr_t)scratch % ALIGNMENT == 0);
    assert(s->type == DTYPE_F32 || s->type == DTYPE_BF16);
    size_t n = s->offsets[s->examples], repeated = 0, longest = 0, stack = stack_of(s);
    for (size_t e = 0; e < s->examples; e++) {
        size_t prefix = attention_prefix(s, e), length = prefix + s->offsets[e + 1] - s->offsets[e];
        longest = length > longest ? length : longest;
        repeated += prefix;
    }
    *job = (struct attention_job){.s = s,
                                  .kern = s->kern ? s->kern : kern_for(cpu_isa_best()),
                                  .n = n,
                                  .places = n + repeated,
                                  .ld = ld,
                                  .stack = stack,
                                  .rows = stack * ATTENTION_QUERIES,
                                  .stacks = s->heads / stack,
                                  .columns = (s->heads + 2 * s->kv_heads) * s->head_dim,
                                  .window = s->window ? s->window : SIZE_MAX,
                                  .at = layout_make(s, n, repeated, longest, (size_t)omp_get_max_threads()),
                                  .scratch = scratch};
    job->typed = kern_typed(job->kern, s->type);
    job->tiles = tiles_for(job->kern, s->type);
    if (job->tiles && s->head_dim % (TILES_LINE * job->tiles->word_elements) != 0)
        job->tiles = NULL;
    struct attention_block *blocks = (struct attention_block *)(job->scratch + job->at.blocks);
    job->count = list_blocks(blocks, (size_t *)(job->scratch + job->at.levels), longest, s);
    job->blocks = blocks;
}

void attention_limit_rows(const struct attention_job *job, float *scores, const struct attend_tile *tile)
{
    float cap = job->s->cap;
    if (cap > 0)
        job->kern->softcap(scores, NULL, NULL, tile->queries, tile->keys, tile->scale / cap, cap / tile->scale);
    for (size_t i = 0; i < tile->queries && job->window < SIZE_MAX; i++) {
        size_t unseen = attention_min(tile->keys, attention_first_seen(job, tile->first + i / tile->heads));
        for (size_t key = 0; key < unseen; key++)
            scores[i * tile->keys + key] = -INFINITY;
    }
}

void attention_limit_columns(const struct attention_job *job, float *scores, float *dprobs, const float *delta,
                             const struct attend_tile *tile, size_t row)
{
    size_t columns = tile->queries;
    float cap = job->s->cap;
    if (cap > 0)
        job->kern->softcap(scores, dprobs, delta, tile->keys, columns, tile->scale / cap, cap / tile->scale);
    for (size_t key = 0; key < tile->keys && job->window < SIZE_MAX; key++) {
        size_t end = key + job->window; /* the first query that does not see it any more */
        size_t seen = end < tile->first ? 0 : (end - tile->first) * tile->heads;
        for (size_t i = seen < row ? 0 : seen - row; i < columns; i++)
            scores[key * columns + i] = -INFINITY;
    }
}

void *attention_job_scratch(const struct attention_job *job)
{
    return job->scratch + job->at.threads + (size_t)omp_get_thread_num() * job->at.per_thread;
}

void *attention_take(char **place, size_t bytes)
{
    void *taken = *place;
    *place += align_up(bytes);
    return taken;
}

void attention_pack(const struct attention_job *job, void *matrices, const void *src, size_t ld, size_t column,
                    size_t count, size_t width, const struct attention_block *block)
{
    size_t real = job->typed->size, end = attention_block_end(block);
    for (size_t matrix = 0; matrix < count; matrix++)
        for (size_t place = block->first; place < end; place++)
            memcpy((char *)matrices + (matrix * job->places + block->begin + place) * width * real,
                   (const char *)src + (attention_token(block, place) * ld + column + matrix * width) * real,
                   width * real);
}

const void *attention_fill_up(void *place, const void *src, size_t valid, size_t rows, size_t width)
{
    if (valid == rows)
        return src;
    memcpy(place, src, valid * width);
    memset((char *)place + valid * width, 0, (rows - valid) * width);
    return place;
}
