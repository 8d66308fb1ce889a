#ifdef MPILORA_HAVE_ONEDNN

#include <assert.h>
#include <dnnl.h>
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gemm_backend.h"
#include "gemm_onednn.h"

/*
 * Primitives run on one thread each, and C is cut into parts for the threads here, since the library leaves
 * threads idle on products with a short side. bf16, 2 threads of an EPYC of family 25 model 17, GFLOPS with
 * the library's threads | in parts | turned as well (below):
 *
 *     dy B      2048 x 16 x 1536  341 | 383        z B^T   2048 x 1536 x 16   338 | 351
 *     dz^T x    16 x 1536 x 2048  226 | 282        dy^T z  576 x 16 x 2048    133 | 201 | 260
 *     x A^T     2048 x 48 x 576   353 | 386        dy W    2048 x 1536 x 576  373 | 382
 *
 * Into how many parts depends on the product, not on the threads: the library chooses by a matrix's
 * sizes how many terms it adds up before it adds them to the rest (512 and then 64 of 576, or all of them),
 * so that other parts would have other bits. Parts begin at multiples of GRAIN, so that no cache line of C
 * has two writers. Larger ones than these gain little (of a step's products of 1,024 rows: within 2 %), and
 * so there are enough for the threads that a rank usually has. For more than MANY_THREADS they are halved,
 * and again for each doubling of the threads: there speed is worth more than their bits. To fetch and lay out
 * an element of A or B costs about as much as LAYOUT_COST multiplications; a part is worth LEAST_COST of
 * them.
 */
enum {
    GRAIN = 32,
    MOST_ROWS = 256,
    MOST_COLUMNS = 288,
    MANY_THREADS = 8,
    LAYOUT_COST = 32,
    LEAST_COST = 1 << 22
};

static int32_t ceil_div(int32_t x, int32_t y)
{
    return x / y + (x % y != 0);
}

static int32_t part_size(int32_t size, int32_t parts)
{
    return ceil_div(ceil_div(size, parts), GRAIN) * GRAIN;
}

/* In how many bands of rows to cut C, and each into how many blocks of columns: an even number if it is cut
 * at all, as two threads are the most common. */
static void choose_parts(const struct gemm_product *p, int threads, int32_t *bands, int32_t *columns)
{
    assert(p->m > 0 && p->n > 0);
    double m = p->m, n = p->n, k = p->k;
    double most = (m * n + LAYOUT_COST * (m + n)) * k / LEAST_COST;
    int32_t part_rows = p->m < MOST_ROWS ? p->m : MOST_ROWS;
    int32_t part_columns = p->n < MOST_COLUMNS ? p->n : MOST_COLUMNS;
    for (int served = MANY_THREADS; served < threads && part_rows + part_columns > 2 * GRAIN; served *= 2)
        *(part_rows > part_columns ? &part_rows : &part_columns) /= 2;
    *bands = ceil_div(p->m, part_rows);
    *columns = ceil_div(p->n, part_columns);
    if (*bands * *columns > 1 && *bands % 2 != 0 && *columns % 2 != 0)
        ++*(p->m / *bands > p->n / *columns ? bands : columns);
    while ((double)*bands * *columns > most && *bands * *columns > 1)
        --*(*bands > *columns ? bands : columns);
}

static float load(int32_t type, const void *x, size_t i)
{
    return type == DTYPE_F32 ? ((const float *)x)[i] : dtype_bf16_to_f32(((const uint16_t *)x)[i]);
}

static void store(int32_t type, void *x, size_t i, float value)
{
    if (type == DTYPE_F32)
        ((float *)x)[i] = value;
    else
        ((uint16_t *)x)[i] = dtype_f32_to_bf16(value);
}

/* A^T B with a long A and a short B, such as dy^T z of LoRA, is faster as the transpose of B^T A, which lays
 * out the longer matrix in the cheaper way. */
static bool is_better_turned(const struct gemm_product *p)
{
    return p->op_a == GEMM_T && p->op_b == GEMM_N && p->n <= 64 && p->n <= p->m / 4;
}

