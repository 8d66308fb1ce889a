#ifdef KERN_HAVE_X86

/*
 * One register holds 16 words of a line: 16 columns of a product, or 16 queries of a tile. All passes go
 * along the keys, so that nothing is summed or compared across a register. Products of 6 rows by 64 columns
 * fill the 32 registers. Each function is written once, with the type as a constant (`bf16`) that the
 * compiler unfolds.
 */
#include "tiles.h"

#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "isa/vec_exp.h"

#define INLINE static inline __attribute__((always_inline))

#define LANES     ((size_t)TILES_LINE)
#define ROWS      ((size_t)6)
#define REGISTERS ((size_t)4)

INLINE __m512i load_words(const void *x, size_t word)
{
    return _mm512_loadu_si512((const char *)x + 4 * word);
}

INLINE void store_words(void *x, size_t word, __m512i words)
{
    _mm512_storeu_si512((char *)x + 4 * word, words);
}

INLINE __m512i repeat_word(const void *x, size_t word)
{
    int value;
    memcpy(&value, (const char *)x + 4 * word, sizeof value);
    return _mm512_set1_epi32(value);
}

/* ---- Products ---- */

INLINE __m512 multiply_add(const bool bf16, __m512 sum, __m512i a, __m512i b)
{
    return bf16 ? _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b)
                : _mm512_fmadd_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b), sum);
}

