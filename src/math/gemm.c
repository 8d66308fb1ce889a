#include "math/gemm.h"

#include <strings.h>

void gemm_f32_reference(enum gemm_op op_a, enum gemm_op op_b, size_t m, size_t n, size_t k, float alpha,
                        const float *a, size_t lda, const float *b, size_t ldb, float beta, float *c,
                        size_t ldc)
{
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j++) {
            double sum = 0;
            for (size_t l = 0; l < k; l++) {
                float x = op_a == GEMM_N ? a[i * lda + l] : a[l * lda + i];
                float y = op_b == GEMM_N ? b[l * ldb + j] : b[j * ldb + l];
                sum += (double)x * y;
            }
            double kept = beta != 0 ? (double)beta * c[i * ldc + j] : 0;
            c[i * ldc + j] = (float)(alpha * sum + kept);
        }
    }
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
