/*
 * The kernels on activations, for both element types and each instruction set, held against the oracle.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "kernels.h"
#include "math/gemm.h"

static const size_t widths[] = {1, 3, 17, 64, 576, 1031};
enum { WIDTHS = sizeof widths / sizeof *widths, ROWS = 37 };

/* What is tested: a table, its part for a type, and the oracle's. */
struct subject {
    const struct kern *table;
    const struct kern_typed *k, *reference;
    bool f32;
};

static struct subject subject_of(const struct kern *table, enum dtype type)
{
    return (struct subject){table, kern_typed(table, type), kern_typed(&kern_reference, type),
                            type == DTYPE_F32};
}

#define FOR_EACH_SUBJECT(s)                                                                                  \
    FOR_EACH_ISA(table_)                                                                                     \
    for (int type_ = 0; type_ < 2; type_++)                                                                  \
        for (struct subject s = subject_of(table_, type_ ? DTYPE_BF16 : DTYPE_F32); s.table; s.table = NULL)

static void free_all(void **pointers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(pointers[i]);
}

#define FREE(...) free_all((void *[]){__VA_ARGS__}, sizeof(void *[]){__VA_ARGS__} / sizeof(void *))

/* `count` normal numbers of the subject's type; there is room for as many floats. */
static void *reals_new(const struct subject *s, size_t count, float scale, uint64_t seed)
{
    float *x = numbers_new(count, scale, seed), *y = numbers_new(count, 0, 0);
    s->reference->from_f32(y, x, count);
    free(x);
    return y;
}

static double bf16_step(double x)
{
    int exponent;
    frexp(x, &exponent);
    return ldexp(1, (exponent > -125 ? exponent : -125) - 8);
}

/* In f32 the largest distance may be `allowed` of the largest number. The arithmetic of bf16 is the same, so
 * a number may be off by as much, and so come to lie on the other side of a rounding boundary: by one step.
 */
static void check_reals(const char *what, const struct subject *s, const void *x, const void *expected,
                        size_t count, double allowed)
{
    float *a = numbers_new(count, 0, 0), *b = numbers_new(count, 0, 0);
    s->reference->to_f32(a, x, count);
    s->reference->to_f32(b, expected, count);
    if (s->f32)
        check_near(what, s->table, a, b, count, allowed);
    double size = 0;
    for (size_t i = 0; i < count; i++)
        size = fmax(size, fabs((double)b[i]));
    for (size_t i = 0; i < count && !s->f32; i++) {
        double distance = fabs((double)a[i] - (double)b[i]);
        if (!(distance <= allowed * size + bf16_step(fmax(fabs((double)a[i]), fabs((double)b[i])))))
            fail_msg("%s of %s in bf16: number %zu is %g, not %g", what, s->table->name, i, (double)a[i],
                     (double)b[i]);
    }
    FREE(a, b);
}