INLINE void product_tile(const bool bf16, const size_t rows, const size_t registers, size_t k,
                         struct tiles_left a, const void *b, size_t ldb, bool add, float *c, size_t ldc)
{
    __m512 sums[ROWS][REGISTERS];
#pragma GCC unroll 6
    for (size_t i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (size_t j = 0; j < registers; j++)
            sums[i][j] = add ? _mm512_loadu_ps(c + i * ldc + j * LANES) : _mm512_setzero_ps();
    for (size_t l = 0; l < k; l++) {
        __m512i line[REGISTERS];
#pragma GCC unroll 4
        for (size_t j = 0; j < registers; j++)
            line[j] = load_words(b, l * ldb + j * LANES);
#pragma GCC unroll 6
        for (size_t i = 0; i < rows; i++) {
            __m512i word = repeat_word(a.words, i * a.row + l * a.word);
#pragma GCC unroll 4
            for (size_t j = 0; j < registers; j++)
                sums[i][j] = multiply_add(bf16, sums[i][j], word, line[j]);
        }
    }
#pragma GCC unroll 6
    for (size_t i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (size_t j = 0; j < registers; j++)
            _mm512_storeu_ps(c + i * ldc + j * LANES, sums[i][j]);
}

INLINE void product_columns(const bool bf16, const size_t registers, size_t m, size_t k, struct tiles_left a,
                            const void *b, size_t ldb, bool add, float *c, size_t ldc)
{
    for (; m >= ROWS; m -= ROWS) {
        product_tile(bf16, ROWS, registers, k, a, b, ldb, add, c, ldc);
        a.words = (const char *)a.words + 4 * ROWS * a.row;
        c += ROWS * ldc;
    }
    if (m == 5)
        product_tile(bf16, 5, registers, k, a, b, ldb, add, c, ldc);
    else if (m == 4)
        product_tile(bf16, 4, registers, k, a, b, ldb, add, c, ldc);
    else if (m == 3)
        product_tile(bf16, 3, registers, k, a, b, ldb, add, c, ldc);
    else if (m == 2)
        product_tile(bf16, 2, registers, k, a, b, ldb, add, c, ldc);
    else if (m == 1)
        product_tile(bf16, 1, registers, k, a, b, ldb, add, c, ldc);
}

INLINE const void *at_word(const void *x, size_t word)
{
    return (const char *)x + 4 * word;
}

INLINE void product(const bool bf16, size_t m, size_t n, size_t k, struct tiles_left a, const void *b,
                    size_t ldb, bool add, float *c)
{
    size_t j = 0;
    for (; j + REGISTERS * LANES <= n; j += REGISTERS * LANES)
        product_columns(bf16, REGISTERS, m, k, a, at_word(b, j), ldb, add, c + j, n);
    for (; j + 2 * LANES <= n; j += 2 * LANES)
        product_columns(bf16, 2, m, k, a, at_word(b, j), ldb, add, c + j, n);
    if (j < n)
        product_columns(bf16, 1, m, k, a, at_word(b, j), ldb, add, c + j, n);
}

/* ---- Laying out ---- */

/* 16 rows of 16 words each become 16 columns. */
static void transpose_block(void *to, size_t ld_to, const void *from, size_t ld_from)
{
    __m512i x[LANES], y[LANES];
    for (size_t i = 0; i < LANES; i++)
        x[i] = load_words(from, i * ld_from);
    for (size_t i = 0; i < LANES; i += 2) {
        y[i] = _mm512_unpacklo_epi32(x[i], x[i + 1]);
        y[i + 1] = _mm512_unpackhi_epi32(x[i], x[i + 1]);
    }
    for (size_t i = 0; i < LANES; i += 4) { /* register i + j: column j of each quarter, rows i .. i + 3 */
        x[i] = _mm512_unpacklo_epi64(y[i], y[i + 2]);
        x[i + 1] = _mm512_unpackhi_epi64(y[i], y[i + 2]);
        x[i + 2] = _mm512_unpacklo_epi64(y[i + 1], y[i + 3]);
        x[i + 3] = _mm512_unpackhi_epi64(y[i + 1], y[i + 3]);
    }
    for (size_t j = 0; j < 4; j++) {
        __m512i low01 = _mm512_shuffle_i32x4(x[j], x[j + 4], 0x44);
        __m512i low23 = _mm512_shuffle_i32x4(x[j + 8], x[j + 12], 0x44);
        __m512i high01 = _mm512_shuffle_i32x4(x[j], x[j + 4], 0xEE);
        __m512i high23 = _mm512_shuffle_i32x4(x[j + 8], x[j + 12], 0xEE);
        store_words(to, j * ld_to, _mm512_shuffle_i32x4(low01, low23, 0x88));
        store_words(to, (j + 4) * ld_to, _mm512_shuffle_i32x4(low01, low23, 0xDD));
        store_words(to, (j + 8) * ld_to, _mm512_shuffle_i32x4(high01, high23, 0x88));
        store_words(to, (j + 12) * ld_to, _mm512_shuffle_i32x4(high01, high23, 0xDD));
    }
}

static void transpose_words(void *to, const void *x, size_t rows, size_t words)
{
    for (size_t row = 0; row < rows; row += LANES)
        for (size_t i = 0; i < words; i += LANES)
            transpose_block((char *)to + 4 * (i * rows + row), rows, at_word(x, row * words + i), words);
}

/* Positions of 16-bit numbers so that the two halves of a register alternate. */
INLINE __m512i alternating(void)
{
    const __m512i low = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    return _mm512_or_si512(low, _mm512_slli_epi32(_mm512_add_epi32(low, _mm512_set1_epi32(LANES)), 16));
}

static const void *lines_f32(void *place, const void *x, size_t rows, size_t columns)
{
    (void)place, (void)rows, (void)columns;
    return x;
}

static const void *lines_bf16(void *place, const void *x, size_t rows, size_t columns)
{
    const __m512i order = alternating();
    const uint16_t *from = x;
    for (size_t row = 0; row < rows; row += 2) {
        for (size_t i = 0; i < columns; i += LANES) {
            const uint16_t *here = from + row * columns + i;
            __m512i both = _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)here));
            both = _mm512_inserti64x4(both, _mm256_loadu_si256((const __m256i *)(here + columns)), 1);
            store_words(place, row / 2 * columns + i, _mm512_permutexvar_epi16(order, both));
        }
    }
    return place;
}

/* ---- Passes over scores ---- */

/* vec_exp2 of a register. */
INLINE __m512 exp2_lanes(__m512 x)
{
    const __m512 to_integer = _mm512_set1_ps(vec_exp2_to_integer);
    __m512 shifted = _mm512_add_ps(x, to_integer);
    __m512 f = _mm512_sub_ps(x, _mm512_sub_ps(shifted, to_integer));
    __m512 q = _mm512_set1_ps(vec_exp2_q[0]);
#pragma GCC unroll 4
    for (int i = 1; i < 5; i++)
        q = _mm512_fmadd_ps(q, f, _mm512_set1_ps(vec_exp2_q[i]));
    __m512 power = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(shifted), 23));
    __mmask16 in_range = _mm512_cmp_ps_mask(x, _mm512_set1_ps(vec_exp2_least), _CMP_NLT_UQ);
    return _mm512_maskz_mul_ps(in_range, _mm512_fmadd_ps(q, f, _mm512_set1_ps(1)), power);
}

