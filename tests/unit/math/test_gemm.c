#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <omp.h>

#include "math/gemm.h"
#include "numbers.h"

static const size_t sizes[][3] = {{1, 1, 1},     {1, 7, 3},     {3, 1, 17},    {17, 3, 1},     {16, 64, 64},
                                  {60, 60, 64},  {60, 64, 60},  {1, 577, 576}, {33, 576, 129}, {128, 65, 300},
                                  {257, 31, 64}, {8, 1536, 40}, {64, 2, 2048}, {130, 140, 150}};

/* One product against the oracle; columns past the matrix must stay as they were. C starts as NaN when beta
 * is 0. The rows of B are a multiple of `stride` apart. */
static void check_product_with(size_t stride, const size_t mnk[3], int form, float alpha, float beta)
{
    enum gemm_op op_a = form & 1 ? GEMM_T : GEMM_N, op_b = form & 2 ? GEMM_T : GEMM_N;
    size_t m = mnk[0], n = mnk[1], k = mnk[2], pad = 5;
    size_t lda = (op_a == GEMM_N ? k : m) + pad, ldb = (op_b == GEMM_N ? n : k) + pad, ldc = n + pad;
    ldb = (ldb + stride - 1) / stride * stride;
    float *a = numbers_new(m * k + (m + k) * pad, 1, 1), *b = numbers_new((op_b == GEMM_N ? k : n) * ldb, 1, 2);
    float *c = numbers_new(m * ldc, 1, 3);
    for (size_t i = 0; beta == 0 && i < m; i++)
        for (size_t j = 0; j < n; j++)
            c[i * ldc + j] = NAN;
    float *expected = numbers_copy(c, m * ldc);
    gemm_f32(op_a, op_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
    gemm_f32_reference(op_a, op_b, m, n, k, alpha, a, lda, b, ldb, beta, expected, ldc);
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < ldc; j++) {
            double error = fabs((double)c[i * ldc + j] - (double)expected[i * ldc + j]);
            double allowed = j < n ? 2e-6 + 3e-7 * (double)k : 0;
            if (!(error <= allowed))
                fail_msg("%zux%zux%zu form %d beta %g: (%zu, %zu) is %g, not %g", m, n, k, form, (double)beta,
                         i, j, (double)c[i * ldc + j], (double)expected[i * ldc + j]);
        }
    }
    free(a);
    free(b);
    free(c);
    free(expected);
}

static void check_product(const size_t mnk[3], int form, float alpha, float beta)
{
    check_product_with(1, mnk, form, alpha, beta);
}

static void test_products(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (int form = 0; form < 4; form++) {
            check_product(sizes[i], form, 1, 0);
            check_product(sizes[i], form, 0.5F, 1);
            check_product(sizes[i], form, 1, -2);
        }
    }
}

/* Rows that share sets of the cache: libraries, and we, have ways of their own for them. */
static void test_rows_far_apart(void **state)
{
    (void)state;
    static const size_t shapes[][3] = {
        {40, 700, 256}, {15, 400, 300}, {16, 600, 257}, {300, 290, 515}, {48, 1000, 31}};
    static const size_t strides[] = {512, 1024};
    for (size_t s = 0; s < sizeof strides / sizeof *strides; s++)
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
            for (int form = 0; form < 4; form++) {
                check_product_with(strides[s], shapes[i], form, 1, 0);
                check_product_with(strides[s], shapes[i], form, 0.5F, 1);
                check_product_with(strides[s], shapes[i], form, 1, -2);
            }
}

static void test_empty_dimensions(void **state)
{
    (void)state;
    float a[4] = {1, 2, 3, 4}, b[4] = {1, 2, 3, 4}, c[4] = {NAN, 2, 3, 4};
    gemm_f32(GEMM_N, GEMM_N, 0, 2, 2, 1, a, 2, b, 2, 0, c, 2);
    gemm_f32(GEMM_N, GEMM_T, 2, 0, 2, 1, a, 2, b, 2, 0, c, 0);
    assert_true(isnan(c[0]) && c[3] == 4);
    gemm_f32(GEMM_N, GEMM_N, 2, 2, 0, 1, NULL, 0, NULL, 0, 0, c, 2);
    assert_true(c[0] == 0 && c[3] == 0);
    c[3] = 4;
    gemm_f32(GEMM_N, GEMM_N, 2, 2, 0, 1, NULL, 0, NULL, 0, 3, c, 2);
    assert_true(c[0] == 0 && c[3] == 12);
}

static void test_nan_is_kept(void **state)
{
    (void)state;
    for (size_t size = 1; size <= 129; size += 64) {
        float *a = numbers_new(size * size, 1, 1), *b = numbers_new(size * size, 1, 2);
        float *c = numbers_new(size * size, 1, 3);
        a[size / 2 * size] = NAN;
        gemm_f32(GEMM_N, GEMM_N, size, size, size, 1, a, size, b, size, 0, c, size);
        for (size_t j = 0; j < size; j++)
            assert_true(isnan(c[size / 2 * size + j]));
        free(a);
        free(b);
        free(c);
    }
}