static void check_rmsnorm(const struct subject *s, size_t D)
{
    size_t count = ROWS * D, bytes = count * s->k->size;
    float *x = numbers_new(count, 2, 1), *w = numbers_new(D, 1, 2), *dy = numbers_new(count, 1, 3);
    float *rstd = numbers_new(ROWS, 0, 0), *rstd2 = numbers_new(ROWS, 0, 0);
    float *dx = numbers_new(count, 1, 6), *dx2 = numbers_copy(dx, count), *dx3 = numbers_copy(dx, count);
    void *y = reals_new(s, count, 0, 0), *y2 = reals_new(s, count, 0, 0), *copy = reals_new(s, count, 0, 0);
    void *copy2 = reals_new(s, count, 0, 0);

    s->reference->rmsnorm_forward(y2, copy2, rstd2, x, w, ROWS, D, 1e-5F);
    s->k->rmsnorm_forward(y, copy, rstd, x, w, ROWS, D, 1e-5F);
    check_near("rstd", s->table, rstd, rstd2, ROWS, 1e-6);
    check_reals("rmsnorm_forward", s, y, y2, count, 1e-6);
    assert_memory_equal(copy, copy2, bytes);
    s->k->rmsnorm_forward(y2, NULL, rstd2, x, w, ROWS, D, 1e-5F); /* what is wanted changes no bit */
    assert_memory_equal(y2, y, bytes);
    assert_memory_equal(rstd2, rstd, ROWS * sizeof *rstd);
    memset(copy, 0, bytes);
    memset(rstd2, 0, ROWS * sizeof *rstd2);
    s->k->rmsnorm_forward(NULL, copy, rstd2, x, w, ROWS, D, 1e-5F);
    assert_memory_equal(copy, copy2, bytes);
    assert_memory_equal(rstd2, rstd, ROWS * sizeof *rstd);

    s->k->rmsnorm_apply(y, copy, rstd, w, ROWS, D);
    s->reference->rmsnorm_apply(y2, copy, rstd, w, ROWS, D);
    check_reals("rmsnorm_apply", s, y, y2, count, 1e-6);

    s->k->rmsnorm_backward(dx, y, dy, copy, rstd, w, ROWS, D);
    s->reference->rmsnorm_backward(dx2, y2, dy, copy, rstd, w, ROWS, D);
    check_near("rmsnorm_backward", s->table, dx, dx2, count, 2e-6);
    s->reference->from_f32(y2, dx, count);
    assert_memory_equal(y, y2, bytes);
    s->k->rmsnorm_backward(dx3, NULL, dy, copy, rstd, w, ROWS, D);
    assert_memory_equal(dx3, dx, count * sizeof *dx);
    FREE(x, w, dy, rstd, rstd2, dx, dx2, dx3, y, y2, copy, copy2);
}

static void test_rmsnorm(void **state)
{
    (void)state;
    FOR_EACH_SUBJECT(s) for (size_t i = 0; i < WIDTHS; i++) check_rmsnorm(&s, widths[i]);
}

static void check_rope(const struct subject *s, size_t head_dim, size_t rotated, float sign)
{
    enum { HEADS = 3, POSITIONS = 50, REST = 5 };
    size_t ld = HEADS * head_dim + REST, half = rotated / 2, count = ROWS * ld;
    void *x = reals_new(s, count, 1, 1), *expected = reals_new(s, count, 1, 1);
    float *cosine = numbers_new(POSITIONS * half, 1, 2), *sine = numbers_new(POSITIONS * half, 1, 3);
    int32_t positions[ROWS];
    for (size_t i = 0; i < POSITIONS * half; i++) {
        sine[i] = sinf(cosine[i]);
        cosine[i] = cosf(cosine[i]);
    }
    for (size_t row = 0; row < ROWS; row++)
        positions[row] = (int32_t)((row * 7) % POSITIONS);
    s->reference->rope(expected, ld, positions, cosine, sine, ROWS, HEADS, head_dim, rotated, sign);
    s->k->rope(x, ld, positions, cosine, sine, ROWS, HEADS, head_dim, rotated, sign);
    check_reals("rope", s, x, expected, count, 1e-6);
    s->reference->rope_pairs(expected, ld, positions, cosine, sine, ROWS, HEADS, head_dim, rotated, sign);
    s->k->rope_pairs(x, ld, positions, cosine, sine, ROWS, HEADS, head_dim, rotated, sign);
    check_reals("rope_pairs", s, x, expected, count, 2e-6);
    for (size_t row = 0; row < ROWS; row++) {
        size_t at = (row * ld + ld - REST) * s->k->size;
        assert_memory_equal((char *)x + at, (char *)expected + at, REST * s->k->size);
    }
    FREE(x, expected, cosine, sine);
}

static void test_rope(void **state)
{
    (void)state;
    FOR_EACH_SUBJECT(s) for (size_t head_dim = 2; head_dim <= 128; head_dim += 31 * 2)
    {
        check_rope(&s, head_dim, head_dim, 1);
        check_rope(&s, head_dim + 4, head_dim + 4, -1);
        check_rope(&s, head_dim + 4, 4, 1);
    }
}

