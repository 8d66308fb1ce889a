#include "selftest_parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "math/gemm.h"
#include "math/kern.h"

enum {
    EDGE = 512,   /* of the matrices that are timed */
    REPEATS = 5,  /* the best one counts */
    SMALL = 61,   /* edge of those that are compared with plain loops: no multiple of a register */
    VECTOR = 4096 /* numbers that stay in the nearest cache */
};

struct operands {
    float *a, *b, *c, *expected;
    uint16_t *half_a, *half_b;
};

static enum err_code make_operands(struct operands *o, struct arena *arena, struct err *e)
{
    static const char what[] = "matrices";
    const size_t count = (size_t)EDGE * EDGE;
    if (!(o->a = arena_alloc(arena, count, sizeof *o->a, what, e)) ||
        !(o->b = arena_alloc(arena, count, sizeof *o->b, what, e)) ||
        !(o->c = arena_alloc(arena, count, sizeof *o->c, what, e)) ||
        !(o->expected = arena_alloc(arena, count, sizeof *o->expected, what, e)) ||
        !(o->half_a = arena_alloc(arena, count, sizeof *o->half_a, what, e)) ||
        !(o->half_b = arena_alloc(arena, count, sizeof *o->half_b, what, e)))
        return e->code;
    rng_fill_normal(o->a, rng_key_make(1, RNG_SAMPLE, 1), 0, count);
    rng_fill_normal(o->b, rng_key_make(1, RNG_SAMPLE, 2), 0, count);
    for (size_t i = 0; i < count; i++) {
        o->half_a[i] = dtype_f32_to_bf16(o->a[i]);
        o->half_b[i] = dtype_f32_to_bf16(o->b[i]);
    }
    return ERR_OK;
}

/* FLOP per second of products in this type. */
static double time_products(struct operands *o, enum dtype type)
{
    const void *a = type == DTYPE_F32 ? (const void *)o->a : o->half_a,
               *b = type == DTYPE_F32 ? (const void *)o->b : o->half_b;
    double best = INFINITY;
    for (int i = 0; i <= REPEATS; i++) { /* the first one sets up the threads */
        double begun = cpu_seconds();
        gemm(type, DTYPE_F32, GEMM_N, GEMM_T, EDGE, EDGE, EDGE, 1, a, EDGE, b, EDGE, 0, o->c, EDGE);
        double seconds = cpu_seconds() - begun;
        if (i > 0 && seconds < best)
            best = seconds;
    }
    return 2.0 * EDGE * EDGE * EDGE / best;
}

/* FLOP per second of our own y += a x on one thread, in the nearest cache. It reads two numbers and writes one for two
 * FLOP, so it stays below the rate of a good product, which keeps them in registers. */
static double time_vectors(struct operands *o)
{
    enum { TIMES = 2000 };
    const struct kern *k = kern_for(cpu_isa_best());
    double best = INFINITY;
    for (int i = 0; i <= REPEATS; i++) {
        double begun = cpu_seconds();
        for (int j = 0; j < TIMES; j++)
            k->axpy(o->c, 1e-3F, o->a, VECTOR);
        double seconds = cpu_seconds() - begun;
        if (i > 0 && seconds < best)
            best = seconds;
    }
    return 2.0 * VECTOR * TIMES / best;
}

/* Hardware threads of a core share its units for products: half as many threads may be as fast, or faster. */
static void try_fewer_threads(struct selftest *t, struct selftest_line *l, struct operands *o, double rate)
{
    const double worth = 1.05; /* a word: less is noise */
    const struct threads_rank *mine = &t->table[t->dist->rank];
    const int cores = threads_count_cores(mine, "/sys/devices/system/cpu");
    int processors = 0;
    for (size_t i = 0; i < sizeof mine->cpus / sizeof *mine->cpus; i++)
        processors += __builtin_popcountll(mine->cpus[i]);
    const int fewer = processors > 0 ? t->threads * cores / processors : 0;
    if (fewer < 1 || fewer >= t->threads)
        return;
    gemm_set_threads(fewer);
    const double with_fewer = time_products(o, DTYPE_F32);
    gemm_set_threads(t->threads);
    selftest_find(l, SELFTEST_FINE, NULL, "%d processors are hardware threads of %d core%s", processors,
                  cores, cores == 1 ? "" : "s");
    char cure[128];
    snprintf(cure, sizeof cure,
             "take --threads %d, or ask Slurm for cores without their second threads (--hint=nomultithread)",
             fewer);
    if (with_fewer > worth * rate)
        selftest_find(l, SELFTEST_SLOW, cure,
                      "%d threads, two or more on a core, multiply at %.0f GFLOPS, %d of them at %.0f",
                      t->threads, rate / 1e9, fewer, with_fewer / 1e9);
}

