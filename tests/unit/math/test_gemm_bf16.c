#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <omp.h>
#include <pthread.h>

#include "base/alloc.h"
#include "kernels.h"
#include "math/gemm.h"
#include "numbers.h"

/* A product of bf16 matrices with room for `pad` more columns in each row, as its operands and the expected
 * result. */
struct product {
    size_t m, n, k, lda, ldb, ldc;
    enum gemm_op op_a, op_b;
    enum dtype out;
    float alpha, beta;
    uint16_t *a, *b;
    void *c; /* of type `out` */
};

static size_t bytes_of(enum dtype type)
{
    return type == DTYPE_F32 ? sizeof(float) : sizeof(uint16_t);
}

static float at(enum dtype type, const void *x, size_t i)
{
    return type == DTYPE_F32 ? ((const float *)x)[i] : dtype_bf16_to_f32(((const uint16_t *)x)[i]);
}

static void put(enum dtype type, void *x, size_t i, float value)
{
    if (type == DTYPE_F32)
        ((float *)x)[i] = value;
    else
        ((uint16_t *)x)[i] = dtype_f32_to_bf16(value);
}

static void *copy_of(enum dtype type, const void *x, size_t count)
{
    void *copy = malloc(count * bytes_of(type) + 1);
    assert_non_null(copy);
    memcpy(copy, x, count * bytes_of(type));
    return copy;
}

/* N(0, 1), or whole numbers from -8 to 8 whose sums are exact in f32. */
static void *matrix_new(enum dtype type, size_t count, bool whole, uint64_t seed)
{
    float *x = numbers_new(count + 1, whole ? 3 : 1, seed);
    void *matrix = malloc((count + 1) * bytes_of(type));
    assert_non_null(matrix);
    for (size_t i = 0; i < count; i++)
        put(type, matrix, i, whole ? fminf(fmaxf(rintf(x[i]), -8), 8) : x[i]);
    free(x);
    return matrix;
}

/* form: bit 0 transposes A, bit 1 transposes B. */
static struct product product_new(size_t m, size_t n, size_t k, int form, enum dtype out, bool whole,
                                  size_t pad)
{
    struct product p = {.m = m, .n = n, .k = k, .out = out, .alpha = 1};
    p.op_a = form & 1 ? GEMM_T : GEMM_N;
    p.op_b = form & 2 ? GEMM_T : GEMM_N;
    p.lda = (p.op_a == GEMM_N ? k : m) + pad;
    p.ldb = (p.op_b == GEMM_N ? n : k) + pad;
    p.ldc = n + pad;
    p.a = matrix_new(DTYPE_BF16, (p.op_a == GEMM_N ? m : k) * p.lda, whole, 1);
    p.b = matrix_new(DTYPE_BF16, (p.op_b == GEMM_N ? k : n) * p.ldb, whole, 2);
    p.c = matrix_new(out, m * p.ldc, whole, 3);
    return p;
}

static void product_free(struct product *p)
{
    free(p->a);
    free(p->b);
    free(p->c);
}

static void multiply(const struct product *p, void *c)
{
    gemm(DTYPE_BF16, p->out, p->op_a, p->op_b, p->m, p->n, p->k, p->alpha, p->a, p->lda, p->b, p->ldb,
         p->beta, c, p->ldc);
}

static void multiply_plainly(const struct product *p, enum dtype out, void *c)
{
    gemm_reference(DTYPE_BF16, out, p->op_a, p->op_b, p->m, p->n, p->k, p->alpha, p->a, p->lda, p->b, p->ldb,
                   p->beta, c, p->ldc);
}

static void fill_with_nan(const struct product *p, void *c)
{
    for (size_t i = 0; i < p->m; i++)
        for (size_t j = 0; j < p->n; j++)
            put(p->out, c, i * p->ldc + j, NAN);
}

