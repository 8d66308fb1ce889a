#include "math/gemm.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "gemm_backend.h"

/* Those that are not built in are NULL. */
static const struct gemm_backend *const backends[GEMM_LIBRARIES] = {
    [GEMM_OPENBLAS] = &gemm_openblas,
#ifdef MPILORA_HAVE_ONEDNN
    [GEMM_ONEDNN] = &gemm_onednn,
#endif
};

static const struct gemm_backend *chosen; /* NULL: nothing was chosen yet, which means auto */

/*
 * The rule of `auto`: oneDNN where it is built in and the processor has AVX2, otherwise OpenBLAS. GFLOPS,
 * oneDNN 2.6.3 | OpenBLAS 0.3.21 (SkylakeX), 2 threads of an EPYC of family 25 model 17, n = 2048 tokens:
 *
 *     x W^T     2048 x 3072 x 576 190 | 176      dy W      2048 x 576 x 3072 195 | 180
 *     x A^T     2048 x 32 x 576   210 |  45      z B^T     2048 x 1536 x 16  118 |  79
 *     dy^T z    1536 x 16 x 2048   75 |  25      dy B      2048 x 16 x 1536  204 |  27
 *     logits    128 x 49152 x 576 128 | 133      attention 64 x 64 x 256     163 | 142
 *
 * It is at least as good but for few wide products, and by far better at those of LoRA.
 */
static const struct gemm_backend *auto_backend(void)
{
    const struct gemm_backend *onednn = backends[GEMM_ONEDNN];
    return onednn && cpu_isa_best() >= CPU_AVX2 ? onednn : &gemm_openblas;
}

static const struct gemm_backend *current(void)
{
    const struct gemm_backend *backend = __atomic_load_n(&chosen, __ATOMIC_RELAXED);
    if (!backend) {
        backend = auto_backend();
        __atomic_store_n(&chosen, backend, __ATOMIC_RELAXED);
    }
    return backend;
}

bool gemm_uses(enum gemm_library library)
{
    return current() == backends[library];
}

enum err_code gemm_choose(enum gemm_library library, struct err *e)
{
    const struct gemm_backend *backend = library == GEMM_AUTO ? auto_backend() : backends[library];
    if (!backend)
        return err_set(
            e, ERR_UNSUPPORTED,
            "--gemm onednn: this mpilora was built without it; build it where the library is found, or "
            "take --gemm auto");
    __atomic_store_n(&chosen, backend, __ATOMIC_RELAXED);
    return ERR_OK;
}

const char *gemm_backend(void)
{
    static char text[160];
    char openblas[96], other[48];
    const struct gemm_backend *backend = current();
    gemm_openblas.describe(openblas, sizeof openblas);
    if (backend == &gemm_openblas)
        return strcpy(text, openblas);
    backend->describe(other, sizeof other);
    snprintf(text, sizeof text, "%s for f32, %s", other, openblas);
    return text;
}

static bool fits(size_t m, size_t n, size_t k, size_t lda, size_t ldb, size_t ldc)
{
    return m <= INT_MAX && n <= INT_MAX && k <= INT_MAX && lda <= INT_MAX && ldb <= INT_MAX && ldc <= INT_MAX;
}

