#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "kernels.h"
#include "math/attention.h"
#include "math/gemm.h"
#include "math/kern.h"
#include "numbers.h"

/* One set of inputs and the results, as floats; a bf16 shape works on copies in its type, so its inputs are
 * rounded first. ld is wider than the columns; what lies beyond them must not change. */
struct fixture {
    struct attention_shape shape;
    size_t n, ld, width;
    float *qkv, *dout, *out, *lse, *dqkv;
    uint16_t *bf16_qkv, *bf16_out, *bf16_dqkv;
    void *scratch;
};

static const float guard = 12288; /* a bf16, too */

enum { THREADS = 4 };

static void round_inputs(struct fixture *f)
{
    const struct kern_typed *bf16 = &kern_reference.bf16;
    bf16->from_f32(f->bf16_qkv, f->qkv, f->n * f->ld);
    bf16->to_f32(f->qkv, f->bf16_qkv, f->n * f->ld);
}

static void fixture_init(struct fixture *f, enum dtype type, size_t heads, size_t kv_heads, size_t head_dim,
                         const uint32_t *offsets, size_t examples)
{
    f->shape = (struct attention_shape){.type = type,
                                        .heads = heads,
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
    f->bf16_qkv = malloc(f->n * f->ld * sizeof(uint16_t));
    f->bf16_out = malloc(f->n * f->width * sizeof(uint16_t));
    f->bf16_dqkv = malloc(f->n * f->ld * sizeof(uint16_t));
    assert_true(f->bf16_qkv && f->bf16_out && f->bf16_dqkv);
    if (type == DTYPE_BF16)
        round_inputs(f);
    for (size_t row = 0; row < f->n; row++)
        for (size_t i = f->ld - 3; i < f->ld; i++)
            f->dqkv[row * f->ld + i] = guard;
    size_t longest = 0;
    for (size_t e = 0; e < examples; e++)
        longest = offsets[e + 1] - offsets[e] > longest ? offsets[e + 1] - offsets[e] : longest;
    size_t bytes = attention_scratch_bytes(&f->shape, f->n, longest, THREADS);
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
    free(f->bf16_qkv);
    free(f->bf16_out);
    free(f->bf16_dqkv);
    free(f->scratch);
}

static void run(struct fixture *f)
{
    const struct kern_typed *bf16 = &kern_reference.bf16;
    if (f->shape.type == DTYPE_F32) {
        attention_forward(f->out, f->lse, f->qkv, f->ld, &f->shape, f->scratch);
        attention_backward(f->dqkv, f->dout, f->out, f->lse, f->qkv, f->ld, &f->shape, f->scratch);
        return;
    }
    bf16->from_f32(f->bf16_qkv, f->qkv, f->n * f->ld);
    bf16->from_f32(f->bf16_dqkv, f->dqkv, f->n * f->ld);
    attention_forward(f->bf16_out, f->lse, f->bf16_qkv, f->ld, &f->shape, f->scratch);
    attention_backward(f->bf16_dqkv, f->dout, f->bf16_out, f->lse, f->bf16_qkv, f->ld, &f->shape, f->scratch);
    bf16->to_f32(f->out, f->bf16_out, f->n * f->width);
    bf16->to_f32(f->dqkv, f->bf16_dqkv, f->n * f->ld);
}

/* The largest numbers_distance() of a row, where a row counts as no smaller than the root mean square of all:
 * in a small one it is what cancelled that was rounded. */
static double rows_distance(const float *x, const float *reference, size_t n, size_t columns, size_t ld)
{
    double squares = 0, worst = 0;
    for (size_t i = 0; i < n * columns; i++)
        squares += pow((double)reference[i / columns * ld + i % columns], 2);
    double usual = sqrt(squares / (double)(n * columns));
    for (size_t row = 0; row < n; row++) {
        const float *y = reference + row * ld;
        double largest = 0, distance = numbers_distance(x + row * ld, y, columns);
        for (size_t i = 0; i < columns; i++)
            largest = fmax(largest, fabs((double)y[i]));
        distance *= largest / fmax(largest, usual);
        worst = distance > worst || isnan(distance) ? distance : worst;
    }
    return worst;
}

/*
 * Errors allowed, as a share of the largest number in the array (out, lse) or in the row (dqkv, see above).
 *
 * f32: sums of up to some thousand terms. bf16 rounds to 2^-9 of a number: the probabilities and the result
 * of out, one on top of the other; dout, probabilities, dscores, out (in delta) and the result of dqkv, of
 * which a row's small parts are differences of larger ones. lse is computed from exact products of bf16 in
 * f32.
 */
static const double allowed[][3] = {
    [DTYPE_F32] = {1e-5, 1e-5, 1e-5},
    [DTYPE_BF16] = {2 * 0x1p-9, 1e-5, 12 * 0x1p-9},
};

static void check_against_reference(struct fixture *f)
{
    static const char *const names[] = {"out", "lse", "dqkv"};
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
    error[2] = rows_distance(f->dqkv, dqkv, f->n, f->ld - 3, f->ld);
    for (int i = 0; i < 3; i++)
        if (!(error[i] < allowed[f->shape.type][i]))
            fail_msg("%s, %s: H %zu K %zu hd %zu n %zu: error %g of %s",
                     f->shape.kern ? f->shape.kern->name : "default", dtype_info(f->shape.type)->name,
                     f->shape.heads, f->shape.kv_heads, f->shape.head_dim, f->n, error[i], names[i]);
    free(out);
    free(lse);
    free(dqkv);
}

static const uint32_t mixed[] = {0, 1, 1, 4, 21, 84, 148, 213, 214, 344};
enum { MIXED = sizeof mixed / sizeof *mixed - 1 };

/* More than one tile of keys (700), more than two segments (1130), the ends of neither filled. */
static const uint32_t lengthy[] = {0, 63, 763, 763, 1893, 1958};
enum { LENGTHY = sizeof lengthy / sizeof *lengthy - 1 };

static const enum dtype types[] = {DTYPE_F32, DTYPE_BF16};
#define FOR_EACH_TYPE(type) for (const enum dtype *type = types; type < types + 2; type++)

static void test_matches_reference(void **state)
{
    (void)state;
    static const size_t shapes[][3] = {{1, 1, 2},   {4, 4, 16}, {6, 2, 10}, {9, 3, 64},
                                       {10, 1, 32}, {4, 1, 80}, {2, 1, 128}};
    for (int isa = CPU_PORTABLE; isa <= (int)cpu_isa_best(); isa++)
        FOR_EACH_TYPE(type) for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        {
            struct fixture f;
            fixture_init(&f, *type, shapes[i][0], shapes[i][1], shapes[i][2], mixed, MIXED);
            f.shape.kern = kern_for((enum cpu_isa)isa);
            check_against_reference(&f);
            fixture_release(&f);
        }
}

/* By way of the tiles' own plain kernels, which a processor of any kind can run. */
static void test_plain_tiles_match_reference(void **state)
{
    (void)state;
    static const uint32_t offsets[] = {0, 1, 66, 166};
    FOR_EACH_TYPE(type)
    {
        struct fixture f;
        fixture_init(&f, *type, 3, 1, 32, offsets, 3);
        f.shape.kern = &kern_reference;
        check_against_reference(&f);
        fixture_release(&f);
    }
}

static void test_long_examples_match_reference(void **state)
{
    (void)state;
    static const size_t shapes[][3] = {{3, 1, 16}, {8, 1, 8}, {2, 2, 12}};
    FOR_EACH_TYPE(type) for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
    {
        struct fixture f;
        fixture_init(&f, *type, shapes[i][0], shapes[i][1], shapes[i][2], lengthy, LENGTHY);
        check_against_reference(&f);
        fixture_release(&f);
    }
}

/* The same of heads that the kernels of tiles take. */
static void test_long_example_of_wide_heads_matches_reference(void **state)
{
    (void)state;
    static const uint32_t offsets[] = {0, 3, 563};
    FOR_EACH_TYPE(type)
    {
        struct fixture f;
        fixture_init(&f, *type, 3, 1, 32, offsets, 2);
        check_against_reference(&f);
        fixture_release(&f);
    }
}

/* Windows on both sides of the sizes of blocks (64), of a part's queries and of tiles (512); 2,000 bites nowhere. */
static const size_t windows[] = {1, 2, 15, 63, 64, 65, 100, 448, 512, 513, 700, 2000};
enum { WINDOWS = sizeof windows / sizeof *windows };

/* With a window of 70, queries 576 to 639 are a block of which only the first six see keys of the first segment. */
static const uint32_t two_segments[] = {0, 640};

static void check_limited(enum dtype type, const struct kern *kern, const size_t shape[3],
                          const uint32_t *offsets, size_t examples, size_t window, float cap)
{
    struct fixture f;
    fixture_init(&f, type, shape[0], shape[1], shape[2], offsets, examples);
    f.shape.kern = kern;
    f.shape.window = window;
    f.shape.cap = cap;
    check_against_reference(&f);
    fixture_release(&f);
}

static void test_windows_match_reference(void **state)
{
    (void)state;
    static const uint32_t long_enough[] = {0, 5, 565};
    static const size_t narrow[] = {2, 1, 4}, wide[] = {3, 1, 32};
    FOR_EACH_TYPE(type)
    {
        for (size_t i = 0; i < WINDOWS; i++)
            check_limited(*type, NULL, narrow, long_enough, 2, windows[i], 0);
        check_limited(*type, NULL, narrow, lengthy, LENGTHY, 100, 0);
        check_limited(*type, NULL, narrow, lengthy, LENGTHY, 600, 0);
        check_limited(*type, NULL, wide, mixed, MIXED, 50, 0); /* by the processor's own kernels of tiles */
        check_limited(*type, NULL, wide, mixed, MIXED, 70, 0);
        check_limited(*type, NULL, wide, two_segments, 1, 70, 0);
    }
}

/* By way of the tiles' own plain kernels. */
static void test_windows_of_plain_tiles_match_reference(void **state)
{
    (void)state;
    static const uint32_t offsets[] = {0, 1, 66, 166}, long_enough[] = {0, 540};
    static const size_t shape[] = {3, 1, 32};
    FOR_EACH_TYPE(type)
    {
        for (size_t i = 0; windows[i] < 166; i++)
            check_limited(*type, &kern_reference, shape, offsets, 3, windows[i], 0);
        check_limited(*type, &kern_reference, shape, long_enough, 1, 513, 0);
        check_limited(*type, &kern_reference, shape, two_segments, 1, 70, 0);
    }
}

/* Scores of up to some tens: a cap of 2 bends most of them, one of 50 hardly any. */
static void test_caps_match_reference(void **state)
{
    (void)state;
    static const size_t shape[] = {4, 2, 32};
    static const float caps[] = {2, 50};
    FOR_EACH_TYPE(type) for (size_t i = 0; i < 4; i++)
    {
        size_t window = i / 2 * 70;
        for (int isa = CPU_PORTABLE; isa <= (int)cpu_isa_best(); isa++)
            check_limited(*type, kern_for((enum cpu_isa)isa), shape, mixed, MIXED, window, caps[i % 2]);
        check_limited(*type, &kern_reference, shape, mixed, MIXED, window, caps[i % 2]);
    }
}

static void test_single_token_copies_value(void **state)
{
    (void)state;
    static const uint32_t offsets[] = {0, 1};
    struct fixture f;
    fixture_init(&f, DTYPE_F32, 4, 2, 8, offsets, 1);
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

static void check_gradient_by_differences(size_t window, float cap)
{
    static const uint32_t offsets[] = {0, 3, 10};
    struct fixture f;
    fixture_init(&f, DTYPE_F32, 4, 2, 6, offsets, 2);
    f.shape.window = window;
    f.shape.cap = cap;
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

static void test_gradient_by_differences(void **state)
{
    (void)state;
    check_gradient_by_differences(0, 0);
    check_gradient_by_differences(4, 0);
    check_gradient_by_differences(0, 1);
}

static void check_threads(enum dtype type, const uint32_t *offsets, size_t examples, size_t window)
{
    struct fixture one, f;
    gemm_set_threads(1);
    fixture_init(&one, type, 6, 2, 64, offsets, examples);
    one.shape.window = window;
    run(&one);
    for (int threads = 2; threads <= THREADS; threads++) {
        gemm_set_threads(threads);
        fixture_init(&f, type, 6, 2, 64, offsets, examples);
        f.shape.window = window;
        run(&f);
        assert_memory_equal(f.out, one.out, f.n * f.width * sizeof(float));
        assert_memory_equal(f.lse, one.lse, f.n * 6 * sizeof(float));
        assert_memory_equal(f.dqkv, one.dqkv, f.n * f.ld * sizeof(float));
        fixture_release(&f);
    }
    gemm_set_threads(2);
    fixture_release(&one);
}

static void test_threads_do_not_matter(void **state)
{
    (void)state;
    FOR_EACH_TYPE(type)
    {
        check_threads(*type, mixed, MIXED, 0);
        if (*type == DTYPE_BF16 && bf16_is_plain())
            continue;
        check_threads(*type, lengthy, LENGTHY, 0);
        check_threads(*type, lengthy, LENGTHY, 200);
    }
}

/* Each example of a pack alone, at another address and in another place: the same bits. */
static void check_examples_alone(enum dtype type, const uint32_t *all, size_t examples, size_t window)
{
    struct fixture pack;
    fixture_init(&pack, type, 6, 2, 64, all, examples);
    pack.shape.window = window;
    run(&pack);
    for (size_t e = 0; e < examples; e++) {
        uint32_t offsets[] = {0, all[e + 1] - all[e]};
        if (offsets[1] == 0)
            continue;
        struct fixture alone;
        fixture_init(&alone, type, 6, 2, 64, offsets, 1);
        alone.shape.window = window;
        memcpy(alone.qkv, pack.qkv + all[e] * pack.ld, alone.n * alone.ld * sizeof(float));
        memcpy(alone.dout, pack.dout + all[e] * pack.width, alone.n * alone.width * sizeof(float));
        run(&alone);
        assert_memory_equal(alone.out, pack.out + all[e] * pack.width, alone.n * alone.width * sizeof(float));
        assert_memory_equal(alone.dqkv, pack.dqkv + all[e] * pack.ld, alone.n * alone.ld * sizeof(float));
        for (size_t head = 0; head < 6; head++)
            assert_memory_equal(alone.lse + head * alone.n, pack.lse + head * pack.n + all[e],
                                alone.n * sizeof(float));
        fixture_release(&alone);
    }
    fixture_release(&pack);
}

static void test_pack_equals_examples_alone(void **state)
{
    (void)state;
    FOR_EACH_TYPE(type)
    {
        check_examples_alone(*type, mixed, MIXED, 0);
        if (*type == DTYPE_F32 || !bf16_is_plain())
            check_examples_alone(*type, lengthy, LENGTHY, 0);
        check_examples_alone(*type, lengthy, LENGTHY, 200);
    }
}

static void test_pack_of_nothing(void **state)
{
    (void)state;
    static const uint32_t offsets[] = {0, 0, 0};
    struct fixture f;
    fixture_init(&f, DTYPE_BF16, 2, 1, 16, offsets, 2);
    run(&f);
    fixture_release(&f);
}

static void test_extreme_scores(void **state)
{
    (void)state;
    static const uint32_t offsets[] = {0, 70};
    struct fixture f;
    fixture_init(&f, DTYPE_F32, 2, 1, 16, offsets, 1);
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

/* An example full of NaN between two others: those keep their bits. */
static void check_nan_stays_in_its_example_and_shows(size_t head_dim)
{
    enum { LENGTH = 70, WHOLE = 3 * LENGTH };
    static const uint32_t offsets[] = {0, LENGTH, 2 * LENGTH, WHOLE};
    FOR_EACH_TYPE(type)
    {
        struct fixture clean, f;
        fixture_init(&clean, *type, 4, 2, head_dim, offsets, 3);
        fixture_init(&f, *type, 4, 2, head_dim, offsets, 3);
        run(&clean);
        for (size_t i = LENGTH * f.ld; i < 2 * LENGTH * f.ld; i++)
            f.qkv[i] = NAN;
        run(&f);
        for (size_t token = 0; token < WHOLE; token++) {
            float *out = f.out + token * f.width, *dqkv = f.dqkv + token * f.ld;
            if (token / LENGTH == 1) {
                assert_int_equal(kern_first_nonfinite(out, f.width), 0);
                assert_int_equal(kern_first_nonfinite(dqkv, f.ld), 0);
                continue;
            }
            assert_memory_equal(out, clean.out + token * f.width, f.width * sizeof(float));
            assert_memory_equal(dqkv, clean.dqkv + token * f.ld, f.ld * sizeof(float));
        }
        fixture_release(&clean);
        fixture_release(&f);
    }
}

static void test_nan_stays_in_its_example_and_shows(void **state)
{
    (void)state;
    check_nan_stays_in_its_example_and_shows(8);
    check_nan_stays_in_its_example_and_shows(64);
}

/* One NaN, in a key: all queries that see it show it. */
static void check_one_nan_shows(size_t head_dim)
{
    static const uint32_t offsets[] = {0, 70};
    FOR_EACH_TYPE(type)
    {
        struct fixture f;
        fixture_init(&f, *type, 2, 2, head_dim, offsets, 1);
        f.qkv[5 * f.ld + 2 * head_dim + 3] = NAN;
        run(&f);
        for (size_t token = 5; token < f.n; token++)
            assert_true(isnan(f.out[token * f.width]));
        assert_true(isnan(f.dqkv[69 * f.ld]));
        fixture_release(&f);
    }
}

static void test_one_nan_shows(void **state)
{
    (void)state;
    check_one_nan_shows(8);
    check_one_nan_shows(64);
}

/* Decoding position by position must give the rows of the whole forward. */
static void check_decode_matches_forward(size_t window, float cap)
{
    enum { N = 150, CAPACITY = 160, HD = 64 };
    static const uint32_t offsets[] = {0, N};
    for (int isa = CPU_PORTABLE; isa <= (int)cpu_isa_best(); isa++) {
        struct fixture f;
        fixture_init(&f, DTYPE_F32, 6, 2, HD, offsets, 1);
        f.shape.kern = kern_for((enum cpu_isa)isa);
        f.shape.window = window;
        f.shape.cap = cap;
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

static void test_decode_matches_forward(void **state)
{
    (void)state;
    check_decode_matches_forward(0, 0);
    check_decode_matches_forward(40, 0);
    check_decode_matches_forward(0, 3);
}

static void test_scratch_is_linear(void **state)
{
    (void)state;
    FOR_EACH_TYPE(type)
    {
        struct attention_shape s = {.type = *type, .heads = 9, .kv_heads = 3, .head_dim = 64};
        size_t base = attention_scratch_bytes(&s, 1024, 1024, 2),
               twice = attention_scratch_bytes(&s, 2048, 2048, 2),
               large = attention_scratch_bytes(&s, 32768, 32768, 2);
        assert_true(twice <= 2 * base && large <= 32 * base);
        assert_true(large < (size_t)32768 * 10000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matches_reference),
        cmocka_unit_test(test_plain_tiles_match_reference),
        cmocka_unit_test(test_long_examples_match_reference),
        cmocka_unit_test(test_long_example_of_wide_heads_matches_reference),
        cmocka_unit_test(test_windows_match_reference),
        cmocka_unit_test(test_windows_of_plain_tiles_match_reference),
        cmocka_unit_test(test_caps_match_reference),
        cmocka_unit_test(test_single_token_copies_value),
        cmocka_unit_test(test_gradient_by_differences),
        cmocka_unit_test(test_threads_do_not_matter),
        cmocka_unit_test(test_pack_equals_examples_alone),
        cmocka_unit_test(test_pack_of_nothing),
        cmocka_unit_test(test_extreme_scores),
        cmocka_unit_test(test_nan_stays_in_its_example_and_shows),
        cmocka_unit_test(test_one_nan_shows),
        cmocka_unit_test(test_decode_matches_forward),
        cmocka_unit_test(test_scratch_is_linear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