/* Threads that share their cores with other programs wait for one another: one thread alone is faster. */
static void try_one_thread(const struct selftest *t, struct selftest_line *l, double rate, double single)
{
    const double worth = 0.9; /* of one thread's rate: more is noise */
    if (t->threads > 1 && rate < worth * single)
        selftest_find(l, SELFTEST_SLOW,
                      "look for other programs and ranks on these cores (top), and run it again without them; if there "
                      "are none, fewer --threads are faster",
                      "%d threads multiply at %.0f GFLOPS, one of them alone at %.0f", t->threads, rate / 1e9,
                      single / 1e9);
}

/* Do products agree with plain loops? */
static bool is_right(struct operands *o, enum dtype type)
{
    const double most =
        1e-4 * SMALL; /* of sums of SMALL products of numbers of size 1: bits of f32, and some to spare */
    const void *a = type == DTYPE_F32 ? (const void *)o->a : o->half_a,
               *b = type == DTYPE_F32 ? (const void *)o->b : o->half_b;
    gemm(type, DTYPE_F32, GEMM_N, GEMM_T, SMALL, SMALL, SMALL, 1, a, EDGE, b, EDGE, 0, o->c, SMALL);
    gemm_reference(type, DTYPE_F32, GEMM_N, GEMM_T, SMALL, SMALL, SMALL, 1, a, EDGE, b, EDGE, 0, o->expected,
                   SMALL);
    for (size_t i = 0; i < (size_t)SMALL * SMALL; i++)
        if (!(fabs((double)o->c[i] - (double)o->expected[i]) < most))
            return false;
    return true;
}

/* Collective. Says it on the rank that computes with something else than most. */
static enum err_code compare_means(struct selftest *t, struct selftest_line *l, struct err *e)
{
    char means[256];
    bool certain = false;
    size_t odd = 0;
    snprintf(means, sizeof means, "%s, kernels %s", gemm_backend(), cpu_isa_name(cpu_isa_best()));
    if (selftest_find_odd(&odd, &certain, t->dist, means, e))
        return e->code;
    t->alike = odd == (size_t)t->dist->world;
    if (odd == (size_t)t->dist->rank)
        selftest_find(l, SELFTEST_SLOW,
                      "take hosts of one kind (srun --constraint): the fastest ranks wait for the slowest, "
                      "and the last bits of a result depend on which ranks run where",
                      "it computes with %s, unlike other ranks", means);
    return ERR_OK;
}

/* Collective. Do the others wait for this rank? */
static enum err_code compare_rates(struct selftest *t, struct selftest_line *l, double rate, struct err *e)
{
    const double most = 2;
    void *gathered = NULL;
    size_t bytes = 0;
    if (dist_gather_all(t->dist, &gathered, &bytes, NULL, &rate, sizeof rate, e))
        return e->code;
    const double *rates = gathered;
    double fastest = rates[0], slowest = rates[0];
    for (size_t i = 1; i < (size_t)t->dist->world; i++) {
        fastest = fmax(fastest, rates[i]);
        slowest = fmin(slowest, rates[i]);
    }
    free(gathered);
    selftest_number(l, "slowest_f32_gflops", slowest / 1e9);
    selftest_number(l, "fastest_f32_gflops", fastest / 1e9);
    if (rate * most < fastest)
        selftest_find(l, SELFTEST_SLOW,
                      "look there for other programs, a limit of power or shared cores; all ranks wait for "
                      "the slowest, so leave the host out if nothing helps",
                      "it multiplies at %.0f GFLOPS, another rank at %.0f", rate / 1e9, fastest / 1e9);
    return ERR_OK;
}