/* Which of the queries lane .. lane + 15 see a key. */
INLINE __mmask16 seen_by(const struct tiles_part *part, size_t lane, size_t key)
{
    if (key <= part->first)
        return 0xFFFF;
    size_t from = (key - part->first) * part->heads, row = part->row + lane;
    unsigned shift = from <= row ? 0 : (unsigned)(from - row < LANES ? from - row : LANES);
    return (__mmask16)(0xFFFFU << shift);
}

/* Keys, an even number, that all queries see. */
static size_t clear_keys(const struct tiles_part *part)
{
    size_t seen = part->first + part->row / part->heads + 1;
    return seen < part->keys ? seen / 2 * 2 : part->keys;
}

static void shrink_rows(float *out, __m512 shrink, size_t head_dim)
{
    float factor[LANES];
    _mm512_storeu_ps(factor, shrink);
    for (size_t i = 0; i < LANES; i++) {
        __m512 here = _mm512_set1_ps(factor[i]);
        for (size_t j = 0; j < head_dim; j += LANES) {
            float *x = out + i * head_dim + j;
            _mm512_storeu_ps(x, _mm512_mul_ps(_mm512_loadu_ps(x), here));
        }
    }
}

/* The largest score of each lane, `max` included; comparisons leave NaN out, which shows in the sums. */
INLINE __m512 largest_scores(__m512 max, const float *scores, size_t lane, size_t clear,
                             const struct tiles_part *part)
{
    __m512 other = max;
    for (size_t key = 0; key < clear; key += 2) {
        max = _mm512_max_ps(_mm512_loadu_ps(scores + key * TILES_QUERIES + lane), max);
        other = _mm512_max_ps(_mm512_loadu_ps(scores + (key + 1) * TILES_QUERIES + lane), other);
    }
    for (size_t key = clear; key < part->keys; key++)
        max = _mm512_mask_max_ps(max, seen_by(part, lane, key),
                                 _mm512_loadu_ps(scores + key * TILES_QUERIES + lane), max);
    return _mm512_max_ps(max, other);
}

/* Stores the numbers of keys `key` and key + 1, as rows and, for bf16, their halves in one line of words. */
INLINE void store_rows(const bool bf16, void *to, size_t key, size_t lane, __m512 first, __m512 second)
{
    size_t at = key * TILES_QUERIES + lane;
    if (bf16) {
        __m512i both = (__m512i)_mm512_cvtne2ps_pbh(second, first);
        _mm256_storeu_si256((__m256i *)((uint16_t *)to + at), _mm512_castsi512_si256(both));
        _mm256_storeu_si256((__m256i *)((uint16_t *)to + at + TILES_QUERIES),
                            _mm512_extracti64x4_epi64(both, 1));
    } else {
        _mm512_storeu_ps((float *)to + at, first);
        _mm512_storeu_ps((float *)to + at + TILES_QUERIES, second);
    }
}

/* As words[keys / 2][TILES_QUERIES] of bf16. */
INLINE void store_line(void *to, size_t key, size_t lane, __m512i order, __m512 first, __m512 second)
{
    __m512i both = (__m512i)_mm512_cvtne2ps_pbh(second, first);
    store_words(to, key / 2 * TILES_QUERIES + lane, _mm512_permutexvar_epi16(order, both));
}

INLINE void softmax(const bool bf16, void *probs, const float *scores, float *max, float *sum, float *out,
                    size_t head_dim, const struct tiles_part *part)
{
    const __m512i order = alternating();
    const __m512 factor = _mm512_set1_ps(part->scale * LOG2_E);
    size_t clear = clear_keys(part);
    for (size_t lane = 0; lane < TILES_QUERIES; lane += LANES) {
        __m512 before = _mm512_loadu_ps(max + lane);
        __m512 largest = largest_scores(before, scores, lane, clear, part);
        __m512 even = _mm512_loadu_ps(sum + lane), odd = _mm512_setzero_ps();
        if (_mm512_cmp_ps_mask(largest, before, _CMP_GT_OQ)) { /* what was summed so far is rescaled */
            __m512 shrink = exp2_lanes(_mm512_mul_ps(_mm512_sub_ps(before, largest), factor));
            shrink_rows(out + lane * head_dim, shrink, head_dim);
            even = _mm512_mul_ps(even, shrink);
            _mm512_storeu_ps(max + lane, largest);
        }
        __m512 shift = _mm512_mul_ps(largest, factor);
        for (size_t key = 0; key < part->keys; key += 2) {
            const float *x = scores + key * TILES_QUERIES + lane;
            __m512 first = exp2_lanes(_mm512_fmsub_ps(_mm512_loadu_ps(x), factor, shift));
            __m512 second = exp2_lanes(_mm512_fmsub_ps(_mm512_loadu_ps(x + TILES_QUERIES), factor, shift));
            if (key >= clear) {
                first = _mm512_maskz_mov_ps(seen_by(part, lane, key), first);
                second = _mm512_maskz_mov_ps(seen_by(part, lane, key + 1), second);
            }
            even = _mm512_add_ps(even, first);
            odd = _mm512_add_ps(odd, second);
            if (bf16)
                store_line(probs, key, lane, order, first, second);
            else
                store_rows(false, probs, key, lane, first, second);
        }
        _mm512_storeu_ps(sum + lane, _mm512_add_ps(even, odd));
    }
}

