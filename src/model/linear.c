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
    void *low;    /* scaling * x A^T [n, ranks] */
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

static void drop(const struct step *s, const struct step_rows *rows, const struct lora_module *m, void *y,
                 const void *x)
{
    s->real->dropout(y, x, dropout_key(s, m), rows->samples, rows->positions, rows->n, m->in,
                     s->lora->dropout);
}

static bool ends_half_block(enum linear_group g)
{
    return g == GROUP_ATTN_OUT || g == GROUP_MLP_OUT;
}

static enum dtype output_type(const struct step *s, enum linear_group g)
{
    return ends_half_block(g) || g == GROUP_HEAD ? DTYPE_F32 : s->type;
}

static const void *params_at(const struct step *s, size_t offset)
{
    return step_at(s, s->adapter, offset);
}

/* Moves on in an array that is written to. */
static void *move(void *x, enum dtype type, size_t count)
{
    return (char *)x + count * dtype_info(type)->block_bytes;
}

static void check_outputs(const struct step *s, size_t n, size_t layer, enum linear_group g, void *y,
                          size_t ld)
{
    enum dtype type = output_type(s, g);
    for (int l = 0; l <= LINEAR_HEAD; l++) {
        enum linear linear = (enum linear)l;
        char path[ARCH_PATH_SIZE];
        if (arch_group(linear) != g)
            continue;
        arch_module_path(path, layer, linear);
        step_check(s, type, move(y, type, arch_row_offset(&s->m->arch, linear)), ld, n,
                   arch_rows(&s->m->arch, linear), path);
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

static bool has_one_scaling(const struct adapted *ad)
{
    for (size_t i = 1; i < ad->count; i++)
        if (ad->modules[i]->scaling != ad->modules[0]->scaling)
            return false;
    return ad->count > 0;
}

/* low = scaling * dropout(x) A^T of a group */
static void go_down(const struct step *s, const struct step_rows *rows, const struct adapted *ad,
                    const void *x, size_t in)
{
    size_t n = rows->n;
    if (!s->dropout && has_one_scaling(ad)) { /* one product for all A */
        gemm(s->type, s->type, GEMM_N, GEMM_T, n, ad->ranks, in, ad->modules[0]->scaling, x, in,
             params_at(s, ad->a), in, 0, ad->low, ad->ranks);
        return;
    }
    for (size_t i = 0, first = 0; i < ad->count; first += ad->modules[i++]->rank) {
        const struct lora_module *m = ad->modules[i];
        if (s->dropout)
            drop(s, rows, m, s->acts->dropped, x);
        gemm(s->type, s->type, GEMM_N, GEMM_T, n, m->rank, in, m->scaling, s->dropout ? s->acts->dropped : x,
             in, params_at(s, m->a), in, 0, move(ad->low, s->type, first), ad->ranks);
    }
}

/* y += low B^T of a group */
static void go_up(const struct step *s, const struct adapted *ad, size_t n, void *y, size_t out,
                  enum dtype type)
{
    for (size_t i = 0, first = 0; i < ad->count; first += ad->modules[i++]->rank) {
        const struct lora_module *m = ad->modules[i];
        gemm(s->type, type, GEMM_N, GEMM_T, n, m->out, m->rank, 1, move(ad->low, s->type, first), ad->ranks,
             params_at(s, m->b), m->rank, 1, move(y, type, arch_row_offset(&s->m->arch, m->linear)), out);
    }
}

/*
 * The rows of a group are worked on in parts, so that a part of y or dy is still in the cache when the
 * adapter's products, which do little with each number, come to it.
 */
struct part {
    size_t first;
    struct step_rows rows;
    struct adapted ad;
};

static struct part first_part(const struct step *s, const struct step_rows *rows, size_t layer,
                              enum linear_group g)
{
    struct part p = {.rows = *rows, .ad = find_adapted(s, layer, g)};
    p.rows.n = rows->n < s->acts->size.part ? rows->n : s->acts->size.part;
    return p;
}

static void next_part(const struct step *s, struct part *p, const struct step_rows *rows)
{
    size_t done = p->rows.n, left = rows->n - p->first - done;
    p->first += done;
    p->rows.samples += done;
    p->rows.positions += done;
    p->rows.n = left < done ? left : done;
    p->ad.low = move(p->ad.low, s->type, done * p->ad.ranks);
}

void linear_forward(const struct step *s, const struct step_rows *rows, size_t layer, enum linear_group g,
                    void *y, const void *x)
{
    const struct arch *arch = &s->m->arch;
    const float *bias = g == GROUP_HEAD ? NULL : s->m->weights.layers[layer].bias[g];
    size_t out = arch_group_rows(arch, g), in = arch_group_columns(arch, g);
    enum dtype type = output_type(s, g);
    enum prof_phase before = prof_enter(base_phase(g));
    const void *weight = weights_group(&s->m->weights, layer, g);
    for (struct part p = first_part(s, rows, layer, g); p.rows.n > 0; next_part(s, &p, rows)) {
        const void *own_x = step_at(s, x, p.first * in);
        void *own_y = move(y, type, p.first * out);
        prof_enter(base_phase(g));
        gemm(s->type, type, GEMM_N, GEMM_T, p.rows.n, out, in, 1, own_x, in, weight, in,
             ends_half_block(g) ? 1 : 0, own_y, out);
        if (bias)
            kern_typed(s->kern, type)->add_bias(own_y, out, bias, p.rows.n, out);
        prof_enter(lora_phase(g));
        go_down(s, &p.rows, &p.ad, own_x, in);
        go_up(s, &p.ad, p.rows.n, own_y, out, type);
    }
    if (s->m->tap && !s->again)
        model_tap_add(s->m->tap, layer, g, x, rows->n);
    prof_enter(before);
    if (s->trace)
        check_outputs(s, rows->n, layer, g, y, out);
}

void linear_low_again(const struct step *s, const struct step_rows *rows, size_t layer, enum linear_group g,
                      const void *x)
{
    size_t in = arch_group_columns(&s->m->arch, g);
    enum prof_phase before = prof_enter(lora_phase(g));
    for (struct part p = first_part(s, rows, layer, g); p.rows.n > 0; next_part(s, &p, rows))
        go_down(s, &p.rows, &p.ad, step_at(s, x, p.first * in), in);
    prof_enter(before);
}

/* With z = scaling * x A^T and y += z B^T: dB += dy^T z, and scaling * dz = scaling * dy B, which serves A.
 */
static void backward_b(const struct step *s, const struct adapted *ad, size_t n, const void *dy, size_t ld)
{
    for (size_t i = 0, first = 0; i < ad->count; first += ad->modules[i++]->rank) {
        const struct lora_module *m = ad->modules[i];
        const void *own_dy = step_at(s, dy, arch_row_offset(&s->m->arch, m->linear));
        gemm(s->type, DTYPE_F32, GEMM_T, GEMM_N, m->out, m->rank, n, 1, own_dy, ld,
             move(ad->low, s->type, first), ad->ranks, 1, s->lora->grads + m->b, m->rank);
        gemm(s->type, s->type, GEMM_N, GEMM_N, n, m->rank, m->out, m->scaling, own_dy, ld, params_at(s, m->b),
             m->rank, 0, move(s->acts->dlow, s->type, first), ad->ranks);
    }
}

/* dA += dz^T x, dx += dz A: for all modules of the group at once. */
static void backward_a(const struct step *s, const struct adapted *ad, size_t n, float *dx, const void *x,
                       size_t in)
{
    const void *dlow = s->acts->dlow;
    gemm(s->type, DTYPE_F32, GEMM_T, GEMM_N, ad->ranks, in, n, 1, dlow, ad->ranks, x, in, 1,
         s->lora->grads + ad->a, in);
    if (dx)
        gemm(s->type, DTYPE_F32, GEMM_N, GEMM_N, n, in, ad->ranks, 1, dlow, ad->ranks, params_at(s, ad->a),
             in, 1, dx, in);
}

/* The same where each module saw x under a mask of its own. */
static void backward_a_dropout(const struct step *s, const struct adapted *ad, const struct step_rows *rows,
                               float *dx, const void *x, size_t in)
{
    size_t n = rows->n;
    void *dropped = s->acts->dropped;
    for (size_t i = 0, first = 0; i < ad->count; first += ad->modules[i++]->rank) {
        const struct lora_module *m = ad->modules[i];
        const void *dlow = step_at(s, s->acts->dlow, first);
        drop(s, rows, m, dropped, x);
        gemm(s->type, DTYPE_F32, GEMM_T, GEMM_N, m->rank, in, n, 1, dlow, ad->ranks, dropped, in, 1,
             s->lora->grads + m->a, in);
        if (!dx)
            continue;
        gemm(s->type, s->type, GEMM_N, GEMM_N, n, in, m->rank, 1, dlow, ad->ranks, params_at(s, m->a), in, 0,
             dropped, in);
        drop(s, rows, m, dropped, dropped);
        s->real->add(dx, dropped, n * in);
    }
}

void linear_backward(const struct step *s, const struct step_rows *rows, size_t layer, enum linear_group g,
                     float *dx, const void *dy, size_t ld, const void *x)
{
    const struct arch *arch = &s->m->arch;
    size_t out = arch_group_rows(arch, g), in = arch_group_columns(arch, g);
    enum prof_phase before = prof_enter(base_phase(g));
    const void *weight = dx ? weights_group(&s->m->weights, layer, g) : NULL;
    for (struct part p = first_part(s, rows, layer, g); p.rows.n > 0; next_part(s, &p, rows)) {
        const void *own_dy = step_at(s, dy, p.first * ld),
                   *own_x = p.ad.count ? step_at(s, x, p.first * in) : NULL;
        float *own_dx = dx ? dx + p.first * in : NULL;
        prof_enter(base_phase(g));
        if (dx)
            gemm(s->type, DTYPE_F32, GEMM_N, GEMM_N, p.rows.n, in, out, 1, own_dy, ld, weight, in, 0, own_dx,
                 in);
        prof_enter(lora_phase(g));
        if (p.ad.count)
            backward_b(s, &p.ad, p.rows.n, own_dy, ld);
        if (p.ad.count && s->dropout)
            backward_a_dropout(s, &p.ad, &p.rows, own_dx, own_x, in);
        else if (p.ad.count)
            backward_a(s, &p.ad, p.rows.n, own_dx, own_x, in);
    }
    prof_enter(before);
}