static const char *cure_of_slow_library(void)
{
    if (getenv("OPENBLAS_CORETYPE"))
        return "unset OPENBLAS_CORETYPE, or let it name the processor's kernels (Haswell with AVX2, SkylakeX "
               "with AVX-512)";
    if (gemm_uses(GEMM_ONEDNN))
        return "run it again when no other program uses these cores; if that changes nothing, try --gemm openblas";
    return "build with oneDNN (scripts/deps.sh), or with an OpenBLAS that knows this processor and has "
           "DYNAMIC_ARCH";
}

enum err_code selftest_products(struct selftest *t, struct selftest_line *l, struct err *e)
{
    static const char cure[] =
        "take another library (--gemm openblas or onednn), and have the host examined if both are wrong";
    struct arena arena = {0};
    struct operands o = {0};
    const bool half = gemm_bf16_is_fast() && t->options->gemm != GEMM_OPENBLAS;
    const double margin =
        1.5; /* good libraries reach three times and more, unsuitable kernels stay below one */
    double rate = 0, half_rate = 0, single = 0, vectors = 0;
    enum err_code code = dist_agree(t->dist, make_operands(&o, &arena, e), e);
    if (code)
        goto out;
    rate = time_products(&o, DTYPE_F32);
    half_rate = half ? time_products(&o, DTYPE_BF16) : 0;
    gemm_set_threads(1);
    single = time_products(&o, DTYPE_F32);
    vectors = time_vectors(&o);
    gemm_set_threads(t->threads);
    selftest_number(l, "f32_gflops", rate / 1e9);
    selftest_number(l, "bf16_gflops", half_rate / 1e9);
    selftest_number(l, "thread_f32_gflops", single / 1e9);
    selftest_number(l, "vector_gflops", vectors / 1e9);
    char of_bf16[64] = "no bf16 on this processor", of_one[32] = "";
    if (half)
        snprintf(of_bf16, sizeof of_bf16, "bf16 %.0f", half_rate / 1e9);
    if (t->threads > 1)
        snprintf(of_one, sizeof of_one, ", %.0f on one", single / 1e9);
    selftest_find(l, SELFTEST_FINE, NULL, "%s: f32 %.0f GFLOPS on %d thread%s%s; %s", gemm_backend(), rate / 1e9,
                  t->threads, t->threads == 1 ? "" : "s", of_one, of_bf16);
    try_fewer_threads(t, l, &o, rate);
    try_one_thread(t, l, rate, single);
    if (!is_right(&o, DTYPE_F32) || (half && !is_right(&o, DTYPE_BF16)))
        selftest_find(l, SELFTEST_WRONG, cure, "products are not what plain loops give, with %s",
                      gemm_backend());
    if (gemm_with_own_threads())
        selftest_find(
            l, SELFTEST_SLOW,
            "put its OpenMP build in its place (Debian: libopenblas0-openmp), or first into LD_LIBRARY_PATH",
            "%s is OpenBLAS with threads of its own, which get into the way of this program's",
            gemm_with_own_threads());
    if (single < margin * vectors)
        selftest_find(l, SELFTEST_SLOW, cure_of_slow_library(),
                      "%s multiplies at %.1f GFLOPS a thread, where a plain loop over vectors reaches %.1f",
                      gemm_backend(), single / 1e9, vectors / 1e9);
    if (half && half_rate < rate)
        selftest_find(l, SELFTEST_SLOW, "train with --dtype f32",
                      "bf16 at %.0f GFLOPS is slower than f32 at %.0f", half_rate / 1e9, rate / 1e9);
    code = compare_rates(t, l, rate, e);
    if (!code)
        code = compare_means(t, l, e);
out:
    arena_release(&arena);
    return code;
}
