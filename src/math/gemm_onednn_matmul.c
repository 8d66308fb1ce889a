#ifdef MPILORA_HAVE_ONEDNN

#include <dnnl.h>
#include <omp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gemm_backend.h"
#include "gemm_onednn.h"

/*
 * A primitive is machine code for one shape, so each thread keeps those that it used last, with all that a
 * call needs. A cache for each thread, since attention's threads multiply at the same time; they share the
 * code through the library's own cache.
 */

enum { ENTRIES = 512, BUCKETS = 1024, NONE = -1 };
/* Bytes of scratch that serve all but very large products. Tasks go to any thread: one that met its first
 * large product late would allocate in the middle of a run. */
enum { ENOUGH = 2 << 20 };

#if DNNL_VERSION_MAJOR >= 3
typedef const_dnnl_memory_desc_t matrix_shape;
#else
typedef const dnnl_memory_desc_t *matrix_shape;
#endif

struct entry {
    struct gemm_product product;
    uint64_t last_use;
    int next; /* in the same bucket, or NONE */
    dnnl_primitive_t primitive;
    dnnl_memory_t a, b, c, scratch;
};

struct buffer {
    void *data;
    size_t bytes;
};

struct cache {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    struct buffer scratch; /* the largest that any primitive so far asked for */
    struct buffer room;
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
    free(cache->scratch.data);
    free(cache->room.data);
    free(cache);
    cache_of_thread = NULL;
}

static void make_thread_key(void)
{
    if (pthread_key_create(&at_thread_end, release_cache) != 0)
        must(dnnl_out_of_memory, "setting up a thread");
}

static void reserve(struct buffer *buffer, size_t bytes)
{
    if (bytes <= buffer->bytes)
        return;
    free(buffer->data);
    buffer->bytes = (bytes + 4095) / 4096 * 4096;
    buffer->data = aligned_alloc(4096, buffer->bytes);
    if (!buffer->data)
        must(dnnl_out_of_memory, "reserving scratch");
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
    reserve(&cache->scratch, ENOUGH);
    reserve(&cache->room, ENOUGH);
    return cache_of_thread = cache;
}

static int *bucket_of(struct cache *cache, const struct gemm_product *p)
{
    uint32_t words[sizeof *p / sizeof(uint32_t)];
    uint64_t hash = 0;
    memcpy(words, p, sizeof words);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        hash = (hash ^ words[i]) * 0x9e3779b97f4a7c15;
    return &cache->buckets[(hash >> 32) % BUCKETS];
}

static struct entry *find_entry(struct cache *cache, const struct gemm_product *p)
{
    for (int i = *bucket_of(cache, p); i != NONE; i = cache->entries[i].next)
        if (memcmp(&cache->entries[i].product, p, sizeof *p) == 0) /* NOLINT: the bits that were hashed */
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
    int *link = bucket_of(cache, &cache->entries[oldest].product);
    while (*link != oldest)
        link = &cache->entries[*link].next;
    *link = cache->entries[oldest].next;
    release_entry(&cache->entries[oldest]);
    return &cache->entries[oldest];
}

/* C = alpha * sum + beta * C */
static dnnl_primitive_attr_t make_attributes(const struct gemm_product *p)
{
    dnnl_primitive_attr_t attributes;
    dnnl_post_ops_t ops;
    must(dnnl_primitive_attr_create(&attributes), "setting up a product");
    must(dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user),
         "setting up a product");
    must(dnnl_post_ops_create(&ops), "setting up a product");
#if DNNL_VERSION_MAJOR >= 3
    if (p->alpha != 1)
        must(dnnl_post_ops_append_eltwise(ops, dnnl_eltwise_linear, p->alpha, 0), "setting alpha");
    if (p->beta != 0)
        must(dnnl_post_ops_append_sum(ops, p->beta, 0, dnnl_data_type_undef), "setting beta");
#else
    if (p->alpha != 1)
        must(dnnl_post_ops_append_eltwise(ops, 1, dnnl_eltwise_linear, p->alpha, 0), "setting alpha");
    if (p->beta != 0)
        must(dnnl_post_ops_append_sum(ops, p->beta), "setting beta");
#endif
    must(dnnl_primitive_attr_set_post_ops(attributes, ops), "setting up a product");
    dnnl_post_ops_destroy(ops);
    return attributes;
}

