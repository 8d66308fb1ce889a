#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "kernels.h"
#include "math/gemm.h"

static const size_t widths[] = {1, 3, 17, 64, 576, 1031};
enum { WIDTHS = sizeof widths / sizeof *widths, ROWS = 37 };

static void test_names(void **state)
{
    (void)state;
    FOR_EACH_ISA(k) assert_string_equal(k->name, cpu_isa_name((enum cpu_isa)isa_));
}

/* sum(y * dy), in double */
static double product(const float *y, const float *dy, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (double)y[i] * (double)dy[i];
    return sum;
}

static void test_rmsnorm_gradient(void **state)
{
    (void)state;
    enum { N = 3, D = 11 };
    float *x = numbers_new(N * D, 1, 1), *w = numbers_new(D, 1, 2), *dy = numbers_new(N * D, 1, 3);
    float y[N * D], rstd[N], dx[N * D];
    FOR_EACH_ISA(k)
    {
        memset(dx, 0, sizeof dx);
        k->f32.rmsnorm_forward(y, NULL, rstd, x, w, N, D, 1e-5F);
        k->f32.rmsnorm_backward(dx, NULL, dy, x, rstd, w, N, D);
        for (size_t i = 0; i < N * D; i++) {
            float kept = x[i];
            x[i] = kept + 0x1p-7F;
            kern_reference.f32.rmsnorm_forward(y, NULL, rstd, x, w, N, D, 1e-5F);
            double high = product(y, dy, N * D);
            x[i] = kept - 0x1p-7F;
            kern_reference.f32.rmsnorm_forward(y, NULL, rstd, x, w, N, D, 1e-5F);
            double slope = (high - product(y, dy, N * D)) / 0x1p-6;
            x[i] = kept;
            assert_true(fabs(slope - (double)dx[i]) < 1e-3);
        }
    }
    free(x);
    free(w);
    free(dy);
}

/* Against the rotation as transformers writes it: x * cos + rotate_half(x) * sin. */
static void test_rope_rotates_halves(void **state)
{
    (void)state;
    float cosine[2][2] = {{1, 1}, {0, 0.6F}}, sine[2][2] = {{0, 0}, {1, 0.8F}};
    int32_t positions[1] = {1};
    FOR_EACH_ISA(k)
    {
        float x[4] = {1, 2, 3, 4};
        k->f32.rope(x, 4, positions, cosine[0], sine[0], 1, 1, 4, 4, 1);
        const float expected[4] = {-3, 2 * 0.6F - 4 * 0.8F, 1, 4 * 0.6F + 2 * 0.8F};
        check_near("rope", k, x, expected, 4, 1e-6);
    }
}

static void test_swiglu_gradient(void **state)
{
    (void)state;
    enum { N = 2, F = 9 };
    float *gu = numbers_new(2 * N * F, 2, 1), *dy = numbers_new(N * F, 1, 2), y[N * F], dgu[2 * N * F];
    FOR_EACH_ISA(k)
    {
        k->f32.gated[ACT_SILU].backward(dgu, dy, gu, N, F);
        for (size_t i = 0; i < 2 * N * F; i++) {
            float kept = gu[i];
            gu[i] = kept + 0x1p-8F;
            double span = (double)gu[i];
            kern_reference.f32.gated[ACT_SILU].forward(y, gu, N, F);
            double high = product(y, dy, N * F);
            gu[i] = kept - 0x1p-8F;
            span -= (double)gu[i];
            kern_reference.f32.gated[ACT_SILU].forward(y, gu, N, F);
            double slope = (high - product(y, dy, N * F)) / span;
            gu[i] = kept;
            assert_true(fabs(slope - (double)dgu[i]) < 2e-4);
        }
    }
    free(gu);
    free(dy);
}

static void test_swiglu_extremes(void **state)
{
    (void)state;
    float gu[8] = {1e4F, -1e4F, -100, NAN, 2, 3, 4, 1}, y[4];
    FOR_EACH_ISA(k)
    {
        k->f32.gated[ACT_SILU].forward(y, gu, 1, 4);
        assert_true(y[0] == 2e4F && fabsf(y[1]) < 1e-30F && fabsf(y[2]) < 1e-30F && isnan(y[3]));
    }
}