INLINE void gradient(const bool bf16, void *probs, void *dscores, void *words, const float *scores,
                     const float *dprobs, const float *log2_sum, const float *delta,
                     const struct tiles_part *part)
{
    const __m512i order = alternating();
    const __m512 factor = _mm512_set1_ps(part->scale * LOG2_E);
    size_t clear = clear_keys(part);
    for (size_t lane = 0; lane < TILES_QUERIES; lane += LANES) {
        __m512 shift = _mm512_loadu_ps(log2_sum + lane), offset = _mm512_loadu_ps(delta + lane);
        for (size_t key = 0; key < part->keys; key += 2) {
            size_t x = key * TILES_QUERIES + lane, y = x + TILES_QUERIES;
            __m512 p = exp2_lanes(_mm512_fmsub_ps(_mm512_loadu_ps(scores + x), factor, shift));
            __m512 q = exp2_lanes(_mm512_fmsub_ps(_mm512_loadu_ps(scores + y), factor, shift));
            __m512 dp = _mm512_mul_ps(p, _mm512_sub_ps(_mm512_loadu_ps(dprobs + x), offset));
            __m512 dq = _mm512_mul_ps(q, _mm512_sub_ps(_mm512_loadu_ps(dprobs + y), offset));
            if (key >= clear) {
                __mmask16 first = seen_by(part, lane, key), second = seen_by(part, lane, key + 1);
                p = _mm512_maskz_mov_ps(first, p);
                dp = _mm512_maskz_mov_ps(first, dp);
                q = _mm512_maskz_mov_ps(second, q);
                dq = _mm512_maskz_mov_ps(second, dq);
            }
            store_rows(bf16, probs, key, lane, p, q);
            store_rows(bf16, dscores, key, lane, dp, dq);
            if (bf16)
                store_line(words, key, lane, order, dp, dq);
        }
    }
}

/* ---- The tables ---- */

static void transpose_f32(void *words, const void *x, size_t rows, size_t columns)
{
    transpose_words(words, x, rows, columns);
}

static void transpose_bf16(void *words, const void *x, size_t rows, size_t columns)
{
    transpose_words(words, x, rows, columns / 2);
}

#define TILES(type, bf16)                                                                                    \
    static void product_##type(size_t m, size_t n, size_t k, struct tiles_left a, const void *b, size_t ldb, \
                               bool add, float *c)                                                           \
    {                                                                                                        \
        product(bf16, m, n, k, a, b, ldb, add, c);                                                           \
    }                                                                                                        \
    static void softmax_##type(void *probs, const float *scores, float *max, float *sum, float *out,         \
                               size_t head_dim, const struct tiles_part *part)                               \
    {                                                                                                        \
        softmax(bf16, probs, scores, max, sum, out, head_dim, part);                                         \
    }                                                                                                        \
    static void gradient_##type(void *probs, void *dscores, void *words, const float *scores,                \
                                const float *dprobs, const float *log2_sum, const float *delta,              \
                                const struct tiles_part *part)                                               \
    {                                                                                                        \
        gradient(bf16, probs, dscores, words, scores, dprobs, log2_sum, delta, part);                        \
    }                                                                                                        \
    const struct tiles tiles_avx512_##type = {(bf16) ? 2 : 1, product_##type, transpose_##type,              \
                                              lines_##type,   softmax_##type, gradient_##type};

TILES(f32, false)
TILES(bf16, true)

#else
typedef int tiles_avx512_is_not_built; /* a file of C must not be empty */
#endif