/* The sum of magnitudes that bounds the error of a sum: |alpha| |A| |B| + |beta| |C|. */
static float *magnitudes(const struct product *p)
{
    struct product q = *p;
    size_t count_a = (p->op_a == GEMM_N ? p->m : p->k) * p->lda,
           count_b = (p->op_b == GEMM_N ? p->k : p->n) * p->ldb;
    q.a = copy_of(DTYPE_BF16, p->a, count_a);
    q.b = copy_of(DTYPE_BF16, p->b, count_b);
    q.alpha = fabsf(p->alpha);
    q.beta = fabsf(p->beta);
    for (size_t i = 0; i < count_a; i++)
        q.a[i] &= 0x7fff;
    for (size_t i = 0; i < count_b; i++)
        q.b[i] &= 0x7fff;
    float *sums = malloc((p->m * p->ldc + 1) * sizeof *sums);
    assert_non_null(sums);
    for (size_t i = 0; i < p->m * p->ldc; i++)
        sums[i] = fabsf(at(p->out, p->c, i));
    multiply_plainly(&q, DTYPE_F32, sums);
    free(q.a);
    free(q.b);
    return sums;
}

/*
 * Against the oracle before its rounding to bf16. A sum of k products in f32 (exact: 8 bits times 8), of
 * alpha and of beta's part, in any order, is off by up to (k + 3) 2^-24 of the sum of magnitudes (Higham,
 * Accuracy and Stability, 3.1), and C of bf16 by half a unit in its last place, 2^-8 of itself, more.
 */
static void check_random(size_t m, size_t n, size_t k, int form, enum dtype out, float alpha, float beta)
{
    struct product p = product_new(m, n, k, form, out, false, 5);
    size_t count = m * p.ldc;
    p.alpha = alpha;
    p.beta = beta;
    float *expected = malloc(count * sizeof *expected), *sums = magnitudes(&p);
    assert_non_null(expected);
    for (size_t i = 0; i < count; i++)
        expected[i] = at(out, p.c, i);
    void *before = copy_of(out, p.c, count);
    if (beta == 0)
        fill_with_nan(&p, p.c);
    multiply_plainly(&p, DTYPE_F32, expected);
    multiply(&p, p.c);
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < p.ldc; j++) {
            size_t x = i * p.ldc + j;
            double error = fabs((double)at(out, p.c, x) - (double)expected[x]);
            double sum_error = ldexp((double)(k + 3) * (double)sums[x], -24);
            double rounding = out == DTYPE_BF16 ? ldexp(fabs((double)expected[x]) + sum_error, -8) : 0;
            if (j < n ? !(error <= sum_error + rounding) : at(out, p.c, x) != at(out, before, x))
                fail_msg("%zux%zux%zu form %d alpha %g beta %g: (%zu, %zu) is %g, not %g", m, n, k, form,
                         (double)alpha, (double)beta, i, j, (double)at(out, p.c, x), (double)expected[x]);
        }
    }
    free(expected);
    free(sums);
    free(before);
    product_free(&p);
}

/* Whole numbers, whose sums no order can change: the oracle's bits, so one rounding and to nearest even. */
static void check_exact(size_t m, size_t n, size_t k, int form, enum dtype out, float alpha, float beta)
{
    struct product p = product_new(m, n, k, form, out, true, 3);
    p.alpha = alpha;
    p.beta = beta;
    void *expected = copy_of(out, p.c, m * p.ldc);
    multiply_plainly(&p, out, expected);
    multiply(&p, p.c);
    if (memcmp(p.c, expected, m * p.ldc * bytes_of(out)) != 0)
        fail_msg("%zux%zux%zu form %d alpha %g beta %g: not the exact product", m, n, k, form, (double)alpha,
                 (double)beta);
    free(expected);
    product_free(&p);
}

static const enum dtype outs[] = {DTYPE_F32, DTYPE_BF16};