/* A rate far below the 2^-24 between two numbers still drops the number 0: sample 6380334 of this key has it.
 */
static void test_dropout_at_the_smallest_number(void **state)
{
    (void)state;
    const uint64_t sample = 6380334;
    const int32_t position = 0;
    const float x[4] = {1, 1, 1, 1};
    struct rng_key key = rng_key_make(42, RNG_DROPOUT, 7);
    FOR_EACH_ISA(k)
    {
        float y[4];
        k->f32.dropout(y, x, key, &sample, &position, 1, 4, 1e-9F);
        assert_true(y[0] == 0 && y[1] > 0 && y[2] > 0 && y[3] > 0);
        k->f32.dropout(y, x, key, &sample, &position, 1, 4, 0);
        assert_memory_equal(y, x, sizeof x);
    }
}

static void test_dropout_rate(void **state)
{
    (void)state;
    enum { N = 100, D = 1000 };
    float *x = numbers_new(N * D, 0, 1);
    uint64_t samples[N];
    int32_t positions[N];
    for (size_t row = 0; row < N; row++) {
        samples[row] = row;
        positions[row] = 3;
        for (size_t i = 0; i < D; i++)
            x[row * D + i] = 1;
    }
    kern_for(cpu_isa_best())
        ->f32.dropout(x, x, rng_key_make(1, RNG_DROPOUT, 0), samples, positions, N, D, 0.2F);
    size_t dropped = 0;
    for (size_t i = 0; i < N * D; i++) {
        assert_true(x[i] == 0 || fabsf(x[i] - 1.25F) < 1e-6F);
        dropped += x[i] == 0;
    }
    assert_in_range(dropped, 20000 - 700, 20000 + 700); /* 5 sigma is 632 */
    x[0] = x[1] = x[2] = x[3] = x[4] = x[5] = NAN;      /* dropped or not, a NaN shows */
    kern_for(cpu_isa_best())
        ->f32.dropout(x, x, rng_key_make(1, RNG_DROPOUT, 0), samples, positions, N, D, 0.9F);
    for (size_t i = 0; i < 6; i++)
        assert_true(isnan(x[i]));
    free(x);
}

static void test_elementwise(void **state)
{
    (void)state;
    FOR_EACH_ISA(k) for (size_t i = 0; i < WIDTHS; i++)
    {
        size_t D = widths[i], ld = D + 2, count = ROWS * ld;
        float *y = numbers_new(count, 1, 1), *x = numbers_new(count, 1, 2), *y2 = numbers_copy(y, count);
        k->axpy(y, -0.37F, x, count);
        kern_reference.axpy(y2, -0.37F, x, count);
        check_near("axpy", k, y, y2, count, 1e-6);
        double sum = k->sum_squares(x, count), sum2 = kern_reference.sum_squares(x, count);
        assert_true(fabs(sum - sum2) <= 1e-13 * sum2);
        assert_true(k->sum_squares(x, 0) == 0);
        x[count - 1] = NAN;
        assert_true(isnan(k->sum_squares(x, count)));
        free(x);
        free(y);
        free(y2);
    }
}

/* The update as the documentation of torch.optim.AdamW writes it. */
static void adamw_by_hand(double *p, double g, double *m, double *v, int t, const struct adamw_step *s)
{
    double b1 = (double)s->beta1, b2 = (double)s->beta2, rate = (double)s->learning_rate;
    *p -= rate * (double)s->weight_decay * *p;
    *m = b1 * *m + (1 - b1) * g;
    *v = b2 * *v + (1 - b2) * g * g;
    *p -= rate * (*m / (1 - pow(b1, t))) / (sqrt(*v / (1 - pow(b2, t))) + (double)s->epsilon);
}