static void check_activation(const struct subject *s, size_t F, const struct kern_activation *act,
                             const struct kern_activation *reference, size_t inputs, double allowed)
{
    size_t count = ROWS * F;
    void *x = reals_new(s, inputs * count, 4, 1), *y = reals_new(s, count, 0, 0), *y2 = reals_new(s, count, 0, 0);
    void *dx = reals_new(s, inputs * count, 0, 0), *dx2 = reals_new(s, inputs * count, 0, 0);
    float *dy = numbers_new(count, 1, 2);
    act->forward(y, x, ROWS, F);
    reference->forward(y2, x, ROWS, F);
    check_reals("an activation", s, y, y2, count, allowed);
    act->backward(dx, dy, x, ROWS, F);
    reference->backward(dx2, dy, x, ROWS, F);
    check_reals("an activation's gradient", s, dx, dx2, inputs * count, allowed);
    act->backward(x, dy, x, ROWS, F);
    assert_memory_equal(x, dx, inputs * count * s->k->size);
    FREE(x, y, y2, dx, dx2, dy);
}

static void test_activations(void **state)
{
    (void)state;
    FOR_EACH_SUBJECT(s) for (size_t i = 0; i < WIDTHS; i++) for (int act = 0; act < ACT_COUNT; act++)
    {
        double allowed = act == ACT_GELU ? 2e-6 : 1e-6; /* its exponent, the square of x, is rounded */
        check_activation(&s, widths[i], &s.k->gated[act], &s.reference->gated[act], 2, allowed);
        check_activation(&s, widths[i], &s.k->plain[act], &s.reference->plain[act], 1, allowed);
    }
}

/* What torch.nn.functional.silu, gelu, gelu(approximate="tanh") and relu()^2 give in float64, and their gradients. */
static void test_activations_are_those_of_torch(void **state)
{
    (void)state;
    static const float x[] = {-6, -1.5F, -0.1F, 0.3F, 2, 7};
    enum { COUNT = sizeof x / sizeof *x };
    static const double expected[ACT_COUNT][2][COUNT] = {
        [ACT_SILU] = {{-0.01483573894, -0.2736382857, -0.04750208192, 0.1723327628, 1.761594156, 6.993622642},
                     {-0.01232643259, -0.0412941543, 0.4500832078, 0.647780016, 1.090784249, 1.005460497}},
        [ACT_GELU] = {{-5.919525869e-09, -0.1002108019, -0.0460172169, 0.1853734354, 1.954499736, 7},
                     {-3.546870945e-08, -0.1274691922, 0.4204769068, 0.7323277755, 1.085231801, 1}},
        [ACT_GELU_TANH] = {{-8.43964898e-11, -0.100428423, -0.04601724958, 0.1853709323, 1.954597694, 7},
                     {-7.709976013e-10, -0.1277107932, 0.4204782096, 0.7322954603, 1.086099257, 1}},
        [ACT_RELU2] = {{0, 0, 0, 0.09000000715, 4, 49},
                     {0, 0, 0, 0.6000000238, 4, 14}},
    };
    static const float ones[COUNT] = {1, 1, 1, 1, 1, 1};
    for (int isa = CPU_PORTABLE; isa <= (int)cpu_isa_best(); isa++)
        for (int act = 0; act < ACT_COUNT; act++) {
            float y[COUNT], dx[COUNT];
            const struct kern_activation *plain = &kern_for((enum cpu_isa)isa)->f32.plain[act];
            plain->forward(y, x, 1, COUNT);
            plain->backward(dx, ones, x, 1, COUNT);
            for (size_t i = 0; i < COUNT; i++) {
                assert_true(fabs((double)y[i] - expected[act][0][i]) <= 4e-7 * (1e-3 + fabs(expected[act][0][i])));
                assert_true(fabs((double)dx[i] - expected[act][1][i]) <= 1e-6 * (1e-1 + fabs(expected[act][1][i])));
            }
        }
}