static void multiply_turned(const struct gemm_product *p, const void *a, const void *b, void *c)
{
    struct gemm_product turned = *p;
    size_t m = (size_t)p->m, n = (size_t)p->n;
    float *room = gemm_onednn_room(m * n);
    turned.out = DTYPE_F32;
    turned.m = p->n;
    turned.n = p->m;
    turned.lda = p->ldb;
    turned.ldb = p->lda;
    turned.ldc = p->m;
    turned.alpha = 1;
    turned.beta = 0;
    gemm_onednn_multiply(&turned, b, a, room);
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j++) {
            size_t x = i * (size_t)p->ldc + j;
            float kept = p->beta != 0 ? p->beta * load(p->out, c, x) : 0;
            store(p->out, c, x, p->alpha * room[j * m + i] + kept);
        }
    }
}

static void multiply_part(const struct gemm_product *p, const void *a, const void *b, void *c)
{
    if (is_better_turned(p))
        multiply_turned(p, a, b, c);
    else
        gemm_onednn_multiply(p, a, b, c);
}

static size_t element_bytes(int32_t type)
{
    return dtype_info((enum dtype)type)->block_bytes;
}

typedef void part_function(const struct gemm_product *p, const void *a, const void *b, void *c);

/* The part of C that begins at (row, column), as large as `part` or up to C's end. */
static void multiply_at(struct gemm_product part, const struct gemm_product *whole, int32_t row,
                        int32_t column, const char *a, const char *b, char *c, part_function *multiply)
{
    if (row >= whole->m || column >= whole->n)
        return;
    part.m = part.m < whole->m - row ? part.m : whole->m - row;
    part.n = part.n < whole->n - column ? part.n : whole->n - column;
    size_t in = element_bytes(whole->in), out = element_bytes(whole->out), i = (size_t)row,
           j = (size_t)column;
    multiply(&part, a + i * (whole->op_a == GEMM_N ? (size_t)whole->lda : 1) * in,
             b + j * (whole->op_b == GEMM_N ? 1 : (size_t)whole->ldb) * in,
             c + (i * (size_t)whole->ldc + j) * out);
}

static void multiply_in_parts(const struct gemm_product *p, const void *a, const void *b, void *c,
                              part_function *multiply)
{
    struct gemm_product part = *p;
    int32_t bands, columns;
    choose_parts(p, omp_get_max_threads(), &bands, &columns);
    part.m = part_size(p->m, bands);
    part.n = part_size(p->n, columns);
#pragma omp parallel for schedule(static) if (bands * columns > 1 && !omp_in_parallel())
    for (int32_t i = 0; i < bands * columns; i++)
        multiply_at(part, p, i / columns * part.m, i % columns * part.n, a, b, c, multiply);
}

static struct gemm_product make_product(enum dtype in, enum dtype out, enum gemm_op op_a, enum gemm_op op_b,
                                        size_t m, size_t n, size_t k, float alpha, size_t lda, size_t ldb,
                                        float beta, size_t ldc)
{
    return (struct gemm_product){.in = (int32_t)in,
                                 .out = (int32_t)out,
                                 .op_a = (int32_t)op_a,
                                 .op_b = (int32_t)op_b,
                                 .m = (int32_t)m,
                                 .n = (int32_t)n,
                                 .k = (int32_t)k,
                                 .lda = (int32_t)lda,
                                 .ldb = (int32_t)ldb,
                                 .ldc = (int32_t)ldc,
                                 .alpha = alpha,
                                 .beta = beta};
}

void gemm_onednn_matmul(enum dtype in, enum dtype out, enum gemm_op op_a, enum gemm_op op_b, size_t m,
                        size_t n, size_t k, float alpha, const void *a, size_t lda, const void *b, size_t ldb,
                        float beta, void *c, size_t ldc, bool cut)
{
    const struct gemm_product p = make_product(in, out, op_a, op_b, m, n, k, alpha, lda, ldb, beta, ldc);
    if (cut)
        multiply_in_parts(&p, a, b, c, multiply_part);
    else
        multiply_part(&p, a, b, c);
}

/* The one kind of product of f32 that primitives do clearly faster than dnnl_sgemm(), by a third: tall and
 * thin, as x A^T and dy B of LoRA. */
static bool is_better_as_matmul(enum gemm_op op_a, size_t m, size_t n, size_t k)
{
    return op_a == GEMM_N && n <= 32 && m >= 4 * n && (double)m * (double)n * (double)k > 1 << 18 &&
           gemm_onednn_has_avx512();
}

