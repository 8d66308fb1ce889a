/* Products that are never formed, against products that are. */
#include "math/lowrank.h"

#include <math.h>
#include <stdlib.h>

#include "math/lapack.h"
#include "numbers.h"
#include "unit.h"

static double plain_distance(const struct lowrank *s, const float *A1, const float *B1, const float *A0,
                             const float *B0)
{
    double sum = 0;
    for (size_t o = 0; o < s->out; o++)
        for (size_t i = 0; i < s->in; i++) {
            double x = 0;
            for (size_t k = 0; k < s->r; k++) {
                x += (double)B1[o * s->r + k] * (double)A1[k * s->in + i];
                if (A0)
                    x -= (double)B0[o * s->r + k] * (double)A0[k * s->in + i];
            }
            sum += x * x;
        }
    return sqrt(sum);
}

static void norms_and_distances(void **state)
{
    (void)state;
    struct err e;
    static const struct lowrank shapes[] = {{30, 20, 4}, {3, 40, 8}, {5, 5, 1}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        const struct lowrank *s = &shapes[i];
        float *A1 = numbers_new(s->r * s->in, 1, 1), *B1 = numbers_new(s->r * s->out, 1, 2);
        float *A0 = numbers_new(s->r * s->in, 1, 1), *B0 = numbers_new(s->r * s->out, 1, 2);
        double found = 1;
        assert_ok(lowrank_distance(&found, s, A1, B1, A0, B0, &e), &e);
        assert_true(found == 0); /* of the same, exactly */
        for (size_t k = 0; k < s->r * s->in; k++)
            A0[k] += 1e-5F * (float)k; /* and of what is close, without cancellation */
        assert_ok(lowrank_distance(&found, s, A1, B1, A0, B0, &e), &e);
        assert_true(fabs(found / plain_distance(s, A1, B1, A0, B0) - 1) < 1e-9);
        assert_ok(lowrank_distance(&found, s, A1, B1, NULL, NULL, &e), &e);
        assert_true(fabs(found / plain_distance(s, A1, B1, NULL, NULL) - 1) < 1e-12);
        free(A1);
        free(B1);
        free(A0);
        free(B0);
    }
}

/* The square matrix itself, formed. */
static void singular_values_are_those_of_the_product(void **state)
{
    (void)state;
    struct err e;
    enum { N = 12, R = 5 };
    const struct lowrank s = {N, N, R};
    float *A = numbers_new(R * N, 1, 3), *B = numbers_new(R * N, 1, 4), found[R];
    double product[N * N] = {0}, wanted[N], squares = 0, norm = 0;
    for (size_t o = 0; o < N; o++)
        for (size_t i = 0; i < N; i++)
            for (size_t k = 0; k < R; k++)
                product[o * N + i] += (double)B[o * R + k] * (double)A[k * N + i];
    assert_ok(lapack_singular_values(wanted, product, N, &e), &e);
    assert_ok(lowrank_singular_values(found, &s, A, B, &e), &e);
    for (size_t k = 0; k < R; k++) {
        assert_true(fabs((double)found[k] / wanted[k] - 1) < 1e-6);
        squares += (double)found[k] * (double)found[k];
    }
    assert_ok(lowrank_distance(&norm, &s, A, B, NULL, NULL, &e), &e);
    assert_true(fabs(sqrt(squares) / norm - 1) < 1e-6);
    free(A);
    free(B);
}

static void equal_rows_have_rank_one(void **state)
{
    (void)state;
    struct err e;
    const struct lowrank s = {9, 3, 4}; /* and a rank above the matrix's */
    float A[12], *B = numbers_new(36, 1, 5), found[4];
    for (size_t i = 0; i < 12; i++)
        A[i] = 0.25F;
    assert_ok(lowrank_singular_values(found, &s, A, B, &e), &e);
    assert_true(found[0] > 0.1F && found[1] < 1e-12F && found[2] < 1e-12F && found[3] < 1e-12F);
    A[4] = NAN;
    assert_error(lowrank_singular_values(found, &s, A, B, &e), &e, ERR_NUMERIC, "NaN");
    free(B);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(norms_and_distances),
        cmocka_unit_test(singular_values_are_those_of_the_product),
        cmocka_unit_test(equal_rows_have_rank_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