static void test_xielu(void **state)
{
    (void)state;
    const struct kern_xielu p = {.positive = 0.7F, .negative = 1.3F, .beta = 0.5F, .most = -1e-6F};
    FOR_EACH_SUBJECT(s) for (size_t i = 0; i < WIDTHS; i++)
    {
        size_t count = ROWS * widths[i];
        void *x = reals_new(&s, count, 2, 1), *y = reals_new(&s, count, 0, 0), *y2 = reals_new(&s, count, 0, 0);
        float *dy = numbers_new(count, 1, 2);
        s.k->xielu_forward(y, x, ROWS, widths[i], &p);
        s.reference->xielu_forward(y2, x, ROWS, widths[i], &p);
        check_reals("xielu_forward", &s, y, y2, count, 1e-6);
        s.reference->xielu_backward(y2, dy, x, ROWS, widths[i], &p);
        s.k->xielu_backward(x, dy, x, ROWS, widths[i], &p);
        check_reals("xielu_backward", &s, x, y2, count, 1e-6);
        FREE(x, y, y2, dy);
    }
}

static void check_rmsnorm_heads(const struct subject *s, size_t heads, size_t width)
{
    enum { REST = 3 };
    size_t ld = heads * width + REST, count = ROWS * ld, dense = ROWS * heads * width;
    void *x = reals_new(s, count, 2, 1), *x2 = reals_new(s, count, 2, 1), *copy = reals_new(s, dense, 0, 0);
    void *copy2 = reals_new(s, dense, 0, 0), *dx = reals_new(s, count, 1, 3), *dx2 = reals_new(s, count, 1, 3);
    float *w = numbers_new(width, 1, 2), *rstd = numbers_new(ROWS * heads, 0, 0),
          *rstd2 = numbers_new(ROWS * heads, 0, 0);
    s->k->rmsnorm_heads_forward(x, ld, copy, rstd, w, ROWS, heads, width, 1e-5F);
    s->reference->rmsnorm_heads_forward(x2, ld, copy2, rstd2, w, ROWS, heads, width, 1e-5F);
    check_reals("rmsnorm_heads_forward", s, x, x2, count, 1e-6);
    check_near("rstd of heads", s->table, rstd, rstd2, ROWS * heads, 1e-6);
    assert_memory_equal(copy, copy2, dense * s->k->size);
    s->k->rmsnorm_heads_backward(dx, ld, copy, rstd, w, ROWS, heads, width);
    s->reference->rmsnorm_heads_backward(dx2, ld, copy, rstd, w, ROWS, heads, width);
    check_reals("rmsnorm_heads_backward", s, dx, dx2, count, 2e-6);
    FREE(x, x2, copy, copy2, dx, dx2, w, rstd, rstd2);
}

static void test_rmsnorm_heads(void **state)
{
    (void)state;
    FOR_EACH_SUBJECT(s)
    {
        check_rmsnorm_heads(&s, 3, 64);
        check_rmsnorm_heads(&s, 5, 10);
        check_rmsnorm_heads(&s, 1, 576);
    }
}

static void check_layernorm(const struct subject *s, size_t D, bool with_bias)
{
    size_t count = ROWS * D, bytes = count * s->k->size;
    float *x = numbers_new(count, 2, 1), *w = numbers_new(D, 1, 2), *dy = numbers_new(count, 1, 3);
    float *bias = numbers_new(D, 1, 4), *b = with_bias ? bias : NULL;
    float *mean = numbers_new(ROWS, 0, 0), *rstd = numbers_new(ROWS, 0, 0);
    float *mean2 = numbers_new(ROWS, 0, 0), *rstd2 = numbers_new(ROWS, 0, 0);
    float *dx = numbers_new(count, 1, 6), *dx2 = numbers_copy(dx, count);
    void *y = reals_new(s, count, 0, 0), *y2 = reals_new(s, count, 0, 0), *copy = reals_new(s, count, 0, 0);
    void *copy2 = reals_new(s, count, 0, 0);
    for (size_t i = 0; i < count; i++)
        x[i] += 0.5F * (float)(i / D % 3);
    s->k->layernorm_forward(y, copy, mean, rstd, x, w, b, ROWS, D, 1e-5F);
    s->reference->layernorm_forward(y2, copy2, mean2, rstd2, x, w, b, ROWS, D, 1e-5F);
    check_near("mean", s->table, mean, mean2, ROWS, 2e-6);
    check_near("rstd", s->table, rstd, rstd2, ROWS, 2e-6);
    check_reals("layernorm_forward", s, y, y2, count, 2e-6);
    assert_memory_equal(copy, copy2, bytes);
    s->k->layernorm_apply(y, copy, mean, rstd, w, b, ROWS, D);
    s->reference->layernorm_apply(y2, copy, mean, rstd, w, b, ROWS, D);
    check_reals("layernorm_apply", s, y, y2, count, 2e-6);
    s->k->layernorm_backward(dx, y, dy, copy, mean, rstd, w, ROWS, D);
    s->reference->layernorm_backward(dx2, y2, dy, copy, mean, rstd, w, ROWS, D);
    check_near("layernorm_backward", s->table, dx, dx2, count, 4e-6);
    s->reference->from_f32(y2, dx, count);
    assert_memory_equal(y, y2, bytes);
    FREE(x, w, dy, bias, mean, rstd, mean2, rstd2, dx, dx2, y, y2, copy, copy2);
}