static void test_products(void **state)
{
    (void)state;
    static const size_t sizes[][3] = {
        {1, 1, 1},     {1, 7, 3},       {3, 1, 17},     {17, 3, 1},     {16, 64, 64},  {60, 60, 64},
        {64, 64, 64},  {1, 577, 576},   {33, 576, 129}, {128, 65, 300}, {257, 31, 64}, {8, 512, 40},
        {64, 2, 2048}, {130, 140, 150}, {48, 100, 700}, {300, 48, 576}, {700, 16, 90}};
    static const int threads[] = {1, 2, 3, 20}; /* with many threads there are more and smaller parts */
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t m = sizes[i][0], n = sizes[i][1], k = sizes[i][2];
        for (int form = 0; form < 8; form++) {
            enum dtype out = outs[form / 4];
            gemm_set_threads(threads[(i + (size_t)form) % 4]);
            check_random(m, n, k, form % 4, out, 1, 0);
            check_random(m, n, k, form % 4, out, 0.7F, 1);
            gemm_set_threads(threads[(i + (size_t)form + 1) % 4]);
            check_exact(m, n, k, form % 4, out, 1, 0);
            check_exact(m, n, k, form % 4, out, 0.5F, -2);
        }
    }
}

static void test_f32_is_gemm_f32(void **state)
{
    (void)state;
    size_t m = 37, n = 50, k = 90;
    float *a = numbers_new(m * k, 1, 1), *b = numbers_new(k * n, 1, 2), *c = numbers_new(m * n, 1, 3);
    float *expected = numbers_copy(c, m * n);
    gemm_f32(GEMM_N, GEMM_T, m, n, k, 0.5F, a, k, b, k, 2, expected, n);
    gemm(DTYPE_F32, DTYPE_F32, GEMM_N, GEMM_T, m, n, k, 0.5F, a, k, b, k, 2, c, n);
    assert_memory_equal(c, expected, m * n * sizeof *c);
    free(a);
    free(b);
    free(c);
    free(expected);
}

static void test_empty_dimensions(void **state)
{
    (void)state;
    for (int which = 0; which < 2; which++) {
        enum dtype out = outs[which];
        uint16_t a[4] = {0}, b[4] = {0};
        float c[4];
        for (size_t i = 0; i < 4; i++)
            put(out, c, i, i ? (float)i : NAN);
        gemm(DTYPE_BF16, out, GEMM_N, GEMM_N, 0, 2, 2, 1, a, 2, b, 2, 0, c, 2);
        gemm(DTYPE_BF16, out, GEMM_N, GEMM_T, 2, 0, 2, 1, a, 2, b, 2, 0, c, 0);
        assert_true(isnan(at(out, c, 0)) && at(out, c, 3) == 3);
        gemm(DTYPE_BF16, out, GEMM_N, GEMM_N, 2, 2, 0, 1, NULL, 0, NULL, 0, 0, c, 2);
        assert_true(at(out, c, 0) == 0 && at(out, c, 3) == 0);
        put(out, c, 3, 4);
        gemm(DTYPE_BF16, out, GEMM_N, GEMM_N, 2, 2, 0, 1, NULL, 0, NULL, 0, 3, c, 2);
        assert_true(at(out, c, 0) == 0 && at(out, c, 3) == 12);
    }
}

static void test_nan_and_infinity_are_kept(void **state)
{
    (void)state;
    for (int which = 0; which < 2; which++) {
        for (size_t size = 1; size <= 129; size += 64) {
            struct product p = product_new(size, size, size, 0, outs[which], false, 0);
            for (size_t i = 0; i < size * size; i++)
                put(DTYPE_BF16, p.b, i, i % 2 ? 0 : 1);
            put(DTYPE_BF16, p.a, 0, INFINITY);
            if (size > 1)
                put(DTYPE_BF16, p.a, size, NAN);
            multiply(&p, p.c);
            for (size_t j = 0; j < size; j++) {
                float first = at(p.out, p.c, j);
                assert_true(j % 2 ? isnan(first) : isinf(first));
                assert_true(size == 1 || isnan(at(p.out, p.c, size + j)));
            }
            product_free(&p);
        }
    }
}