void gemm_f32(enum gemm_op op_a, enum gemm_op op_b, size_t m, size_t n, size_t k, float alpha, const float *a,
              size_t lda, const float *b, size_t ldb, float beta, float *c, size_t ldc)
{
    assert(fits(m, n, k, lda, ldb, ldc));
    if (k == 0) /* libraries refuse the zero strides that such operands tend to have */
        gemm_f32_reference(op_a, op_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
    else if (m > 0 && n > 0)
        current()->f32(op_a, op_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

void gemm(enum dtype in, enum dtype out, enum gemm_op op_a, enum gemm_op op_b, size_t m, size_t n, size_t k,
          float alpha, const void *a, size_t lda, const void *b, size_t ldb, float beta, void *c, size_t ldc)
{
    if (in == DTYPE_F32 && out == DTYPE_F32) {
        gemm_f32(op_a, op_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
        return;
    }
    assert(in == DTYPE_BF16 && (out == DTYPE_BF16 || out == DTYPE_F32));
    assert(fits(m, n, k, lda, ldb, ldc));
#ifdef MPILORA_HAVE_ONEDNN
    if (m > 0 && n > 0 && k > 0 && gemm_onednn_has_avx512()) {
        gemm_onednn_matmul(in, out, op_a, op_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, true);
        return;
    }
#endif
    gemm_reference(in, out, op_a, op_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

void gemm_tile(enum dtype in, enum gemm_op op_a, enum gemm_op op_b, size_t m, size_t n, size_t k,
               const void *a, const void *b, float beta, float *c)
{
    size_t lda = op_a == GEMM_N ? k : m, ldb = op_b == GEMM_N ? n : k;
#ifdef MPILORA_HAVE_ONEDNN
    bool by_onednn = in == DTYPE_F32 ? current() == &gemm_onednn : gemm_onednn_has_avx512();
    if (by_onednn && m > 0 && n > 0 && k > 0) {
        assert(fits(m, n, k, lda, ldb, n));
        gemm_onednn_matmul(in, DTYPE_F32, op_a, op_b, m, n, k, 1, a, lda, b, ldb, beta, c, n, false);
        return;
    }
#endif
    gemm(in, DTYPE_F32, op_a, op_b, m, n, k, 1, a, lda, b, ldb, beta, c, n);
}

bool gemm_has_bf16(void)
{
#ifdef MPILORA_HAVE_ONEDNN
    return true;
#else
    return false;
#endif
}

bool gemm_bf16_is_fast(void)
{
#ifdef MPILORA_HAVE_ONEDNN
    return cpu_has_bf16() && gemm_onednn_allows_bf16();
#else
    return false;
#endif
}

static double load(enum dtype type, const void *x, size_t i)
{
    return type == DTYPE_F32 ? ((const float *)x)[i] : dtype_bf16_to_f32(((const uint16_t *)x)[i]);
}

/* Of a row of A and `count` columns of B that begin at these elements; the terms of a sum in the order of k. */
static inline void add_products(double *sums, size_t count, enum dtype type, size_t k, const void *a,
                                size_t a_at, size_t a_step, const void *b, size_t b_at, size_t b_column,
                                size_t b_step)
{
    for (size_t j = 0; j < count; j++)
        sums[j] = 0;
    for (size_t l = 0; l < k; l++) {
        const double x = load(type, a, a_at + l * a_step);
        for (size_t j = 0; j < count; j++)
            sums[j] += x * load(type, b, b_at + l * b_step + j * b_column);
    }
}

void gemm_reference(enum dtype in, enum dtype out, enum gemm_op op_a, enum gemm_op op_b, size_t m, size_t n,
                    size_t k, float alpha, const void *a, size_t lda, const void *b, size_t ldb, float beta,
                    void *c, size_t ldc)
{
    const size_t a_row = op_a == GEMM_N ? lda : 1, a_step = op_a == GEMM_N ? 1 : lda;
    const size_t b_column = op_b == GEMM_N ? 1 : ldb, b_step = op_b == GEMM_N ? ldb : 1;
    enum { SIDE = 8 }; /* columns at a time: a sum waits for its last term, and these not for each other */
    for (size_t i = 0; i < m; i++)
        for (size_t first = 0; first < n; first += SIDE) {
            double sums[SIDE];
            const size_t b_at = first * b_column, count = n - first < SIDE ? n - first : SIDE;
            if (count == SIDE) /* a constant, for the compiler */
                add_products(sums, SIDE, in, k, a, i * a_row, a_step, b, b_at, b_column, b_step);
            else
                add_products(sums, count, in, k, a, i * a_row, a_step, b, b_at, b_column, b_step);
            for (size_t side = 0, at = i * ldc + first; side < count; side++, at++) {
                double kept = beta != 0 ? beta * load(out, c, at) : 0;
                float result = (float)(alpha * sums[side] + kept);
                if (out == DTYPE_F32)
                    ((float *)c)[at] = result;
                else
                    ((uint16_t *)c)[at] = dtype_f32_to_bf16(result);
            }
        }
}

void gemm_f32_reference(enum gemm_op op_a, enum gemm_op op_b, size_t m, size_t n, size_t k, float alpha,
                        const float *a, size_t lda, const float *b, size_t ldb, float beta, float *c,
                        size_t ldc)
{
    gemm_reference(DTYPE_F32, DTYPE_F32, op_a, op_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

/*
 * What OpenBLAS should run where it chose something narrower than the processor. An unknown processor falls
 * back to SSE3 kernels (Prescott) or to those of its maker's last known family (Zen, Haswell). Best of
 * several runs in GFLOPS, OpenBLAS 0.3.21, EPYC of family 25 model 17, m=512 n=1536 k=576, on 1 | 2 threads:
 *
 *     Prescott 36 | 36    Haswell 92 | 158    Zen 88 | 172    SkylakeX 88 | 161    Cooperlake 86 | 182
 *
 * That processor does 512 bits in two halves, so AVX-512 is no loss there, and a gain on those with full
 * width. Cooperlake and SapphireRapids differ from SkylakeX in bf16 only: they are left as they are.
 */
static const struct {
    enum cpu_isa isa;
    const char *core;
    const char *as_good[8]; /* choices that need no change */
} core_rules[] = {
    {CPU_AVX512, "SkylakeX", {"SkylakeX", "Cooperlake", "SapphireRapids"}},
    {CPU_AVX2, "Haswell", {"Haswell", "Zen", "Excavator", "SkylakeX", "Cooperlake", "SapphireRapids"}},
};

const char *gemm_core_for(enum cpu_isa isa, const char *detected)
{
    for (size_t i = 0; i < sizeof core_rules / sizeof *core_rules; i++) {
        if (core_rules[i].isa != isa)
            continue;
        for (const char *const *good = core_rules[i].as_good; *good; good++)
            if (strcasecmp(detected, *good) == 0)
                return NULL;
        return core_rules[i].core;
    }
    return NULL;
}
