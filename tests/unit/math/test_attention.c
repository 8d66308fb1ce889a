#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "math/attention.h"
#include "math/gemm.h"
#include "math/kern.h"
#include "numbers.h"

/* One set of inputs and the two results. ld is wider than the columns; what lies beyond them must not change.
 */
struct fixture {
    struct attention_shape shape;
    size_t n, ld, width;
    float *qkv, *dout, *out, *lse, *dqkv;
    void *scratch;
};

static const float guard = 12345;

static void fixture_init(struct fixture *f, size_t heads, size_t kv_heads, size_t head_dim,
                         const uint32_t *offsets, size_t examples)
{
    f->shape = (struct attention_shape){.heads = heads,
                                        .kv_heads = kv_heads,
                                        .head_dim = head_dim,
                                        .scale = 1 / sqrtf((float)head_dim),
                                        .offsets = offsets,
                                        .examples = examples};
    f->n = offsets[examples];
    f->width = heads * head_dim;
    f->ld = (heads + 2 * kv_heads) * head_dim + 3;
    f->qkv = numbers_new(f->n * f->ld, 1, 1);
    f->dout = numbers_new(f->n * f->width, 1, 2);
    f->out = numbers_new(f->n * f->width, 1, 3);
    f->lse = numbers_new(f->n * heads, 1, 4);
    f->dqkv = numbers_new(f->n * f->ld, 1, 5);
    for (size_t row = 0; row < f->n; row++)
        for (size_t i = f->ld - 3; i < f->ld; i++)
            f->dqkv[row * f->ld + i] = guard;
    size_t longest = 0;
    for (size_t e = 0; e < examples; e++)
        longest = offsets[e + 1] - offsets[e] > longest ? offsets[e + 1] - offsets[e] : longest;
    size_t bytes = attention_scratch_bytes(&f->shape, f->n, longest, 4);
    /* the exact size at the end of an allocation: overruns show under AddressSanitizer */
    f->scratch = aligned_alloc(64, (bytes + 63) / 64 * 64);
    memset(f->scratch, 0xFF, bytes); /* NaN, so that what is read before it is written shows */
}

static void fixture_release(struct fixture *f)
{
    free(f->qkv);
    free(f->dout);
    free(f->out);
    free(f->lse);
    free(f->dqkv);
    free(f->scratch);
}

static void run(struct fixture *f)
{
    attention_forward(f->out, f->lse, f->qkv, f->ld, &f->shape, f->scratch);
    attention_backward(f->dqkv, f->dout, f->out, f->lse, f->qkv, f->ld, &f->shape, f->scratch);
}

static void check_against_reference(struct fixture *f)
{
    float *out = numbers_copy(f->out, f->n * f->width), *lse = numbers_copy(f->lse, f->n * f->shape.heads);
    float *dqkv = numbers_copy(f->dqkv, f->n * f->ld);
    run(f);
    attention_forward_reference(out, lse, f->qkv, f->ld, &f->shape);
    attention_backward_reference(dqkv, f->dout, f->qkv, f->ld, &f->shape);
    for (size_t row = 0; row < f->n; row++)
        for (size_t i = f->ld - 3; i < f->ld; i++)
            assert_true(f->dqkv[row * f->ld + i] == guard);
    double error[] = {numbers_distance(f->out, out, f->n * f->width),
                      numbers_distance(f->lse, lse, f->n * f->shape.heads), 0};
    for (size_t row = 0; row < f->n; row++) {
        double e = numbers_distance(f->dqkv + row * f->ld, dqkv + row * f->ld, f->ld - 3);
        error[2] = e > error[2] || isnan(e) ? e : error[2];
    }
    for (int i = 0; i < 3; i++)
        if (!(error[i] < 1e-5))
            fail_msg("%s: H %zu K %zu hd %zu n %zu: error %g of %s",
                     f->shape.kern ? f->shape.kern->name : "default", f->shape.heads, f->shape.kv_heads,
                     f->shape.head_dim, f->n, error[i],
                     i == 0   ? "out"
                     : i == 1 ? "lse"
                              : "dqkv");
    free(out);
    free(lse);
    free(dqkv);
}

static const uint32_t mixed[] = {0, 1, 1, 4, 21, 84, 148, 213, 214, 343};
enum { MIXED = sizeof mixed / sizeof *mixed - 1 };