/* The same bits from every call, and nothing allocated after the first. */
static void test_calls_repeat(void **state)
{
    (void)state;
    static const size_t shapes[][3] = {{300, 200, 576}, {512, 16, 1536}, {1536, 16, 512},
                                       {16, 700, 2048}, {128, 3000, 64}, {64, 64, 64}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        for (int threads = 1; threads <= (bf16_is_plain() ? 1 : 3); threads++) {
            gemm_set_threads(threads);
            for (int which = 0; which < 8; which++) {
                struct product p = product_new(shapes[i][0], shapes[i][1], shapes[i][2], which % 4,
                                               outs[which / 4], false, 0);
                size_t count = p.m * p.n;
                p.beta = 1;
                void *first = copy_of(p.out, p.c, count);
                multiply(&p, first);
                for (int call = 0; call < 2; call++) {
                    void *again = copy_of(p.out, p.c, count);
                    uint64_t allocations = alloc_count();
                    multiply(&p, again);
                    assert_int_equal(alloc_count(), allocations);
                    assert_memory_equal(again, first, count * bytes_of(p.out));
                    free(again);
                }
                free(first);
                product_free(&p);
            }
        }
    }
}

/* Many products at once from a parallel region, as attention does: each must equal the product made alone by
 * one thread, to the bit. */
static void test_inside_parallel_region(void **state)
{
    (void)state;
    enum { TASKS = 60, M = 64, N = 256, K = 64 };
    struct product p = product_new(TASKS * M, N, K, 2, DTYPE_BF16, false, 0);
    size_t bytes = (size_t)TASKS * M * N * sizeof(uint16_t);
    uint16_t *alone = malloc(bytes), *together = malloc(bytes);
    assert_true(alone && together);
    p.m = M;
    gemm_set_threads(1);
    const uint16_t *rows = p.a;
    for (size_t t = 0; t < TASKS; t++)
        gemm(DTYPE_BF16, DTYPE_BF16, GEMM_N, GEMM_T, M, N, K, 1, rows + t * M * K, K, p.b, K, 0,
             alone + t * M * N, N);
    for (int threads = 2; threads <= 4; threads++) {
        gemm_set_threads(threads);
        memset(together, 0, bytes);
#pragma omp parallel for schedule(dynamic)
        for (size_t t = 0; t < TASKS; t++)
            gemm(DTYPE_BF16, DTYPE_BF16, GEMM_N, GEMM_T, M, N, K, 1, rows + t * M * K, K, p.b, K, 0,
                 together + t * M * N, N);
        assert_int_equal(omp_get_max_threads(), threads);
        assert_memory_equal(together, alone, bytes);
    }
    free(alone);
    free(together);
    product_free(&p);
}

/* Threads are no part of a product's bits, nor is whether a parallel region is around it: the products of a
 * step of a small model, forward and backward, base's and adapter's. The library by itself adds up 512 terms
 * at a time in some of these shapes and all at once in others, by the number of rows. */
static void test_threads_change_nothing(void **state)
{
    (void)state;
    static const size_t shapes[][4] = {
        /* m, n, k, form */
        {1, 960, 576, 2},    {17, 576, 1536, 2}, {128, 960, 576, 2}, {333, 576, 576, 2}, {512, 576, 960, 0},
        {1000, 576, 576, 0}, {700, 1536, 96, 2}, {1000, 48, 576, 2}, {128, 576, 48, 0},  {576, 16, 1000, 1},
        {48, 576, 700, 1},   {192, 16, 512, 1},  {16, 1536, 500, 1}, {100, 9000, 64, 2}, {200, 64, 5000, 0}};
    for (size_t i = 0; !bf16_is_plain() && i < sizeof shapes / sizeof *shapes; i++) {
        struct product p =
            product_new(shapes[i][0], shapes[i][1], shapes[i][2], (int)shapes[i][3], outs[i % 2], false, 0);
        size_t bytes = p.m * p.n * bytes_of(p.out);
        p.beta = 1;
        gemm_set_threads(1);
        void *expected = copy_of(p.out, p.c, p.m * p.n);
        multiply(&p, expected);
        for (int threads = 2; threads <= 8; threads++) {
            void *c = copy_of(p.out, p.c, p.m * p.n);
            gemm_set_threads(threads);
            if (threads < 8) {
                multiply(&p, c);
            } else {
#pragma omp parallel
#pragma omp single
                multiply(&p, c);
            }
            if (memcmp(c, expected, bytes) != 0)
                fail_msg("%zu x %zu x %zu: other bits on %d threads", p.m, p.n, p.k, threads);
            free(c);
        }
        free(expected);
        product_free(&p);
    }
}

