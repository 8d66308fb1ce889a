#include "base/prof.h"
#include "math/gemm.h"
#include "model/tap.h"
#include "step.h"

/* The adapted modules of a group, with what they share. */
struct adapted {
    const struct lora_module *modules[LINEAR_COUNT + 1];
    size_t count;
    size_t ranks; /* of all of them */
    size_t a;     /* flat offset of their A [ranks, columns] */
    float *low;   /* x A^T [n, ranks] */
};

static struct adapted find_adapted(const struct step *s, size_t layer, enum linear_group g)
{
    struct adapted found = {0};
    if (!s->lora)
        return found;
    for (int l = 0; l <= LINEAR_HEAD; l++) {
        const struct lora_module *m =
            arch_group((enum linear)l) == g ? lora_at(s->lora, layer, (enum linear)l) : NULL;
        if (m)
            found.modules[found.count++] = m;
    }
    found.ranks = lora_group_ranks(s->lora, layer, g, &found.a);
    found.low = acts_low(s->acts, layer, g);
    return found;
}

static struct rng_key dropout_key(const struct step *s, const struct lora_module *m)
{
    return rng_key_make(s->lora->seed, RNG_DROPOUT, rng_hash(m->path));
}

static void drop(const struct step *s, const struct step_rows *rows, const struct lora_module *m, float *y,
                 const float *x)
{
    s->kern->dropout(y, x, dropout_key(s, m), rows->samples, rows->positions, rows->n, m->in,
                     s->lora->dropout);
}

static void check_outputs(const struct step *s, size_t n, size_t layer, enum linear_group g, const float *y,
                          size_t ld)
{
    for (int l = 0; l <= LINEAR_HEAD; l++) {
        enum linear linear = (enum linear)l;
        char path[ARCH_PATH_SIZE];
        if (arch_group(linear) != g)
            continue;
        arch_module_path(path, layer, linear);
        step_check(s, y + arch_row_offset(&s->m->arch, linear), ld, n, arch_rows(&s->m->arch, linear), path);
    }
}

static enum prof_phase base_phase(enum linear_group g)
{
    return g == GROUP_HEAD ? PROF_HEAD : PROF_BASE_GEMM;
}

static enum prof_phase lora_phase(enum linear_group g)
{
    return g == GROUP_HEAD ? PROF_HEAD : PROF_LORA_GEMM;
}

void linear_forward(const struct step *s, const struct step_rows *rows, size_t layer, enum linear_group g,
                    float *y, const float *x, float beta)
{
    const struct arch *arch = &s->m->arch;
    const struct layer_weights *w = &s->m->weights.layers[layer];
    const float *weight = weights_group(&s->m->weights, layer, g);
    const float *bias = g == GROUP_HEAD ? NULL : w->bias[g];
    size_t n = rows->n, out = arch_group_rows(arch, g), in = arch_group_columns(arch, g);
    enum prof_phase before = prof_enter(base_phase(g));
    gemm_f32(GEMM_N, GEMM_T, n, out, in, 1, x, in, weight, in, beta, y, out);
    if (s->m->tap)
        model_tap_add(s->m->tap, layer, g, x, n);
    if (bias)
        s->kern->add_bias(y, out, bias, n, out);
    struct adapted ad = find_adapted(s, layer, g);
    prof_enter(lora_phase(g));
    if (ad.count && !s->dropout) /* one product for all A */
        gemm_f32(GEMM_N, GEMM_T, n, ad.ranks, in, 1, x, in, s->lora->params + ad.a, in, 0, ad.low, ad.ranks);
    for (size_t i = 0, first = 0; i < ad.count; first += ad.modules[i++]->rank) {
        const struct lora_module *m = ad.modules[i];
        float *low = ad.low + first;
        if (s->dropout) {
            drop(s, rows, m, s->acts->dropped, x);
            gemm_f32(GEMM_N, GEMM_T, n, m->rank, in, 1, s->acts->dropped, in, s->lora->params + m->a, in, 0,
                     low, ad.ranks);
        }
        gemm_f32(GEMM_N, GEMM_T, n, m->out, m->rank, m->scaling, low, ad.ranks, s->lora->params + m->b,
                 m->rank, 1, y + arch_row_offset(arch, m->linear), out);
    }
    prof_enter(before);
    if (s->trace)
        check_outputs(s, n, layer, g, y, out);
}