static void test_matches_reference(void **state)
{
    (void)state;
    static const size_t shapes[][3] = {{1, 1, 2}, {4, 4, 16}, {6, 2, 10}, {9, 3, 64}, {4, 1, 80}};
    for (int isa = CPU_PORTABLE; isa <= (int)cpu_isa_best(); isa++) {
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            struct fixture f;
            fixture_init(&f, shapes[i][0], shapes[i][1], shapes[i][2], mixed, MIXED);
            f.shape.kern = kern_for((enum cpu_isa)isa);
            check_against_reference(&f);
            fixture_release(&f);
        }
    }
}

static void test_single_token_copies_value(void **state)
{
    (void)state;
    static const uint32_t offsets[] = {0, 1};
    struct fixture f;
    fixture_init(&f, 4, 2, 8, offsets, 1);
    run(&f);
    for (size_t head = 0; head < 4; head++)
        assert_memory_equal(f.out + head * 8, f.qkv + (4 + 2 + head / 2) * 8, 8 * sizeof(float));
    for (size_t i = 0; i < (4 + 2) * 8; i++) /* softmax of one score does not depend on q and k */
        assert_true(fabsf(f.dqkv[i]) < 1e-6F);
    fixture_release(&f);
}

/* loss = sum(out * dout), in double over the oracle's output */
static double loss_of(struct fixture *f, float *out, float *lse)
{
    attention_forward_reference(out, lse, f->qkv, f->ld, &f->shape);
    double loss = 0;
    for (size_t i = 0; i < f->n * f->width; i++)
        loss += (double)out[i] * (double)f->dout[i];
    return loss;
}

static void test_gradient_by_differences(void **state)
{
    (void)state;
    static const uint32_t offsets[] = {0, 3, 10};
    struct fixture f;
    fixture_init(&f, 4, 2, 6, offsets, 2);
    run(&f);
    float *out = numbers_copy(f.out, f.n * f.width), *lse = numbers_copy(f.lse, f.n * 4);
    float step = 0x1p-7F;
    for (size_t row = 0; row < f.n; row++) {
        for (size_t i = 0; i < f.ld - 3; i++) {
            float *x = f.qkv + row * f.ld + i, kept = *x;
            *x = kept + step;
            double high = loss_of(&f, out, lse), span = (double)*x;
            *x = kept - step;
            double low = loss_of(&f, out, lse);
            span -= (double)*x;
            *x = kept;
            double slope = (high - low) / span;
            if (!(fabs(slope - (double)f.dqkv[row * f.ld + i]) < 5e-4))
                fail_msg("dqkv(%zu, %zu) is %g, differences give %g", row, i, (double)f.dqkv[row * f.ld + i],
                         slope);
        }
    }
    free(out);
    free(lse);
    fixture_release(&f);
}

static void test_threads_do_not_matter(void **state)
{
    (void)state;
    struct fixture one, f;
    gemm_set_threads(1);
    fixture_init(&one, 9, 3, 64, mixed, MIXED);
    run(&one);
    for (int threads = 2; threads <= 4; threads++) {
        gemm_set_threads(threads);
        fixture_init(&f, 9, 3, 64, mixed, MIXED);
        run(&f);
        assert_memory_equal(f.out, one.out, f.n * f.width * sizeof(float));
        assert_memory_equal(f.lse, one.lse, f.n * 9 * sizeof(float));
        assert_memory_equal(f.dqkv, one.dqkv, f.n * f.ld * sizeof(float));
        fixture_release(&f);
    }
    gemm_set_threads(2);
    fixture_release(&one);
}

/* Each example of a pack alone, at another address and in another place: the same bits. */
static void test_pack_equals_examples_alone(void **state)
{
    (void)state;
    struct fixture pack;
    fixture_init(&pack, 6, 2, 64, mixed, MIXED);
    run(&pack);
    for (size_t e = 0; e < MIXED; e++) {
        uint32_t offsets[] = {0, mixed[e + 1] - mixed[e]};
        if (offsets[1] == 0)
            continue;
        struct fixture alone;
        fixture_init(&alone, 6, 2, 64, offsets, 1);
        memcpy(alone.qkv, pack.qkv + mixed[e] * pack.ld, alone.n * alone.ld * sizeof(float));
        memcpy(alone.dout, pack.dout + mixed[e] * pack.width, alone.n * alone.width * sizeof(float));
        run(&alone);
        assert_memory_equal(alone.out, pack.out + mixed[e] * pack.width,
                            alone.n * alone.width * sizeof(float));
        assert_memory_equal(alone.dqkv, pack.dqkv + mixed[e] * pack.ld, alone.n * alone.ld * sizeof(float));
        for (size_t head = 0; head < 6; head++)
            assert_memory_equal(alone.lse + head * alone.n, pack.lse + head * pack.n + mixed[e],
                                alone.n * sizeof(float));
        fixture_release(&alone);
    }
    fixture_release(&pack);
}

