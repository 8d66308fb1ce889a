#ifdef MPILORA_HAVE_ONEDNN

#include <dnnl.h>
#include <omp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gemm_backend.h"

/*
 * Products by oneDNN's matmul primitives. A primitive is machine code for one shape, 0.3 to 0.7 ms in the
 * making, so each thread keeps those that it used last, with all that a call needs: one that finds its
 * primitive allocates nothing. Attention's threads multiply at the same time, hence a cache for each, without
 * locks; the library's own, process-wide cache lets them share the code.
 */

enum { ENTRIES = 256, BUCKETS = 512, NONE = -1 };

/* What a primitive was made for. Members of four bytes: keys are compared and hashed as bytes. */
struct key {
    int32_t in, out, op_a, op_b, m, n, k, lda, ldb, ldc, threads;
    float alpha, beta;
};

struct entry {
    struct key key;
    uint64_t last_use;
    int next; /* in the same bucket, or NONE */
    dnnl_primitive_t primitive;
    dnnl_memory_t a, b, c, scratch;
};

struct cache {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    void *scratch; /* the largest that any primitive so far asked for */
    size_t scratch_bytes;
    uint64_t uses;
    int used;
    int buckets[BUCKETS];
    struct entry entries[ENTRIES];
};

static pthread_key_t at_thread_end;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Thread_local struct cache *cache_of_thread;

/* Arguments were checked: what is left is no memory, where OpenBLAS ends the process too. */
static void must(dnnl_status_t status, const char *what)
{
    if (status == dnnl_success)
        return;
    fprintf(stderr, "oneDNN: %s failed (status %d%s)\n", what, (int)status,
            status == dnnl_out_of_memory ? ", out of memory" : "");
    abort();
}

static void release_entry(struct entry *x)
{
    dnnl_primitive_destroy(x->primitive);
    dnnl_memory_destroy(x->a);
    dnnl_memory_destroy(x->b);
    dnnl_memory_destroy(x->c);
    dnnl_memory_destroy(x->scratch);
}

static void release_cache(void *context)
{
    struct cache *cache = context;
    for (int i = 0; i < cache->used; i++)
        release_entry(&cache->entries[i]);
    dnnl_stream_destroy(cache->stream);
    dnnl_engine_destroy(cache->engine);
    free(cache->scratch);
    free(cache);
    cache_of_thread = NULL;
}

static void make_thread_key(void)
{
    if (pthread_key_create(&at_thread_end, release_cache) != 0)
        must(dnnl_out_of_memory, "setting up a thread");
}

static struct cache *open_cache(void)
{
    struct cache *cache = calloc(1, sizeof *cache);
    pthread_once(&once, make_thread_key);
    if (!cache || pthread_setspecific(at_thread_end, cache) != 0)
        must(dnnl_out_of_memory, "setting up a thread");
    must(dnnl_engine_create(&cache->engine, dnnl_cpu, 0), "setting up a thread");
    must(dnnl_stream_create(&cache->stream, cache->engine, dnnl_stream_default_flags), "setting up a thread");
    for (int i = 0; i < BUCKETS; i++)
        cache->buckets[i] = NONE;
    return cache_of_thread = cache;
}

static int *bucket_of(struct cache *cache, const struct key *key)
{
    uint32_t words[sizeof *key / sizeof(uint32_t)];
    uint64_t hash = 0;
    memcpy(words, key, sizeof words);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        hash = (hash ^ words[i]) * 0x9e3779b97f4a7c15;
    return &cache->buckets[(hash >> 32) % BUCKETS];
}

static struct entry *find_entry(struct cache *cache, const struct key *key)
{
    for (int i = *bucket_of(cache, key); i != NONE; i = cache->entries[i].next)
        if (memcmp(&cache->entries[i].key, key, sizeof *key) == 0)
            return &cache->entries[i];
    return NULL;
}

/* A place for one more: a fresh one, or that of the entry that was not used for longest. */
static struct entry *free_entry(struct cache *cache)
{
    if (cache->used < ENTRIES)
        return &cache->entries[cache->used++];
    int oldest = 0;
    for (int i = 1; i < ENTRIES; i++)
        if (cache->entries[i].last_use < cache->entries[oldest].last_use)
            oldest = i;
    int *link = bucket_of(cache, &cache->entries[oldest].key);
    while (*link != oldest)
        link = &cache->entries[*link].next;
    *link = cache->entries[oldest].next;
    release_entry(&cache->entries[oldest]);
    return &cache->entries[oldest];
}

static dnnl_data_type_t data_type(int32_t type)
{
    return type == DTYPE_F32 ? dnnl_f32 : dnnl_bf16;
}

/* C = alpha * sum + beta * C */
static dnnl_primitive_attr_t make_attributes(const struct key *key)
{
    dnnl_primitive_attr_t attributes;
    dnnl_post_ops_t ops;
    must(dnnl_primitive_attr_create(&attributes), "creating attributes");
    must(dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user),
         "setting the scratchpad");
    must(dnnl_post_ops_create(&ops), "creating attributes");
    if (key->alpha != 1)
        must(dnnl_post_ops_append_eltwise(ops, 1, dnnl_eltwise_linear, key->alpha, 0), "setting alpha");
    if (key->beta != 0)
        must(dnnl_post_ops_append_sum(ops, key->beta), "setting beta");
    must(dnnl_primitive_attr_set_post_ops(attributes, ops), "setting attributes");
    dnnl_post_ops_destroy(ops);
    return attributes;
}

