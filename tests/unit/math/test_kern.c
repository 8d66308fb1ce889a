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

static void test_rmsnorm(void **state)
{
    (void)state;
    FOR_EACH_ISA(k) for (size_t i = 0; i < WIDTHS; i++)
    {
        size_t D = widths[i], count = ROWS * D;
        float *x = numbers_new(count, 2, 1), *w = numbers_new(D, 1, 2), *dy = numbers_new(count, 1, 3);
        float *y = numbers_new(count, 1, 4), *rstd = numbers_new(ROWS, 1, 5), *dx = numbers_new(count, 1, 6);
        float *y2 = numbers_copy(y, count), *rstd2 = numbers_copy(rstd, ROWS), *dx2 = numbers_copy(dx, count);
        kern_reference.rmsnorm_forward(y2, rstd2, x, w, ROWS, D, 1e-5F);
        k->rmsnorm_forward(y, rstd, x, w, ROWS, D, 1e-5F);
        check_near("rmsnorm", k, y, y2, count, 1e-6);
        check_near("rstd", k, rstd, rstd2, ROWS, 1e-6);
        memset(rstd, 0, ROWS * sizeof(float));
        k->rmsnorm_forward(NULL, rstd, x, w, ROWS, D, 1e-5F);
        check_near("rstd alone", k, rstd, rstd2, ROWS, 1e-6);
        memset(y, 0, count * sizeof(float));
        k->rmsnorm_apply(y, x, rstd2, w, ROWS, D);
        check_near("rmsnorm_apply", k, y, y2, count, 1e-6);
        kern_reference.rmsnorm_backward(dx2, dy, x, rstd2, w, ROWS, D);
        k->rmsnorm_backward(dx, dy, x, rstd2, w, ROWS, D);
        check_near("rmsnorm_backward", k, dx, dx2, count, 2e-6);
        float *all[] = {x, w, dy, y, rstd, dx, y2, rstd2, dx2};
        for (size_t a = 0; a < sizeof all / sizeof *all; a++)
            free(all[a]);
    }
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
        k->rmsnorm_forward(y, rstd, x, w, N, D, 1e-5F);
        k->rmsnorm_backward(dx, dy, x, rstd, w, N, D);
        for (size_t i = 0; i < N * D; i++) {
            float kept = x[i];
            x[i] = kept + 0x1p-7F;
            kern_reference.rmsnorm_forward(y, rstd, x, w, N, D, 1e-5F);
            double high = product(y, dy, N * D);
            x[i] = kept - 0x1p-7F;
            kern_reference.rmsnorm_forward(y, rstd, x, w, N, D, 1e-5F);
            double slope = (high - product(y, dy, N * D)) / 0x1p-6;
            x[i] = kept;
            assert_true(fabs(slope - (double)dx[i]) < 1e-3);
        }
    }
    free(x);
    free(w);
    free(dy);
}

static void test_rope(void **state)
{
    (void)state;
    enum { HEADS = 3, POSITIONS = 50 };
    FOR_EACH_ISA(k) for (size_t head_dim = 2; head_dim <= 128; head_dim += 62)
    {
        size_t ld = HEADS * head_dim + 5, half = head_dim / 2, count = ROWS * ld;
        float *x = numbers_new(count, 1, 1), *cosine = numbers_new(POSITIONS * half, 1, 2);
        float *sine = numbers_new(POSITIONS * half, 1, 3);
        int32_t positions[ROWS];
        for (size_t i = 0; i < POSITIONS * half; i++) {
            sine[i] = sinf(cosine[i]);
            cosine[i] = cosf(cosine[i]);
        }
        for (size_t row = 0; row < ROWS; row++)
            positions[row] = (int32_t)((row * 7) % POSITIONS);
        float *expected = numbers_copy(x, count), *first = numbers_copy(x, count);
        kern_reference.rope(expected, ld, positions, cosine, sine, ROWS, HEADS, head_dim, 1);
        k->rope(x, ld, positions, cosine, sine, ROWS, HEADS, head_dim, 1);
        check_near("rope", k, x, expected, count, 1e-6);
        for (size_t row = 0; row < ROWS; row++)
            assert_memory_equal(x + row * ld + ld - 5, first + row * ld + ld - 5, 5 * sizeof(float));
        k->rope(x, ld, positions, cosine, sine, ROWS, HEADS, head_dim, -1);
        check_near("rope and back", k, x, first, count, 1e-6);
        float *all[] = {x, cosine, sine, expected, first};
        for (size_t a = 0; a < sizeof all / sizeof *all; a++)
            free(all[a]);
    }
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
        k->rope(x, 4, positions, cosine[0], sine[0], 1, 1, 4, 1);
        const float expected[4] = {-3, 2 * 0.6F - 4 * 0.8F, 1, 4 * 0.6F + 2 * 0.8F};
        check_near("rope", k, x, expected, 4, 1e-6);
    }
}