static void test_layernorm(void **state)
{
    (void)state;
    FOR_EACH_SUBJECT(s) for (size_t i = 0; i < WIDTHS; i++)
    {
        if (widths[i] < 3)
            continue; /* rounding is all that is left of the variance of so few */
        check_layernorm(&s, widths[i], true);
        check_layernorm(&s, widths[i], false);
    }
}

/* Rows whose maximum stands in one place of two, grows from block to block, or follows blocks of -inf. */
static float *logits_new(size_t ld, size_t V, float scale)
{
    float *x = numbers_new(ROWS * ld, scale, 1);
    for (size_t row = 0; row < ROWS; row++) {
        float *at = x + row * ld;
        if (row % 3 == 0)
            at[row * 131 % V] = at[V - 1 - row % V] = 6 * scale;
        for (size_t i = 0; i < V && row % 3 == 1; i++)
            at[i] += 1e-2F * scale * (float)i;
        for (size_t i = 0; i + 1 < V && row % 3 == 2; i++)
            at[i] = i < V / 2 ? -INFINITY : at[i];
    }
    return x;
}

static void check_cross_entropy(const struct subject *s, size_t V, float scale, float cap)
{
    size_t ld = V + 3, ldd = ld + 2, on_row = ld * sizeof(float) / s->k->size, size = s->k->size;
    float dscale[ROWS];
    float *x = logits_new(ld, V, scale);
    if (cap != 0)
        s->table->cap_logits(x, ROWS, ld, cap);
    float *kept = numbers_copy(x, ROWS * ld);
    void *d = reals_new(s, ROWS * ldd, 1, 2), *d2 = reals_new(s, ROWS * ldd, 1, 2);
    int32_t targets[ROWS], best[ROWS], best2[ROWS];
    double loss[ROWS], loss2[ROWS], loss3[ROWS];
    for (size_t row = 0; row < ROWS; row++)
        targets[row] = (int32_t)(V - 1 - row * 5 % (V - V / 2));
    for (size_t row = 0; row < ROWS; row++)
        dscale[row] = 0.25F * ((float)(row % 4) - 1); /* none for some */
    s->reference->cross_entropy(loss2, best2, d2, ldd, x, ld, targets, ROWS, V, dscale, cap);
    s->k->cross_entropy(loss3, NULL, NULL, 0, x, ld, targets, ROWS, V, NULL, cap);
    s->k->cross_entropy(loss, best, d, ldd, x, ld, targets, ROWS, V, dscale, cap);
    assert_memory_equal(x, kept, ROWS * ld * sizeof *x);
    assert_memory_equal(loss, loss3, sizeof loss);
    assert_memory_equal(best, best2, sizeof best);
    for (size_t row = 0; row < ROWS; row++)
        assert_true(fabs(loss[row] - loss2[row]) <= 1e-6 * (1 + fabs(loss2[row])));
    check_reals("cross_entropy", s, d, d2, ROWS * ldd, 1e-6); /* and nothing after a row is written */

    s->k->cross_entropy(loss3, best, x, on_row, x, ld, targets, ROWS, V, dscale, cap);
    float *row_numbers = numbers_new(V, 0, 0);
    for (size_t row = 0; row < ROWS; row++) {
        assert_memory_equal((char *)x + row * on_row * size, (char *)d + row * ldd * size, V * size);
        assert_memory_equal(x + row * ld + V, kept + row * ld + V, 3 * sizeof *x);
        s->k->to_f32(row_numbers, (char *)d + row * ldd * size, V);
        double sum = 0;
        for (size_t i = 0; i < V; i++)
            sum += (double)row_numbers[i];
        /* rounding moves each of the row's numbers, whose sizes add up to at most 2 dscale, by 2^-9 of it */
        if (cap == 0)
            assert_true(fabs(sum) <= fabs((double)dscale[row]) * (s->f32 ? 1e-5 : 0x1p-8));
    }
    FREE(x, kept, d, d2, row_numbers);
}