/* With z = x A^T and y += scaling * z B^T: dB += scaling * dy^T z, dz = scaling * dy B. */
static void backward_b(const struct step *s, const struct adapted *ad, size_t n, const float *dy, size_t ld)
{
    for (size_t i = 0, first = 0; i < ad->count; first += ad->modules[i++]->rank) {
        const struct lora_module *m = ad->modules[i];
        const float *own_dy = dy + arch_row_offset(&s->m->arch, m->linear);
        gemm_f32(GEMM_T, GEMM_N, m->out, m->rank, n, m->scaling, own_dy, ld, ad->low + first, ad->ranks, 1,
                 s->lora->grads + m->b, m->rank);
        gemm_f32(GEMM_N, GEMM_N, n, m->rank, m->out, m->scaling, own_dy, ld, s->lora->params + m->b, m->rank,
                 0, s->acts->dlow + first, ad->ranks);
    }
}

/* dA += dz^T x, dx += dz A: for all modules of the group at once. */
static void backward_a(const struct step *s, const struct adapted *ad, size_t n, float *dx, const float *x,
                       size_t in)
{
    const float *dlow = s->acts->dlow;
    gemm_f32(GEMM_T, GEMM_N, ad->ranks, in, n, 1, dlow, ad->ranks, x, in, 1, s->lora->grads + ad->a, in);
    if (dx)
        gemm_f32(GEMM_N, GEMM_N, n, in, ad->ranks, 1, dlow, ad->ranks, s->lora->params + ad->a, in, 1, dx,
                 in);
}

/* The same where each module saw x under a mask of its own. */
static void backward_a_dropout(const struct step *s, const struct adapted *ad, const struct step_rows *rows,
                               float *dx, const float *x, size_t in)
{
    size_t n = rows->n;
    float *dropped = s->acts->dropped;
    for (size_t i = 0, first = 0; i < ad->count; first += ad->modules[i++]->rank) {
        const struct lora_module *m = ad->modules[i];
        const float *dlow = s->acts->dlow + first;
        drop(s, rows, m, dropped, x);
        gemm_f32(GEMM_T, GEMM_N, m->rank, in, n, 1, dlow, ad->ranks, dropped, in, 1, s->lora->grads + m->a,
                 in);
        if (!dx)
            continue;
        gemm_f32(GEMM_N, GEMM_N, n, in, m->rank, 1, dlow, ad->ranks, s->lora->params + m->a, in, 0, dropped,
                 in);
        drop(s, rows, m, dropped, dropped);
        s->kern->axpy(dx, 1, dropped, n * in);
    }
}

void linear_backward(const struct step *s, const struct step_rows *rows, size_t layer, enum linear_group g,
                     float *dx, const float *dy, const float *x)
{
    const struct arch *arch = &s->m->arch;
    const float *weight = weights_group(&s->m->weights, layer, g);
    size_t n = rows->n, out = arch_group_rows(arch, g), in = arch_group_columns(arch, g);
    enum prof_phase before = prof_enter(base_phase(g));
    if (dx)
        gemm_f32(GEMM_N, GEMM_N, n, in, out, 1, dy, out, weight, in, 0, dx, in);
    prof_enter(lora_phase(g));
    struct adapted ad = find_adapted(s, layer, g);
    if (ad.count)
        backward_b(s, &ad, n, dy, out);
    if (ad.count && s->dropout)
        backward_a_dropout(s, &ad, rows, dx, x, in);
    else if (ad.count)
        backward_a(s, &ad, n, dx, x, in);
    prof_enter(before);
}