static dnnl_memory_t make_matrix(dnnl_engine_t engine, int32_t type, int32_t rows, int32_t columns,
                                 int32_t ld, int32_t op)
{
    const dnnl_dims_t sizes = {rows, columns};
    const dnnl_dims_t strides = {op == GEMM_T ? 1 : ld, op == GEMM_T ? ld : 1};
    dnnl_data_type_t element = type == DTYPE_F32 ? dnnl_f32 : dnnl_bf16;
    dnnl_memory_desc_t shape;
    dnnl_memory_t matrix;
#if DNNL_VERSION_MAJOR >= 3
    must(dnnl_memory_desc_create_with_strides(&shape, 2, sizes, element, strides), "describing a matrix");
    must(dnnl_memory_create(&matrix, shape, engine, DNNL_MEMORY_NONE), "describing a matrix");
    dnnl_memory_desc_destroy(shape);
#else
    must(dnnl_memory_desc_init_by_strides(&shape, 2, sizes, element, strides), "describing a matrix");
    must(dnnl_memory_create(&matrix, &shape, engine, DNNL_MEMORY_NONE), "describing a matrix");
#endif
    return matrix;
}

static matrix_shape shape_of(dnnl_memory_t matrix)
{
    matrix_shape shape;
    must(dnnl_memory_get_memory_desc(matrix, &shape), "describing a matrix");
    return shape;
}

static dnnl_primitive_desc_t choose_kernel(const struct entry *x, dnnl_primitive_attr_t attributes,
                                           dnnl_engine_t engine)
{
    dnnl_primitive_desc_t kernel;
#if DNNL_VERSION_MAJOR >= 3
    must(dnnl_matmul_primitive_desc_create(&kernel, engine, shape_of(x->a), shape_of(x->b), NULL,
                                           shape_of(x->c), attributes),
         "choosing a kernel");
#else
    dnnl_matmul_desc_t product;
    must(dnnl_matmul_desc_init(&product, shape_of(x->a), shape_of(x->b), NULL, shape_of(x->c)),
         "describing a product");
    must(dnnl_primitive_desc_create(&kernel, &product, attributes, engine, NULL), "choosing a kernel");
#endif
    return kernel;
}

static struct entry *make_entry(struct cache *cache, const struct gemm_product *p)
{
    struct entry *x = free_entry(cache);
    x->product = *p;
    x->a = make_matrix(cache->engine, p->in, p->m, p->k, p->lda, p->op_a);
    x->b = make_matrix(cache->engine, p->in, p->k, p->n, p->ldb, p->op_b);
    x->c = make_matrix(cache->engine, p->out, p->m, p->n, p->ldc, GEMM_N);
    dnnl_primitive_attr_t attributes = make_attributes(p);
    dnnl_primitive_desc_t kernel = choose_kernel(x, attributes, cache->engine);
    matrix_shape scratch = dnnl_primitive_desc_query_md(kernel, dnnl_query_scratchpad_md, 0);
    must(dnnl_memory_create(&x->scratch, scratch, cache->engine, DNNL_MEMORY_NONE), "reserving scratch");
    reserve(&cache->scratch, dnnl_memory_desc_get_size(scratch));
    must(dnnl_primitive_create(&x->primitive, kernel), "making a kernel");
    dnnl_primitive_desc_destroy(kernel);
    dnnl_primitive_attr_destroy(attributes);
    int *bucket = bucket_of(cache, p);
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

void gemm_onednn_set_threads(int threads)
{
#pragma omp parallel num_threads(threads)
    if (!cache_of_thread)
        open_cache();
}

void gemm_onednn_multiply(const struct gemm_product *p, const void *a, const void *b, void *c)
{
    int threads = omp_get_max_threads();
    omp_set_num_threads(1); /* for which primitives are made, and with which they must run */
    struct cache *cache = cache_of_thread ? cache_of_thread : open_cache();
    struct entry *x = find_entry(cache, p);
    if (!x)
        x = make_entry(cache, p);
    x->last_use = ++cache->uses;
    set_data(x->a, a);
    set_data(x->b, b);
    set_data(x->c, c);
    set_data(x->scratch, cache->scratch.data);
    const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_SRC, x->a},
                                         {DNNL_ARG_WEIGHTS, x->b},
                                         {DNNL_ARG_DST, x->c},
                                         {DNNL_ARG_SCRATCHPAD, x->scratch}};
    must(dnnl_primitive_execute(x->primitive, cache->stream, sizeof arguments / sizeof *arguments, arguments),
         "a product");
    omp_set_num_threads(threads);
}

float *gemm_onednn_room(size_t count)
{
    struct cache *cache = cache_of_thread ? cache_of_thread : open_cache();
    reserve(&cache->room, count * sizeof(float));
    return cache->room.data;
}

bool gemm_onednn_has_avx512(void)
{
    return (dnnl_get_effective_cpu_isa() & dnnl_cpu_isa_avx512_core) == dnnl_cpu_isa_avx512_core;
}

bool gemm_onednn_allows_bf16(void)
{
    return (dnnl_get_effective_cpu_isa() & dnnl_cpu_isa_avx512_core_bf16) == dnnl_cpu_isa_avx512_core_bf16;
}

#else
typedef int gemm_onednn_matmul_is_not_built; /* a file of C must not be empty */
#endif