static void test_cross_entropy(void **state)
{
    (void)state;
    FOR_EACH_SUBJECT(s)
    {
        for (size_t i = 0; i < WIDTHS; i++)
            check_cross_entropy(&s, widths[i], 2, 0);
        check_cross_entropy(&s, 4999, 1, 0);
        check_cross_entropy(&s, 4999, 1e4F, 0);
        check_cross_entropy(&s, 4999, 2, 13);
    }
}

static void check_dropout(const struct subject *s, size_t D)
{
    size_t count = ROWS * D;
    void *x = reals_new(s, count, 1, 1), *y = reals_new(s, count, 1, 2),
         *expected = reals_new(s, count, 1, 3);
    uint64_t samples[ROWS];
    int32_t positions[ROWS];
    for (size_t row = 0; row < ROWS; row++) {
        samples[row] = UINT64_C(0x123456789) * (row / 5);
        positions[row] = (int32_t)(row % 5);
    }
    struct rng_key key = rng_key_make(42, RNG_DROPOUT, 7);
    static const float rates[] = {0, 1e-9F, 0.1F, 0.5F, 0.999F};
    for (size_t r = 0; r < sizeof rates / sizeof *rates; r++) {
        s->reference->dropout(expected, x, key, samples, positions, ROWS, D, rates[r]);
        s->k->dropout(y, x, key, samples, positions, ROWS, D, rates[r]);
        if (s->f32)
            assert_memory_equal(y, expected, count * sizeof(float));
        check_reals("dropout", s, y, expected, count, 0);
    }
    s->k->dropout(x, x, key, samples, positions, ROWS, D, 0.999F);
    assert_memory_equal(x, y, count * s->k->size);
    FREE(x, y, expected);
}

static void test_dropout(void **state)
{
    (void)state;
    FOR_EACH_SUBJECT(s) for (size_t i = 0; i < WIDTHS; i++) check_dropout(&s, widths[i]);
}

static void test_elementwise(void **state)
{
    (void)state;
    FOR_EACH_SUBJECT(s) for (size_t i = 0; i < WIDTHS; i++)
    {
        size_t D = widths[i], ld = D + 2, count = ROWS * ld;
        void *x = reals_new(&s, count, 1, 1), *x2 = reals_new(&s, count, 1, 1);
        float *y = numbers_new(count, 1, 2), *y2 = numbers_copy(y, count);
        s.k->add_bias(x, ld, y, ROWS, D);
        s.reference->add_bias(x2, ld, y, ROWS, D);
        check_reals("add_bias", &s, x, x2, count, 1e-7);
        s.k->add(y, x, count);
        s.reference->add(y2, x, count);
        assert_memory_equal(y, y2, count * sizeof *y);
        FREE(x, x2, y, y2);
    }
}

/* All upper halves of a float with the lower halves around a tie: normal numbers, denormals, infinities and
 * NaN of both signs. */