static void test_swiglu(void **state)
{
    (void)state;
    FOR_EACH_ISA(k) for (size_t i = 0; i < WIDTHS; i++)
    {
        size_t F = widths[i], count = ROWS * F;
        float *gu = numbers_new(2 * count, 4, 1), *dy = numbers_new(count, 1, 2),
              *y = numbers_new(count, 1, 3);
        float *dgu = numbers_new(2 * count, 1, 4), *y2 = numbers_copy(y, count),
              *dgu2 = numbers_copy(dgu, 2 * count);
        kern_reference.swiglu_forward(y2, gu, ROWS, F);
        k->swiglu_forward(y, gu, ROWS, F);
        check_near("swiglu", k, y, y2, count, 1e-6);
        memset(y, 0, count * sizeof(float));
        kern_reference.swiglu_backward(dgu2, NULL, dy, gu, ROWS, F);
        k->swiglu_backward(dgu, y, dy, gu, ROWS, F);
        check_near("swiglu again", k, y, y2, count, 1e-6);
        check_near("swiglu_backward", k, dgu, dgu2, 2 * count, 1e-6);
        k->swiglu_backward(gu, NULL, dy, gu, ROWS, F);
        assert_memory_equal(gu, dgu, 2 * count * sizeof(float));
        float *all[] = {gu, dy, y, dgu, y2, dgu2};
        for (size_t a = 0; a < sizeof all / sizeof *all; a++)
            free(all[a]);
    }
}