/* A first product of a shape made inside a parallel region, then outside of it on other numbers of threads.
 */
static void test_region_then_all_threads(void **state)
{
    (void)state;
    struct product p = product_new(200, 120, 90, 1, DTYPE_F32, true, 0);
    size_t count = p.m * p.n;
    float *c = calloc(2 * count, sizeof *c);
    assert_non_null(c);
    multiply_plainly(&p, p.out, p.c);
    gemm_set_threads(2);
#pragma omp parallel
    multiply(&p, c + (size_t)omp_get_thread_num() * count);
    assert_memory_equal(c, p.c, count * sizeof *c);
    assert_memory_equal(c + count, p.c, count * sizeof *c);
    for (int threads = 3; threads >= 1; threads--) {
        memset(c, 0, count * sizeof *c);
        gemm_set_threads(threads);
        multiply(&p, c);
        assert_int_equal(omp_get_max_threads(), threads);
        assert_memory_equal(c, p.c, count * sizeof *c);
    }
    free(c);
    product_free(&p);
}

/* More shapes than a cache of any sensible size keeps, in an order that finds some and replaces others. */
static void test_many_shapes(void **state)
{
    (void)state;
    gemm_set_threads(2);
    for (size_t i = 0; i < 1200; i++) {
        size_t which = i % 7 == 0 ? i % 70 : i * 37 % 701;
        check_exact(1 + which % 13, 1 + which / 13, 1 + which % 5, (int)which % 4, outs[which % 2], 1,
                    (float)(i % 2));
    }
}

static void *multiply_on_a_thread(void *context)
{
    const struct product *p = context;
    void *c = calloc(p->m * p->n, bytes_of(p->out));
    if (c)
        multiply(p, c);
    return c;
}

/* Threads that come and go leave nothing behind (a build with AddressSanitizer looks). */
static void test_threads_end(void **state)
{
    (void)state;
    struct product p = product_new(70, 40, 100, 0, DTYPE_F32, true, 0);
    size_t bytes = p.m * p.n * sizeof(float);
    multiply_plainly(&p, p.out, p.c);
    gemm_set_threads(1);
    for (int i = 0; i < 8; i++) {
        pthread_t thread;
        void *c;
        assert_int_equal(pthread_create(&thread, NULL, multiply_on_a_thread, &p), 0);
        assert_int_equal(pthread_join(thread, &c), 0);
        assert_non_null(c);
        assert_memory_equal(c, p.c, bytes);
        free(c);
    }
    product_free(&p);
}

static void test_speed_is_a_question_of_the_processor(void **state)
{
    (void)state;
    assert_true(gemm_has_bf16() || !gemm_bf16_is_fast());
    assert_true(cpu_has_bf16() || !gemm_bf16_is_fast());
    setenv("MPILORA_ISA", "avx2", 1);
    assert_false(gemm_bf16_is_fast());
    unsetenv("MPILORA_ISA");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_products),
        cmocka_unit_test(test_f32_is_gemm_f32),
        cmocka_unit_test(test_empty_dimensions),
        cmocka_unit_test(test_nan_and_infinity_are_kept),
        cmocka_unit_test(test_calls_repeat),
        cmocka_unit_test(test_inside_parallel_region),
        cmocka_unit_test(test_threads_change_nothing),
        cmocka_unit_test(test_region_then_all_threads),
        cmocka_unit_test(test_many_shapes),
        cmocka_unit_test(test_threads_end),
        cmocka_unit_test(test_speed_is_a_question_of_the_processor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