static void make_matrix(dnnl_memory_desc_t *matrix, int32_t type, int32_t rows, int32_t columns, int32_t ld,
                        int32_t op)
{
    const dnnl_dims_t sizes = {rows, columns};
    const dnnl_dims_t strides = {op == GEMM_T ? 1 : ld, op == GEMM_T ? ld : 1};
    must(dnnl_memory_desc_init_by_strides(matrix, 2, sizes, data_type(type), strides), "describing a matrix");
}

static void reserve_scratch(struct cache *cache, size_t bytes)
{
    if (bytes <= cache->scratch_bytes)
        return;
    free(cache->scratch);
    cache->scratch_bytes = (bytes + 4095) / 4096 * 4096;
    cache->scratch = aligned_alloc(4096, cache->scratch_bytes);
    if (!cache->scratch)
        must(dnnl_out_of_memory, "reserving scratch");
}

static struct entry *make_entry(struct cache *cache, const struct key *key)
{
    dnnl_memory_desc_t a, b, c;
    dnnl_matmul_desc_t product;
    dnnl_primitive_desc_t chosen;
    make_matrix(&a, key->in, key->m, key->k, key->lda, key->op_a);
    make_matrix(&b, key->in, key->k, key->n, key->ldb, key->op_b);
    make_matrix(&c, key->out, key->m, key->n, key->ldc, GEMM_N);
    dnnl_primitive_attr_t attributes = make_attributes(key);
    must(dnnl_matmul_desc_init(&product, &a, &b, NULL, &c), "describing a product");
    must(dnnl_primitive_desc_create(&chosen, &product, attributes, cache->engine, NULL), "choosing a kernel");

    struct entry *x = free_entry(cache);
    const dnnl_memory_desc_t *scratch = dnnl_primitive_desc_query_md(chosen, dnnl_query_scratchpad_md, 0);
    reserve_scratch(cache, dnnl_memory_desc_get_size(scratch));
    must(dnnl_primitive_create(&x->primitive, chosen), "making a kernel");
    must(dnnl_memory_create(&x->a, &a, cache->engine, DNNL_MEMORY_NONE), "making a kernel");
    must(dnnl_memory_create(&x->b, &b, cache->engine, DNNL_MEMORY_NONE), "making a kernel");
    must(dnnl_memory_create(&x->c, &c, cache->engine, DNNL_MEMORY_NONE), "making a kernel");
    must(dnnl_memory_create(&x->scratch, scratch, cache->engine, DNNL_MEMORY_NONE), "making a kernel");
    dnnl_primitive_desc_destroy(chosen);
    dnnl_primitive_attr_destroy(attributes);

    int *bucket = bucket_of(cache, key);
    x->key = *key;
    x->next = *bucket;
    *bucket = (int)(x - cache->entries);
    return x;
}

/* The library only reads A and B, but has one type for all its arguments. */
static void set_data(dnnl_memory_t memory, const void *data)
{
    union {
        const void *read;
        void *any;
    } pointer = {data};
    must(dnnl_memory_set_data_handle(memory, pointer.any), "passing a matrix");
}

static void multiply(const struct key *key, const void *a, const void *b, void *c)
{
    struct cache *cache = cache_of_thread ? cache_of_thread : open_cache();
    struct entry *x = find_entry(cache, key);
    if (!x)
        x = make_entry(cache, key);
    x->last_use = ++cache->uses;
    set_data(x->a, a);
    set_data(x->b, b);
    set_data(x->c, c);
    set_data(x->scratch, cache->scratch);
    const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_SRC, x->a},
                                         {DNNL_ARG_WEIGHTS, x->b},
                                         {DNNL_ARG_DST, x->c},
                                         {DNNL_ARG_SCRATCHPAD, x->scratch}};
    must(dnnl_primitive_execute(x->primitive, cache->stream, sizeof arguments / sizeof *arguments, arguments),
         "a product");
}

void gemm_onednn_matmul(enum dtype in, enum dtype out, enum gemm_op op_a, enum gemm_op op_b, size_t m,
                        size_t n, size_t k, float alpha, const void *a, size_t lda, const void *b, size_t ldb,
                        float beta, void *c, size_t ldc)
{
    /* A primitive splits its work when it is made, and must find as many threads when it runs. */
    int all = omp_get_max_threads();
    int threads = omp_in_parallel() || gemm_is_small(m, n, k) ? 1 : all;
    struct key key = {.in = (int32_t)in,
                      .out = (int32_t)out,
                      .op_a = (int32_t)op_a,
                      .op_b = (int32_t)op_b,
                      .m = (int32_t)m,
                      .n = (int32_t)n,
                      .k = (int32_t)k,
                      .lda = (int32_t)lda,
                      .ldb = (int32_t)ldb,
                      .ldc = (int32_t)ldc,
                      .threads = threads,
                      .alpha = alpha,
                      .beta = beta};
    if (threads != all)
        omp_set_num_threads(threads);
    multiply(&key, a, b, c);
    if (threads != all)
        omp_set_num_threads(all);
}

bool gemm_onednn_allows_bf16(void)
{
    return (dnnl_get_effective_cpu_isa() & dnnl_cpu_isa_avx512_core_bf16) == dnnl_cpu_isa_avx512_core_bf16;
}

#else
typedef int gemm_onednn_matmul_is_not_built; /* a file of C must not be empty */
#endif
