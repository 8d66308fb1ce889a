/*
 * For tests of attention: a pack with random inputs, held against the reference, against finite differences, and on
 * several numbers of threads. Include after cmocka.h.
 */
#ifndef MPILORA_TESTS_ATTENTION_FIXTURE_H
#define MPILORA_TESTS_ATTENTION_FIXTURE_H

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

static inline void round_inputs(struct fixture *f)
{
    const struct kern_typed *bf16 = &kern_reference.bf16;
    bf16->from_f32(f->bf16_qkv, f->qkv, f->n * f->ld);
    bf16->to_f32(f->qkv, f->bf16_qkv, f->n * f->ld);
}

/* Also takes the scratch for a pack with these prefixes. */
static inline void set_prefixes(struct fixture *f, const uint32_t *prefixes)
{
    const uint32_t *offsets = f->shape.offsets;
    size_t longest = 0, repeated = 0;
    for (size_t e = 0; e < f->shape.examples; e++) {
        size_t prefix = prefixes ? prefixes[e] : 0, length = prefix + offsets[e + 1] - offsets[e];
        longest = length > longest ? length : longest;
        repeated += prefix;
    }
    f->shape.prefixes = prefixes;
    size_t bytes = attention_scratch_bytes(&f->shape, f->n, repeated, longest, THREADS);
    /* the exact size at the end of an allocation: overruns show under AddressSanitizer */
    free(f->scratch);
    f->scratch = aligned_alloc(64, (bytes + 63) / 64 * 64);
    assert_non_null(f->scratch);
    memset(f->scratch, 0xFF, bytes); /* NaN, so that what is read before it is written shows */
}

static inline void fixture_init(struct fixture *f, enum dtype type, size_t heads, size_t kv_heads, size_t head_dim,
                         const uint32_t *offsets, size_t examples)
{
    f->scratch = NULL;
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
    set_prefixes(f, NULL);
}

static inline void fixture_release(struct fixture *f)
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

static inline void run(struct fixture *f)
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
static inline double rows_distance(const float *x, const float *reference, size_t n, size_t columns, size_t ld)
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
static const double attention_allowed[][3] = {
    [DTYPE_F32] = {1e-5, 1e-5, 1e-5},
    [DTYPE_BF16] = {2 * 0x1p-9, 1e-5, 12 * 0x1p-9},
};

static inline void check_against_reference(struct fixture *f)
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
        if (!(error[i] < attention_allowed[f->shape.type][i]))
            fail_msg("%s, %s: H %zu K %zu hd %zu n %zu: error %g of %s",
                     f->shape.kern ? f->shape.kern->name : "default", dtype_info(f->shape.type)->name,
                     f->shape.heads, f->shape.kv_heads, f->shape.head_dim, f->n, error[i], names[i]);
    free(out);
    free(lse);
    free(dqkv);
}

static const enum dtype types[] = {DTYPE_F32, DTYPE_BF16};
#define FOR_EACH_TYPE(type) for (const enum dtype *type = types; type < types + 2; type++)

/* loss = sum(out * dout), in double over the oracle's output */
static inline double loss_of(struct fixture *f, float *out, float *lse)
{
    attention_forward_reference(out, lse, f->qkv, f->ld, &f->shape);
    double loss = 0;
    for (size_t i = 0; i < f->n * f->width; i++)
        loss += (double)out[i] * (double)f->dout[i];
    return loss;
}

static inline void check_gradient_by_differences(size_t window, float cap, const uint32_t *prefixes)
{
    static const uint32_t offsets[] = {0, 3, 10};
    struct fixture f;
    fixture_init(&f, DTYPE_F32, 4, 2, 6, offsets, 2);
    set_prefixes(&f, prefixes);
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

static inline void check_threads(enum dtype type, const uint32_t *offsets, const uint32_t *prefixes, size_t examples,
                          size_t window)
{
    struct fixture one, f;
    gemm_set_threads(1);
    fixture_init(&one, type, 6, 2, 64, offsets, examples);
    set_prefixes(&one, prefixes);
    one.shape.window = window;
    run(&one);
    for (int threads = 2; threads <= THREADS; threads++) {
        gemm_set_threads(threads);
        fixture_init(&f, type, 6, 2, 64, offsets, examples);
        set_prefixes(&f, prefixes);
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

#endif