static void test_rounding(void **state)
{
    (void)state;
    static const uint32_t lower[] = {0, 1, 0x7fff, 0x8000, 0x8001, 0xffff};
    enum { UPPER = 1 << 16, LOWER = sizeof lower / sizeof *lower, COUNT = UPPER * LOWER };
    uint32_t *bits = malloc(COUNT * sizeof *bits);
    uint16_t *rounded = malloc(COUNT * sizeof *rounded), *expected = malloc(COUNT * sizeof *expected);
    float *x = malloc(COUNT * sizeof *x);
    for (size_t i = 0; i < COUNT; i++)
        bits[i] = (uint32_t)(i / LOWER) << 16 | lower[i % LOWER];
    memcpy(x, bits, COUNT * sizeof *x);
    kern_reference.bf16.from_f32(expected, x, COUNT);
    FOR_EACH_ISA(k)
    {
        k->bf16.from_f32(rounded, x, COUNT);
        for (size_t i = 0; i < COUNT; i++) {
            assert_int_equal(rounded[i], dtype_f32_to_bf16(x[i]));
            if (isnan(x[i]))
                assert_true(isnan(dtype_bf16_to_f32(rounded[i])));
            else
                assert_int_equal(rounded[i], expected[i]);
            if (lower[i % LOWER] == 0 && !isnan(x[i]))
                assert_int_equal(rounded[i], bits[i] >> 16);
        }
    }
    FREE(bits, rounded, expected, x);
}

static void test_widening(void **state)
{
    (void)state;
    enum { COUNT = 1 << 16 };
    uint16_t *x = malloc(COUNT * sizeof *x);
    uint32_t *wide = malloc(COUNT * sizeof *wide);
    for (size_t i = 0; i < COUNT; i++)
        x[i] = (uint16_t)i;
    FOR_EACH_ISA(k)
    {
        float *y = numbers_new(COUNT, 0, 0);
        k->bf16.to_f32(y, x, COUNT);
        memcpy(wide, y, COUNT * sizeof *wide);
        for (size_t i = 0; i < COUNT; i++)
            assert_int_equal(wide[i], i << 16);
        free(y);
    }
    FREE(x, wide);
}

/* A NaN that goes into one row comes out of it, and of no other. */
static void test_nan_shows(void **state)
{
    (void)state;
    enum { N = 3, D = 40, BAD = 1 };
    static const uint64_t samples[N] = {1, 2, 3};
    static const int32_t ids[N] = {0, 1, 2};
    FOR_EACH_SUBJECT(s) for (size_t column = 0; column < D; column += 13)
    {
        float *x = numbers_new(N * D, 1, 1), *w = numbers_new(N * D, 1, 2), *out = numbers_new(N * D, 1, 3);
        float *dx = numbers_new(N * D, 0, 0), rstd[N];
        void *in = reals_new(&s, N * D, 1, 1), *y[6], *g = reals_new(&s, 2 * D, 0, 0);
        for (size_t i = 0; i < 6; i++)
            y[i] = reals_new(&s, N * D, 1, i);
        x[BAD * D + column] = NAN;
        s.k->rmsnorm_forward(y[0], y[1], rstd, x, w, N, D, 1e-5F);
        s.k->from_f32(in, x, N * D);
        rstd[BAD] = 1;
        s.k->rmsnorm_apply(y[2], in, rstd, w, N, D);
        s.k->rmsnorm_backward(dx, y[3], w, in, rstd, w, N, D);
        s.k->dropout(y[4], in, rng_key_make(1, RNG_DROPOUT, 2), samples, ids, N, D, 0.9F);
        memcpy(y[5], in, N * D * s.k->size);
        s.k->rope(y[5], D, ids, w, w, N, 1, D, D, 1);
        for (size_t i = 0; i < 6; i++) {
            s.k->to_f32(out, y[i], N * D);
            for (size_t row = 0; row < N; row++)
                assert_true((kern_first_nonfinite(out + row * D, D) < D) == (row == BAD));
        }
        s.k->gated[ACT_SILU].forward(y[0], in, 1, D); /* the NaN is in the half that is multiplied */
        s.k->to_f32(out, y[0], D);
        assert_int_equal(kern_first_nonfinite(out, D), column);
        s.k->gated[ACT_SILU].backward(g, w, in, 1, D);
        s.k->to_f32(out, g, 2 * D);
        assert_int_equal(kern_first_nonfinite(out, 2 * D), column);
        FREE(x, w, out, dx, in, g, y[0], y[1], y[2], y[3], y[4], y[5]);
    }
}