static void test_swiglu_gradient(void **state)
{
    (void)state;
    enum { N = 2, F = 9 };
    float *gu = numbers_new(2 * N * F, 2, 1), *dy = numbers_new(N * F, 1, 2), y[N * F], dgu[2 * N * F];
    FOR_EACH_ISA(k)
    {
        k->swiglu_backward(dgu, NULL, dy, gu, N, F);
        for (size_t i = 0; i < 2 * N * F; i++) {
            float kept = gu[i];
            gu[i] = kept + 0x1p-8F;
            double span = (double)gu[i];
            kern_reference.swiglu_forward(y, gu, N, F);
            double high = product(y, dy, N * F);
            gu[i] = kept - 0x1p-8F;
            span -= (double)gu[i];
            kern_reference.swiglu_forward(y, gu, N, F);
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
        k->swiglu_forward(y, gu, 1, 4);
        assert_true(y[0] == 2e4F && y[1] == 0 && fabsf(y[2]) < 1e-30F && isnan(y[3]));
    }
}

static void test_dropout(void **state)
{
    (void)state;
    FOR_EACH_ISA(k) for (size_t i = 0; i < WIDTHS; i++)
    {
        size_t D = widths[i], count = ROWS * D;
        float *x = numbers_new(count, 1, 1), *y = numbers_new(count, 1, 2),
              *expected = numbers_new(count, 1, 3);
        uint64_t samples[ROWS];
        int32_t positions[ROWS];
        for (size_t row = 0; row < ROWS; row++) {
            samples[row] = UINT64_C(0x123456789) * (row / 5);
            positions[row] = (int32_t)(row % 5);
        }
        struct rng_key key = rng_key_make(42, RNG_DROPOUT, 7);
        static const float rates[] = {0, 1e-9F, 0.1F, 0.5F, 0.999F};
        for (size_t r = 0; r < sizeof rates / sizeof *rates; r++) {
            kern_reference.dropout(expected, x, key, samples, positions, ROWS, D, rates[r]);
            k->dropout(y, x, key, samples, positions, ROWS, D, rates[r]);
            assert_memory_equal(y, expected, count * sizeof(float));
        }
        k->dropout(x, x, key, samples, positions, ROWS, D, 0.999F);
        assert_memory_equal(x, expected, count * sizeof(float));
        free(x);
        free(y);
        free(expected);
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
        k->dropout(y, x, key, &sample, &position, 1, 4, 1e-9F);
        assert_true(y[0] == 0 && y[1] > 0 && y[2] > 0 && y[3] > 0);
        k->dropout(y, x, key, &sample, &position, 1, 4, 0);
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
    kern_for(cpu_isa_best())->dropout(x, x, rng_key_make(1, RNG_DROPOUT, 0), samples, positions, N, D, 0.2F);
    size_t dropped = 0;
    for (size_t i = 0; i < N * D; i++) {
        assert_true(x[i] == 0 || fabsf(x[i] - 1.25F) < 1e-6F);
        dropped += x[i] == 0;
    }
    assert_in_range(dropped, 20000 - 700, 20000 + 700); /* 5 sigma is 632 */
    x[0] = x[1] = x[2] = x[3] = x[4] = x[5] = NAN;      /* dropped or not, a NaN shows */
    kern_for(cpu_isa_best())->dropout(x, x, rng_key_make(1, RNG_DROPOUT, 0), samples, positions, N, D, 0.9F);
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
        k->add_bias(y, ld, x, ROWS, D);
        kern_reference.add_bias(y2, ld, x, ROWS, D);
        assert_memory_equal(y, y2, count * sizeof(float));
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

/* Everything that runs on several threads, once: the results in one array. */
static size_t run_all(const struct kern *k, float *result, size_t offset)
{
    enum { N = 41, D = 1031 };
    size_t count = N * D, at = 0;
    float *x = numbers_new(2 * count + offset, 1, 1), *w = numbers_new(2 * count, 1, 2), rstd[N];
    int32_t ids[N];
    uint64_t samples[N];
    double loss[N];
    memmove(x + offset, x, 2 * count * sizeof(float)); /* the same numbers at another alignment */
    for (size_t row = 0; row < N; row++)
        samples[row] = (uint64_t)(ids[row] = (int32_t)row);
    struct adamw_step s = {0.01F, 0.9F, 0.999F, 1e-8F, 0.1F, 0.1F, 0.001F, 1};
    float *in = x + offset;
    k->rmsnorm_forward(result + at, rstd, in, w, N, D, 1e-5F);
    at += count;
    memcpy(result + at, w, count * sizeof(float));
    k->rmsnorm_backward(result + at, in, in, rstd, w, N, D);
    at += count;
    k->swiglu_backward(result + at, result + at + 2 * count, w, in, N, D);
    at += 3 * count;
    k->dropout(result + at, in, rng_key_make(1, RNG_DROPOUT, 2), samples, ids, N, D, 0.3F);
    k->axpy(result + at, 0.3F, in, count);
    k->rope(result + at, D, ids, w, w + count, N, 1, D - 1, 1);
    at += count;
    memcpy(result + at, in, count * sizeof(float));
    k->adamw(result + at, w, in, w + count, count, &s);
    at += count;
    k->cross_entropy(loss, NULL, in, D, ids, N, D, 0.5F);
    memcpy(result + at, in, count * sizeof(float));
    at += count;
    loss[0] += k->sum_squares(in, 2 * count);
    memcpy(result + at, loss, sizeof loss);
    at += 2 * N;
    free(x);
    free(w);
    return at;
}

static void test_threads_and_alignment_do_not_matter(void **state)
{
    (void)state;
    FOR_EACH_ISA(k)
    {
        float *one = numbers_new(400000, 0, 1), *more = numbers_new(400000, 0, 1);
        gemm_set_threads(1);
        size_t count = run_all(k, one, 0);
        for (int threads = 1; threads <= 4; threads++) {
            gemm_set_threads(threads);
            for (size_t offset = 0; offset < 4; offset++) {
                run_all(k, more, offset);
                assert_memory_equal(more, one, count * sizeof(float));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_rmsnorm),
        cmocka_unit_test(test_rmsnorm_gradient),
        cmocka_unit_test(test_rope),
        cmocka_unit_test(test_rope_rotates_halves),
        cmocka_unit_test(test_swiglu),
        cmocka_unit_test(test_swiglu_gradient),
        cmocka_unit_test(test_swiglu_extremes),
        cmocka_unit_test(test_dropout),
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