/* On one thread. Up to 3.11.1 its kernels use a buffer of the heap as their stack: no thread that comes here
 * may run the handler of a signal. */
static void multiply_in_place(const struct gemm_product *p, const float *a, const float *b, float *c)
{
    int threads = omp_get_max_threads();
    omp_set_num_threads(1);
    dnnl_status_t status = dnnl_sgemm(p->op_a == GEMM_T ? 'T' : 'N', p->op_b == GEMM_T ? 'T' : 'N', p->m,
                                      p->n, p->k, p->alpha, a, p->lda, b, p->ldb, p->beta, c, p->ldc);
    omp_set_num_threads(threads);
    if (status == dnnl_success)
        return;
    /* Arguments were checked: what is left is no memory for its buffers, where OpenBLAS ends the process too.
     */
    fprintf(stderr, "oneDNN: a product of %d x %d x %d failed (status %d)\n", p->m, p->n, p->k, (int)status);
    abort();
}

/*
 * A part is too small for dnnl_sgemm() to lay out B: its kernels read B where it lies. Where the rows of B are a
 * multiple of 2 KiB apart, they meet in a few sets of the cache, which takes up to twice as long as B's own room
 * does. One thread of an EPYC (Zen 3), GFLOPS where it lies | in a room:
 *
 *     dy W      512 x 1024 x 3072  37 | 75         dz A      512 x 1024 x 48     46 | 87
 *               512 x 2048 x 640   42 | 78         dz^T x    48 x 1024 x 512     46 | 75
 *               2048 x 1536 x 576  61 | 80         dy W      512 x 2304 x 640    74 | 76
 *
 * With AVX-512 the library lays out some of these itself, such as rows a multiple of 4 KiB apart with k above 500; what
 * a room would do for the others there has not been measured.
 */
enum {
    BAD_STRIDE = 512, /* floats */
    ROOM_TERMS = 256, /* of the sums, at a time: a room of at most 288 KiB stays in the L2 cache */
    LEAST_ROWS = 16   /* of A, so that the layout of B pays */
};

static bool needs_room(const struct gemm_product *p)
{
    return p->op_b == GEMM_N && p->ldb % BAD_STRIDE == 0 && p->m >= LEAST_ROWS && !gemm_onednn_has_avx512();
}

static void multiply_f32(const struct gemm_product *p, const void *a, const void *b, void *c)
{
    if (!needs_room(p)) {
        multiply_in_place(p, a, b, c);
        return;
    }
    const size_t width = (size_t)p->n, a_step = p->op_a == GEMM_N ? 1 : (size_t)p->lda;
    float *room = gemm_onednn_room(ROOM_TERMS * width);
    struct gemm_product some = *p;
    some.ldb = p->n;
    for (int32_t first = 0; first < p->k; first += some.k) {
        const float *rows = (const float *)b + (size_t)first * (size_t)p->ldb;
        some.k = p->k - first < ROOM_TERMS ? p->k - first : ROOM_TERMS;
        for (size_t i = 0; i < (size_t)some.k; i++)
            memcpy(room + i * width, rows + i * (size_t)p->ldb, width * sizeof *room);
        multiply_in_place(&some, (const float *)a + (size_t)first * a_step, room, c);
        some.beta = 1;
    }
}

static void onednn_f32(enum gemm_op op_a, enum gemm_op op_b, size_t m, size_t n, size_t k, float alpha,
                       const float *a, size_t lda, const float *b, size_t ldb, float beta, float *c,
                       size_t ldc)
{
    const struct gemm_product p =
        make_product(DTYPE_F32, DTYPE_F32, op_a, op_b, m, n, k, alpha, lda, ldb, beta, ldc);
    multiply_in_parts(&p, a, b, c, is_better_as_matmul(op_a, m, n, k) ? multiply_part : multiply_f32);
}

static void onednn_describe(char *text, size_t size)
{
    const dnnl_version_t *version = dnnl_version();
    snprintf(text, size, "oneDNN %d.%d.%d", version->major, version->minor, version->patch);
}

const struct gemm_backend gemm_onednn = {.describe = onednn_describe, .f32 = onednn_f32};

#else
typedef int gemm_onednn_is_not_built; /* a file of C must not be empty */
#endif