/* Many products at once from a parallel region, as attention does: each must equal the product made alone by
 * one thread, to the bit. */
static void test_inside_parallel_region(void **state)
{
    (void)state;
    enum { TASKS = 200 };
    size_t m = 60, n = 96, k = 64;
    float *a = numbers_new(TASKS * m * k, 1, 1), *b = numbers_new(n * k, 1, 2);
    float *alone = numbers_new(TASKS * m * n, 0, 3), *together = numbers_new(TASKS * m * n, 0, 3);
    gemm_set_threads(1);
    for (size_t t = 0; t < TASKS; t++)
        gemm_f32(GEMM_N, GEMM_T, m, n, k, 1, a + t * m * k, k, b, k, 0, alone + t * m * n, n);
    for (int threads = 2; threads <= 4; threads++) {
        gemm_set_threads(threads);
        assert_int_equal(omp_get_max_threads(), threads);
        memset(together, 0, TASKS * m * n * sizeof(float));
#pragma omp parallel for schedule(dynamic)
        for (size_t t = 0; t < TASKS; t++)
            gemm_f32(GEMM_N, GEMM_T, m, n, k, 1, a + t * m * k, k, b, k, 0, together + t * m * n, n);
        assert_memory_equal(together, alone, TASKS * m * n * sizeof(float));
    }
    free(a);
    free(b);
    free(alone);
    free(together);
}

/* The same bits from every call, also on several threads and where C is added to. */
static void test_calls_repeat(void **state)
{
    (void)state;
    static const size_t shapes[][3] = {{300, 200, 576}, {512, 16, 1536}, {1536, 16, 512}, {128, 3000, 64}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        size_t m = shapes[i][0], n = shapes[i][1], k = shapes[i][2];
        float *a = numbers_new(m * k, 1, 1), *b = numbers_new(n * k, 1, 2), *start = numbers_new(m * n, 1, 3);
        for (int threads = 1; threads <= 3; threads++) {
            gemm_set_threads(threads);
            for (int form = 0; form < 4; form++) {
                enum gemm_op op_a = form & 1 ? GEMM_T : GEMM_N, op_b = form & 2 ? GEMM_T : GEMM_N;
                size_t lda = op_a == GEMM_N ? k : m, ldb = op_b == GEMM_N ? n : k;
                float *first = numbers_copy(start, m * n);
                gemm_f32(op_a, op_b, m, n, k, 1, a, lda, b, ldb, 1, first, n);
                for (int call = 0; call < 5; call++) {
                    float *again = numbers_copy(start, m * n);
                    gemm_f32(op_a, op_b, m, n, k, 1, a, lda, b, ldb, 1, again, n);
                    assert_memory_equal(again, first, m * n * sizeof *again);
                    free(again);
                }
                free(first);
            }
        }
        free(a);
        free(b);
        free(start);
    }
}

/* Infinity times zero is NaN, and an infinity alone stays one: no product is left out. */
static void test_infinity_is_kept(void **state)
{
    (void)state;
    for (size_t size = 1; size <= 129; size += 64) {
        float *a = numbers_new(size * size, 1, 1), *b = numbers_new(size * size, 1, 2);
        float *c = numbers_new(size * size, 1, 3);
        for (size_t i = 0; i < size * size; i++)
            b[i] = i % 2 ? 0 : 1;
        a[0] = INFINITY;
        gemm_f32(GEMM_N, GEMM_N, size, size, size, 1, a, size, b, size, 0, c, size);
        for (size_t j = 0; j < size; j++)
            assert_true(j % 2 ? isnan(c[j]) : isinf(c[j]));
        free(a);
        free(b);
        free(c);
    }
}

static void test_choice(void **state)
{
    (void)state;
    struct err e;
    assert_int_equal(gemm_choose(GEMM_OPENBLAS, &e), ERR_OK);
    assert_null(strstr(gemm_backend(), "oneDNN"));
#ifdef MPILORA_HAVE_ONEDNN
    assert_int_equal(gemm_choose(GEMM_ONEDNN, &e), ERR_OK);
    assert_non_null(strstr(gemm_backend(), "oneDNN "));
    assert_int_equal(gemm_choose(GEMM_AUTO, &e), ERR_OK);
    assert_true((strstr(gemm_backend(), "oneDNN ") != NULL) == (cpu_isa_best() >= CPU_AVX2));
#else
    assert_int_equal(gemm_choose(GEMM_ONEDNN, &e), ERR_UNSUPPORTED);
    assert_non_null(strstr(e.message, "--gemm onednn"));
    assert_int_equal(gemm_choose(GEMM_AUTO, &e), ERR_OK);
    assert_null(strstr(gemm_backend(), "oneDNN"));
#endif
}

static void test_backend_is_the_openmp_build(void **state)
{
    (void)state;
    const char *text = gemm_backend();
    assert_non_null(strstr(text, "OpenBLAS "));
    assert_non_null(strstr(text, " OpenMP "));
    assert_null(strstr(text, "?"));
}