static void test_adamw(void **state)
{
    (void)state;
    enum { COUNT = 20011, STEPS = 12 };
    FOR_EACH_ISA(k)
    {
        float *p = numbers_new(COUNT, 1, 1), *m = numbers_new(COUNT, 0, 2), *v = numbers_new(COUNT, 0, 3);
        float *p2 = numbers_copy(p, COUNT), *m2 = numbers_copy(m, COUNT), *v2 = numbers_copy(v, COUNT);
        double hand[2] = {(double)p[0], (double)p[COUNT - 1]};
        double moments[2][2] = {{0}, {0}};
        for (int t = 1; t <= STEPS; t++) {
            struct adamw_step s = {.learning_rate = 0.01F,
                                   .beta1 = 0.9F,
                                   .beta2 = 0.999F,
                                   .epsilon = 1e-8F,
                                   .weight_decay = 0.1F,
                                   .grad_scale = 0.5F};
            s.correction1 = (float)(1 - pow((double)s.beta1, t));
            s.correction2 = (float)(1 - pow((double)s.beta2, t));
            float *g = numbers_new(COUNT, 1, (uint64_t)(10 + t));
            k->adamw(p, g, m, v, COUNT, &s);
            kern_reference.adamw(p2, g, m2, v2, COUNT, &s);
            for (int e = 0; e < 2; e++)
                adamw_by_hand(&hand[e], 0.5 * (double)g[e ? COUNT - 1 : 0], &moments[0][e], &moments[1][e], t,
                              &s);
            free(g);
        }
        check_near("adamw m", k, m, m2, COUNT, 1e-6);
        check_near("adamw v", k, v, v2, COUNT, 1e-6);
        check_near("adamw", k, p, p2, COUNT, 2e-6);
        assert_true(fabs((double)p[0] - hand[0]) < 2e-6 && fabs((double)p[COUNT - 1] - hand[1]) < 2e-6);
        float *all[] = {p, m, v, p2, m2, v2};
        for (size_t a = 0; a < sizeof all / sizeof *all; a++)
            free(all[a]);
    }
}

/* An element gets the same bits wherever it stands: in the vector part of a loop or in its tail. */
static void test_slices_equal_the_whole(void **state)
{
    (void)state;
    enum { COUNT = 30000 };
    const struct adamw_step s = {0.01F, 0.9F, 0.999F, 1e-8F, 0.1F, 0.3F, 0.01F, 0.7F};
    float *first[] = {numbers_new(COUNT, 1, 1), numbers_new(COUNT, 1, 2), numbers_new(COUNT, 0, 3)};
    float *g = numbers_new(COUNT, 1, 4);
    for (size_t i = 0; i < COUNT; i++)
        first[2][i] = g[i] * g[COUNT - 1 - i] * g[i] * g[COUNT - 1 - i];
    FOR_EACH_ISA(k)
    {
        float *whole[3], *sliced[3];
        for (int a = 0; a < 3; a++) {
            whole[a] = numbers_copy(first[a], COUNT);
            sliced[a] = numbers_copy(first[a], COUNT);
        }
        k->axpy(whole[0], 0.37F, g, COUNT);
        k->adamw(whole[0], g, whole[1], whole[2], COUNT, &s);
        for (size_t begin = 0, length = 1; begin < COUNT; begin += length, length = length % 97 + 1) {
            size_t count = COUNT - begin < length ? COUNT - begin : length;
            k->axpy(sliced[0] + begin, 0.37F, g + begin, count);
            k->adamw(sliced[0] + begin, g + begin, sliced[1] + begin, sliced[2] + begin, count, &s);
        }
        for (int a = 0; a < 3; a++) {
            assert_memory_equal(sliced[a], whole[a], COUNT * sizeof(float));
            free(whole[a]);
            free(sliced[a]);
        }
    }
    for (int a = 0; a < 3; a++)
        free(first[a]);
    free(g);
}

/* What runs on several threads, once: the results in one array. */
static void run_all(const struct kern *k, float *result, size_t count, size_t offset)
{
    float *x = numbers_new(2 * count + offset, 1, 1), *w = numbers_new(2 * count, 1, 2);
    memmove(x + offset, x, 2 * count * sizeof(float)); /* the same numbers at another alignment */
    struct adamw_step s = {0.01F, 0.9F, 0.999F, 1e-8F, 0.1F, 0.1F, 0.001F, 1};
    double sum = k->sum_squares(x + offset, 2 * count);
    memcpy(result, x + offset, count * sizeof(float));
    k->axpy(result, 0.3F, w, count);
    k->adamw(x + offset, w, x + offset + count, w + count, count, &s);
    memcpy(result + count, x + offset, 2 * count * sizeof(float));
    memcpy(result + 3 * count, &sum, sizeof sum);
    free(x);
    free(w);
}