static void test_extreme_scores(void **state)
{
    (void)state;
    static const uint32_t offsets[] = {0, 70};
    struct fixture f;
    fixture_init(&f, 2, 1, 16, offsets, 1);
    for (size_t i = 0; i < f.n * f.ld; i++)
        f.qkv[i] *= 100; /* scores of about +-1e4 * 4 */
    run(&f);
    float *out = numbers_copy(f.out, f.n * f.width), *lse = numbers_copy(f.lse, f.n * 2);
    attention_forward_reference(out, lse, f.qkv, f.ld, &f.shape);
    assert_true(numbers_distance(f.lse, lse, f.n * 2) < 1e-5);
    assert_true(numbers_distance(f.out, out, f.n * f.width) < 1e-2);
    assert_int_equal(kern_first_nonfinite(f.dqkv, f.n * f.ld), f.n * f.ld);
    free(out);
    free(lse);
    fixture_release(&f);
}

static void test_nan_stays_in_its_example_and_shows(void **state)
{
    (void)state;
    static const uint32_t offsets[] = {0, 70, 140};
    struct fixture f;
    fixture_init(&f, 2, 2, 16, offsets, 2);
    f.qkv[5 * f.ld + 2 * 16 + 3] = NAN; /* a key of token 5 */
    run(&f);
    for (size_t token = 5; token < 70; token++)
        assert_true(isnan(f.out[token * f.width]));
    assert_true(isnan(f.dqkv[69 * f.ld]));
    assert_int_equal(kern_first_nonfinite(f.out + 70 * f.width, 70 * f.width), 70 * f.width);
    assert_int_equal(kern_first_nonfinite(f.dqkv + 70 * f.ld, 70 * f.ld), 70 * f.ld);
    fixture_release(&f);
}

/* Decoding position by position must give the rows of the whole forward. */
static void test_decode_matches_forward(void **state)
{
    (void)state;
    enum { N = 150, CAPACITY = 160, HD = 64 };
    static const uint32_t offsets[] = {0, N};
    for (int isa = CPU_PORTABLE; isa <= (int)cpu_isa_best(); isa++) {
        struct fixture f;
        fixture_init(&f, 6, 2, HD, offsets, 1);
        f.shape.kern = kern_for((enum cpu_isa)isa);
        run(&f);
        float *keys = numbers_new(2 * CAPACITY * HD, NAN, 1),
              *values = numbers_new(2 * CAPACITY * HD, NAN, 1);
        for (size_t token = 0; token < N; token++) {
            const float *row = f.qkv + token * f.ld;
            for (size_t head = 0; head < 2; head++) {
                size_t at = (head * CAPACITY + token) * HD;
                memcpy(keys + at, row + (6 + head) * HD, HD * sizeof(float));
                memcpy(values + at, row + (8 + head) * HD, HD * sizeof(float));
            }
            float out[6 * HD];
            attention_decode(out, row, keys, values, token + 1, CAPACITY, &f.shape);
            assert_true(numbers_distance(out, f.out + token * f.width, 6 * HD) < 1e-5);
        }
        free(keys);
        free(values);
        fixture_release(&f);
    }
}

static void test_scratch_is_linear(void **state)
{
    (void)state;
    struct attention_shape s = {.heads = 9, .kv_heads = 3, .head_dim = 64};
    size_t base = attention_scratch_bytes(&s, 1024, 1024, 2),
           twice = attention_scratch_bytes(&s, 2048, 2048, 2);
    assert_true(twice <= 2 * base);
    assert_true(twice < (size_t)2048 * 2048 * sizeof(float));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matches_reference),
        cmocka_unit_test(test_single_token_copies_value),
        cmocka_unit_test(test_gradient_by_differences),
        cmocka_unit_test(test_threads_do_not_matter),
        cmocka_unit_test(test_pack_equals_examples_alone),
        cmocka_unit_test(test_extreme_scores),
        cmocka_unit_test(test_nan_stays_in_its_example_and_shows),
        cmocka_unit_test(test_decode_matches_forward),
        cmocka_unit_test(test_scratch_is_linear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