static void test_core_rules(void **state)
{
    (void)state;
    assert_string_equal(gemm_core_for(CPU_AVX512, "Prescott"), "SkylakeX");
    assert_string_equal(gemm_core_for(CPU_AVX512, "Zen"), "SkylakeX");
    assert_string_equal(gemm_core_for(CPU_AVX512, "Haswell"), "SkylakeX");
    assert_null(gemm_core_for(CPU_AVX512, "SkylakeX"));
    assert_null(gemm_core_for(CPU_AVX512, "skylakex"));
    assert_null(gemm_core_for(CPU_AVX512, "Cooperlake"));
    assert_null(gemm_core_for(CPU_AVX512, "SapphireRapids"));
    assert_string_equal(gemm_core_for(CPU_AVX2, "Prescott"), "Haswell");
    assert_string_equal(gemm_core_for(CPU_AVX2, "Nehalem"), "Haswell");
    assert_null(gemm_core_for(CPU_AVX2, "Zen"));
    assert_null(gemm_core_for(CPU_AVX2, "Haswell"));
    assert_null(gemm_core_for(CPU_PORTABLE, "Prescott"));
}

static void test_users_core_is_left(void **state)
{
    (void)state;
    setenv("OPENBLAS_CORETYPE", "Prescott", 1);
    assert_null(gemm_better_core());
    unsetenv("OPENBLAS_CORETYPE");
    const char *core = gemm_better_core();
    assert_true(!core || strcmp(core, "SkylakeX") == 0 || strcmp(core, "Haswell") == 0);
}

static int choose_openblas(void **state)
{
    (void)state;
    struct err e;
    return gemm_choose(GEMM_OPENBLAS, &e) != ERR_OK;
}

#ifdef MPILORA_HAVE_ONEDNN
/* oneDNN's own threads would change the bits of these; OpenBLAS' do too where a sum is cut into two halves.
 */
static void test_threads_change_nothing(void **state)
{
    (void)state;
    static const size_t shapes[][4] = {/* m, n, k, form */
                                       {1, 576, 1152, 0}, {60, 576, 864, 2},   {128, 576, 864, 2},
                                       {1, 768, 576, 0},  {17, 16, 1536, 2},   {17, 16, 1536, 0},
                                       {768, 4, 500, 1},  {300, 1000, 600, 3}, {1000, 16, 576, 2},
                                       {600, 1024, 700, 0}, {48, 1024, 512, 1}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        size_t m = shapes[i][0], n = shapes[i][1], k = shapes[i][2];
        enum gemm_op op_a = shapes[i][3] & 1 ? GEMM_T : GEMM_N, op_b = shapes[i][3] & 2 ? GEMM_T : GEMM_N;
        size_t lda = op_a == GEMM_N ? k : m, ldb = op_b == GEMM_N ? n : k;
        float *a = numbers_new(m * k, 1, 1), *b = numbers_new(k * n, 1, 2), *start = numbers_new(m * n, 1, 3);
        float *expected = numbers_copy(start, m * n);
        gemm_set_threads(1);
        gemm_f32(op_a, op_b, m, n, k, 1, a, lda, b, ldb, 1, expected, n);
        for (int threads = 2; threads <= 8; threads++) {
            float *c = numbers_copy(start, m * n);
            gemm_set_threads(threads);
            gemm_f32(op_a, op_b, m, n, k, 1, a, lda, b, ldb, 1, c, n);
            if (memcmp(c, expected, m * n * sizeof *c) != 0)
                fail_msg("%zu x %zu x %zu: other bits on %d threads", m, n, k, threads);
            free(c);
        }
        free(a);
        free(b);
        free(start);
        free(expected);
    }
}

static int choose_onednn(void **state)
{
    (void)state;
    struct err e;
    return gemm_choose(GEMM_ONEDNN, &e) != ERR_OK;
}
#endif

int main(void)
{
    const struct CMUnitTest of_a_backend[] = {
        cmocka_unit_test(test_products),     cmocka_unit_test(test_rows_far_apart),
        cmocka_unit_test(test_empty_dimensions),
        cmocka_unit_test(test_nan_is_kept),  cmocka_unit_test(test_infinity_is_kept),
        cmocka_unit_test(test_calls_repeat), cmocka_unit_test(test_inside_parallel_region),
    };
    const struct CMUnitTest of_all[] = {
        cmocka_unit_test(test_choice),
        cmocka_unit_test(test_backend_is_the_openmp_build),
        cmocka_unit_test(test_core_rules),
        cmocka_unit_test(test_users_core_is_left),
    };
    int failed = cmocka_run_group_tests_name("openblas", of_a_backend, choose_openblas, NULL);
#ifdef MPILORA_HAVE_ONEDNN
    const struct CMUnitTest of_onednn[] = {cmocka_unit_test(test_threads_change_nothing)};
    failed += cmocka_run_group_tests_name("onednn", of_a_backend, choose_onednn, NULL);
    failed += cmocka_run_group_tests_name("onednn's own", of_onednn, choose_onednn, NULL);
#endif
    return failed + cmocka_run_group_tests(of_all, NULL, NULL);
}