static void test_threads_and_alignment_do_not_matter(void **state)
{
    (void)state;
    FOR_EACH_ISA(k)
    {
        enum { COUNT = 42271, RESULTS = 3 * COUNT + 2 };
        float *one = numbers_new(RESULTS, 0, 1), *more = numbers_new(RESULTS, 0, 1);
        gemm_set_threads(1);
        run_all(k, one, COUNT, 0);
        for (int threads = 1; threads <= 4; threads++) {
            gemm_set_threads(threads);
            for (size_t offset = 0; offset < 4; offset++) {
                run_all(k, more, COUNT, offset);
                assert_memory_equal(more, one, RESULTS * sizeof(float));
            }
        }
        gemm_set_threads(2);
        free(one);
        free(more);
    }
}

static void test_first_nonfinite(void **state)
{
    (void)state;
    enum { COUNT = 5000 };
    static const size_t places[] = {0, 1, 1023, 1024, 3333, COUNT - 1};
    float *x = numbers_new(COUNT, 1e37F, 1);
    assert_int_equal(kern_first_nonfinite(x, COUNT), COUNT);
    assert_int_equal(kern_first_nonfinite(x, 0), 0);
    for (size_t i = sizeof places / sizeof *places; i-- > 0;) {
        x[places[i]] = i % 3 == 0 ? NAN : i % 3 == 1 ? INFINITY : -INFINITY;
        assert_int_equal(kern_first_nonfinite(x, COUNT), places[i]);
    }
    free(x);
}

/* What transformers' XIELUActivation gives in float64; at 0 its slope is that of a constant power. */
static void xielu_is_that_of_transformers(void **state)
{
    (void)state;
    static const float x[] = {-6, -1.5F, -0.1F, 0.3F, 2, 7, 0}, ones[] = {1, 1, 1, 1, 1, 1, 1};
    enum { COUNT = sizeof x / sizeof *x };
    static const double expected[2][COUNT] = {
        {3.503222378, 0.1900692082, -0.04371135711, 0.213000011, 3.8, 37.8, -1.3e-6},
        {-0.7967776222, -0.5099307918, 0.3762886417, 0.9200000167, 3.3, 10.3, -0.8}};
    const struct kern_xielu p = {.positive = 0.7F, .negative = 1.3F, .beta = 0.5F, .most = -1e-6F};
    for (int isa = CPU_PORTABLE; isa <= (int)cpu_isa_best(); isa++) {
        float y[COUNT], dx[COUNT];
        kern_for((enum cpu_isa)isa)->f32.xielu_forward(y, x, 1, COUNT, &p);
        kern_for((enum cpu_isa)isa)->f32.xielu_backward(dx, ones, x, 1, COUNT, &p);
        for (size_t i = 0; i < COUNT; i++) {
            assert_true(fabs((double)y[i] - expected[0][i]) <= 1e-6 * (1e-1 + fabs(expected[0][i])));
            assert_true(fabs((double)dx[i] - expected[1][i]) <= 1e-6 * (1e-1 + fabs(expected[1][i])));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(xielu_is_that_of_transformers),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_rmsnorm_gradient),
        cmocka_unit_test(test_rope_rotates_halves),
        cmocka_unit_test(test_swiglu_gradient),
        cmocka_unit_test(test_swiglu_extremes),
        cmocka_unit_test(test_dropout_at_the_smallest_number),
        cmocka_unit_test(test_dropout_rate),
        cmocka_unit_test(test_elementwise),
        cmocka_unit_test(test_adamw),
        cmocka_unit_test(test_slices_equal_the_whole),
        cmocka_unit_test(test_threads_and_alignment_do_not_matter),
        cmocka_unit_test(test_first_nonfinite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