enum { RUN_ROWS = 41, RUN_WIDTH = 1031, RUN_COUNT = RUN_ROWS * RUN_WIDTH, RUN_PARTS = 12 };

/* Everything that runs on several threads, from numbers at some alignment: the results, one array after the
 * other. */
static void run_all(const struct kern_typed *k, float *result, size_t offset)
{
    enum { N = RUN_ROWS, D = RUN_WIDTH, COUNT = RUN_COUNT };
    float *w = numbers_new(2 * COUNT, 1, 2), *numbers = numbers_new(2 * COUNT, 1, 1), rstd[N];
    float *x = numbers_new(2 * COUNT + offset, 0, 0), *at[RUN_PARTS];
    char *reals = malloc((2 * COUNT + offset) * sizeof(float));
    void *in = reals + offset * k->size;
    int32_t ids[N];
    uint64_t samples[N];
    double loss[N];
    x = memcpy(x + offset, numbers, 2 * COUNT * sizeof *x);
    for (size_t row = 0; row < N; row++)
        samples[row] = (uint64_t)(ids[row] = (int32_t)row);
    for (size_t i = 0; i < RUN_PARTS; i++)
        at[i] = memset(result + i * COUNT, 0, COUNT * sizeof(float));
    k->from_f32(in, x, 2 * COUNT);
    k->to_f32(at[0], in, COUNT);
    k->rmsnorm_forward(at[1], at[2], rstd, x, w, N, D, 1e-5F);
    k->rmsnorm_apply(at[3], in, rstd, w, N, D);
    k->rmsnorm_backward(at[0], at[4], w, in, rstd, w, N, D);
    k->gated[ACT_SILU].forward(at[5], in, N, D);
    k->gated[ACT_SILU].backward(at[6], w, in, N, D); /* two parts */
    k->dropout(at[8], in, rng_key_make(1, RNG_DROPOUT, 2), samples, ids, N, D, 0.3F);
    k->add_bias(at[8], D, w, N, D);
    k->rope(at[8], D, ids, w, w + COUNT, N, 1, D - 1, D - 1, 1);
    k->add(at[9], in, COUNT);
    k->cross_entropy(loss, NULL, at[10], D, x, D, ids, N, D, w, 0);
    memcpy(at[11], loss, sizeof loss);
    FREE(w, numbers, x - offset, reals);
}

static void test_threads_and_alignment_do_not_matter(void **state)
{
    (void)state;
    FOR_EACH_SUBJECT(s)
    {
        float *one = numbers_new(RUN_PARTS * RUN_COUNT, 0, 1),
              *more = numbers_copy(one, RUN_PARTS * RUN_COUNT);
        gemm_set_threads(1);
        run_all(s.k, one, 0);
        for (int threads = 1; threads <= 4; threads++) {
            gemm_set_threads(threads);
            for (size_t offset = 0; offset < 4; offset++) {
                run_all(s.k, more, offset);
                assert_memory_equal(more, one, RUN_PARTS * RUN_COUNT * sizeof(float));
            }
        }
        gemm_set_threads(2);
        FREE(one, more);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rmsnorm),
        cmocka_unit_test(test_rmsnorm_heads),
        cmocka_unit_test(test_layernorm),
        cmocka_unit_test(test_rope),
        cmocka_unit_test(test_activations),
        cmocka_unit_test(test_activations_are_those_of_torch),
        cmocka_unit_test(test_xielu),
        cmocka_unit_test(test_cross_entropy),
        cmocka_unit_test(test_dropout),
        cmocka_unit_test(test_elementwise),
        cmocka_unit_test(test_rounding),
        cmocka_unit_test(test_widening),
        cmocka_unit_test(test_nan_shows),
        cmocka_unit_test(test_threads_and_alignment_do_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
