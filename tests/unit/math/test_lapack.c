/* The factorisations give back what they were made of. */
#include "math/lapack.h"

#include <math.h>
#include <stdlib.h>

#include "math/gemm.h"
#include "math/parallel.h"
#include "numbers.h"
#include "unit.h"

static double *make(size_t count, uint64_t seed)
{
    float *x = numbers_new(count, 1, seed);
    double *y = malloc(count * sizeof *y);
    for (size_t i = 0; i < count; i++)
        y[i] = (double)x[i];
    free(x);
    return y;
}

/* Column j of a[m, .] times column k. */
static double dot(const double *a, size_t j, size_t k, size_t m)
{
    double sum = 0;
    for (size_t i = 0; i < m; i++)
        sum += a[j * m + i] * a[k * m + i];
    return sum;
}

static void columns_become_orthonormal_and_span_the_same(void **state)
{
    (void)state;
    struct err e;
    enum { M = 37, N = 9 };
    double *a = make(M * N, 1), *q = make(M * N, 1);
    assert_ok(lapack_orthonormalize(q, M, N, &e), &e);
    for (size_t j = 0; j < N; j++)
        for (size_t k = 0; k < N; k++)
            assert_true(fabs(dot(q, j, k, M) - (j == k)) < 1e-14);
    for (size_t j = 0; j < N; j++) { /* a = Q Q^T a */
        for (size_t i = 0; i < M; i++) {
            double sum = 0;
            for (size_t k = 0; k < N; k++) {
                double part = 0;
                for (size_t h = 0; h < M; h++)
                    part += q[k * M + h] * a[j * M + h];
                sum += q[k * M + i] * part;
            }
            assert_true(fabs(sum - a[j * M + i]) < 1e-13);
        }
    }
    free(a);
    free(q);
}

static void the_triangle_has_the_gram_matrix(void **state)
{
    (void)state;
    struct err e;
    static const size_t shapes[][2] = {{20, 6}, {6, 6}, {4, 6}, {1, 3}, {5, 1}};
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
        size_t m = shapes[s][0], n = shapes[s][1];
        double *a = make(m * n, s), *again = make(m * n, s), *r = make(n * n, 9);
        assert_ok(lapack_triangle(r, again, m, n, &e), &e);
        for (size_t j = 0; j < n; j++)
            for (size_t k = 0; k < n; k++) {
                assert_true(k <= j || r[j * n + k] == 0);
                assert_true(fabs(dot(r, j, k, n) - dot(a, j, k, m)) < 1e-12);
            }
        free(a);
        free(again);
        free(r);
    }
}

static void the_largest_eigenvalues_come_first(void **state)
{
    (void)state;
    struct err e;
    enum { N = 23, COUNT = 4 };
    double *q = make(N * N, 3), *a = calloc(N * N, sizeof *a), values[COUNT], vectors[COUNT * N];
    assert_ok(lapack_orthonormalize(q, N, N, &e), &e);
    for (size_t k = 0; k < N; k++) /* a = sum of (k + 1) q_k q_k^T */
        for (size_t i = 0; i < N; i++)
            for (size_t j = 0; j < N; j++)
                a[i * N + j] += (double)(k + 1) * q[k * N + i] * q[k * N + j];
    assert_ok(lapack_largest_eigen(values, vectors, COUNT, a, N, &e), &e);
    for (size_t k = 0; k < COUNT; k++) {
        double cosine = 0;
        assert_true(fabs(values[k] - (double)(N - k)) < 1e-12);
        for (size_t i = 0; i < N; i++)
            cosine += vectors[k * N + i] * q[(N - 1 - k) * N + i];
        assert_true(fabs(fabs(cosine) - 1) < 1e-12);
    }
    free(q);
    free(a);
}

static void singular_values_of_a_known_matrix(void **state)
{
    (void)state;
    struct err e;
    enum { N = 7 };
    double *u = make(N * N, 4), *v = make(N * N, 5), a[N * N] = {0}, values[N];
    assert_ok(lapack_orthonormalize(u, N, N, &e), &e);
    assert_ok(lapack_orthonormalize(v, N, N, &e), &e);
    for (size_t k = 0; k < N; k++)
        for (size_t i = 0; i < N; i++)
            for (size_t j = 0; j < N; j++)
                a[j * N + i] += (double)k * u[k * N + i] * v[k * N + j];
    assert_ok(lapack_singular_values(values, a, N, &e), &e);
    for (size_t k = 0; k < N; k++)
        assert_true(fabs(values[k] - (double)(N - 1 - k)) < 1e-13);
    a[3] = NAN;
    assert_error(lapack_singular_values(values, a, N, &e), &e, ERR_NUMERIC, "NaN");
    free(u);
    free(v);
}

static void product(void *context, size_t i)
{
    double *out = context;
    double *a = make(30 * 30, i), *b = make(30 * 30, i + 100);
    gemm_f64(GEMM_N, GEMM_T, 30, 30, 30, 1, a, 30, b, 30, 0, out + i * 900, 30);
    free(a);
    free(b);
}

static void pieces_do_not_depend_on_the_threads(void **state)
{
    (void)state;
    double *one = malloc(8 * 900 * sizeof *one), *many = malloc(8 * 900 * sizeof *many);
    gemm_set_threads(1);
    parallel_each(8, product, one);
    gemm_set_threads(3);
    parallel_each(8, product, many);
    assert_memory_equal(one, many, 8 * 900 * sizeof *one);
    double *a = make(900, 2), *b = make(900, 102), sum = 0;
    for (size_t k = 0; k < 30; k++)
        sum += a[4 * 30 + k] * b[7 * 30 + k];
    assert_true(fabs(one[2 * 900 + 4 * 30 + 7] - sum) < 1e-12);
    free(a);
    free(b);
    free(one);
    free(many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_become_orthonormal_and_span_the_same),
        cmocka_unit_test(the_triangle_has_the_gram_matrix),
        cmocka_unit_test(the_largest_eigenvalues_come_first),
        cmocka_unit_test(singular_values_of_a_known_matrix),
        cmocka_unit_test(pieces_do_not_depend_on_the_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
