#include "base/prof.h"
#include "math/gemm.h"
#include "math/parallel.h"
#include "model/tap.h"
#include "linear.h"

/* The adapted modules of a group, with what they share. */
struct adapted {
    const struct lora_module *modules[ARCH_MODULES];
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
    const struct arch_range range = arch_group(s->m->arch.family, g);
    for (size_t i = range.first; i < range.end; i++) {
        const struct lora_module *m = lora_at(&s->lora->layout, layer, i);
        if (m)
            found.modules[found.count++] = m;
    }
    found.ranks = lora_group_ranks(s->layout, layer, g, &found.a);
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
                     (float)s->lora->dropout);
}

static bool ends_branch(enum linear_group g)
{
    return g == GROUP_ATTN_OUT || g == GROUP_MLP_OUT;
}

/* What its outputs are multiplied with. */
static float output_scale(const struct step *s, enum linear_group g)
{
    float scale = s->m->arch.scale[g];
    return scale != 0 ? scale : 1;
}

static enum dtype output_type(const struct step *s, enum linear_group g)
{
    return ends_branch(g) || g == GROUP_HEAD ? DTYPE_F32 : s->type;
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
    const struct arch *a = &s->m->arch;
    const struct arch_range range = arch_group(a->family, g);
    enum dtype type = output_type(s, g);
    for (size_t i = range.first; i < range.end; i++) {
        char path[ARCH_PATH_SIZE];
        arch_module_path(path, a, layer, i);
        step_check(s, type, move(y, type, arch_row_offset(a, layer, i)), ld, n, arch_rows(a, layer, i), path);
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

/* low = scaling * dropout(x) A^T of a group; `dropped` is room for x under a mask. */
static void go_down(const struct step *s, const struct step_rows *rows, const struct adapted *ad,
                    const void *x, size_t in, void *dropped)
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
            drop(s, rows, m, dropped, x);
        gemm(s->type, s->type, GEMM_N, GEMM_T, n, m->rank, in, m->scaling, s->dropout ? dropped : x, in,
             params_at(s, m->a), in, 0, move(ad->low, s->type, first), ad->ranks);
    }
}

/* y[n, ld] += scale * low B^T of a group */
static void go_up(const struct step *s, const struct adapted *ad, size_t n, float scale, void *y, size_t ld,
                  enum dtype type)
{
    for (size_t i = 0, first = 0; i < ad->count; first += ad->modules[i++]->rank) {
        const struct lora_module *m = ad->modules[i];
        gemm(s->type, type, GEMM_N, GEMM_T, n, m->out, m->rank, scale, move(ad->low, s->type, first), ad->ranks,
             params_at(s, m->b), m->rank, 1, move(y, type, arch_row_offset(&s->m->arch, m->layer, m->linear)), ld);
    }
}

/* Some of the rows of a group, and what its products read and write of them. Forward has x and y, backward x,
 * dx and dy. */
struct part {
    const struct step *s;
    size_t first; /* of the rows of the call */
    struct step_rows rows;
    struct adapted ad;
    size_t in, out; /* columns of x; of W x */
    enum dtype type;
    float scale;   /* of y */
    const void *x; /* NULL: not to be read */
    void *y;       /* [n, ld] NULL: not wanted */
    float *dx;     /* NULL: not wanted */
    const void *dy; /* [n, ld] */
    size_t ld;
    void *dlow, *dropped;
};

/* Rows first .. first + count - 1 of a part. */
static struct part cut(const struct part *p, size_t first, size_t count)
{
    const struct step *s = p->s;
    struct part q = *p;
    q.first += first;
    q.rows = (struct step_rows){count, p->rows.samples + first, p->rows.positions + first};
    q.ad.low = p->ad.count ? move(p->ad.low, s->type, first * p->ad.ranks) : NULL;
    q.x = p->x ? step_at(s, p->x, first * p->in) : NULL;
    q.y = p->y ? move(p->y, p->type, first * p->ld) : NULL;
    q.dx = p->dx ? p->dx + first * p->in : NULL;
    q.dy = p->dy ? step_at(s, p->dy, first * p->ld) : NULL;
    q.dlow = p->dlow ? move(p->dlow, s->type, first * p->ad.ranks) : NULL; /* backward has one */
    q.dropped = s->dropout ? move(p->dropped, s->type, first * p->in) : NULL;
    return q;
}

static struct part all_rows(const struct step *s, const struct step_rows *rows, size_t layer,
                            enum linear_group g)
{
    return (struct part){.s = s,
                         .rows = *rows,
                         .ad = find_adapted(s, layer, g),
                         .in = arch_group_columns(&s->m->arch, layer, g),
                         .out = arch_group_rows(&s->m->arch, layer, g),
                         .type = output_type(s, g),
                         .scale = output_scale(s, g),
                         .dlow = s->acts->dlow,
                         .dropped = s->acts->dropped};
}

/*
 * A group is worked on a part of its rows at a time, so that a part of y or dy is still in the cache when the
 * adapter's products, which do little with each number, come to it; those that need nothing of other rows
 * take smaller blocks still, a thread each. The scratch arrays serve one part after the other.
 */
static struct part part_at(const struct part *all, size_t first)
{
    size_t left = all->rows.n - first, most = all->s->acts->size.part;
    struct part p = cut(all, first, left < most ? left : most);
    p.dlow = all->dlow;
    p.dropped = all->dropped;
    return p;
}

static size_t block_rows(const struct step *s)
{
    return s->acts->size.block;
}

static void go_down_block(void *context, size_t first, size_t count)
{
    struct part p = cut(context, first, count);
    go_down(p.s, &p.rows, &p.ad, p.x, p.in, p.dropped);
    if (p.y)
        go_up(p.s, &p.ad, count, p.scale, p.y, p.ld, p.type);
}

bool linear_is_adapted(const struct step *s, size_t layer, enum linear_group g)
{
    size_t a;
    return lora_group_ranks(s->layout, layer, g, &a) > 0;
}

void linear_forward(const struct step *s, const struct step_rows *rows, size_t layer, enum linear_group g,
                    void *y, size_t ld, const void *x)
{
    const float *bias = g == GROUP_HEAD ? s->m->weights.head_bias : s->m->weights.layers[layer].bias[g];
    struct part all = all_rows(s, rows, layer, g), p;
    enum prof_phase before = prof_enter(base_phase(g));
    const void *weight = weights_group(&s->m->weights, layer, g);
    all.x = x;
    all.y = y;
    all.ld = ld;
    for (size_t first = 0; first < rows->n; first += p.rows.n) {
        p = part_at(&all, first);
        prof_enter(base_phase(g));
        gemm(s->type, p.type, GEMM_N, GEMM_T, p.rows.n, p.out, p.in, p.scale, p.x, p.in, weight, p.in,
             ends_branch(g) ? 1 : 0, p.y, ld);
        if (bias)
            kern_typed(s->kern, p.type)->add_bias(p.y, ld, bias, p.rows.n, p.out);
        prof_enter(lora_phase(g));
        if (p.ad.count)
            parallel_blocks(p.rows.n, block_rows(s), go_down_block, &p);
    }
    if (s->m->tap && !s->recompute)
        model_tap_add(s->m->tap, layer, g, x, rows->n);
    prof_enter(before);
    if (s->trace)
        check_outputs(s, rows->n, layer, g, y, ld);
}

void linear_recompute_low(const struct step *s, const struct step_rows *rows, size_t layer,
                          enum linear_group g, const void *x)
{
    struct part all = all_rows(s, rows, layer, g), p;
    enum prof_phase before = prof_enter(lora_phase(g));
    all.x = x;
    for (size_t first = 0; all.ad.count && first < rows->n; first += p.rows.n) {
        p = part_at(&all, first);
        parallel_blocks(p.rows.n, block_rows(s), go_down_block, &p);
    }
    prof_enter(before);
}

/* With z = scaling * x A^T and y += scale * z B^T, scaling * dz = scaling * scale * dy B. Without dropout also
 * dx += dz A, for all modules of the group at once. */
static void back_down_block(void *context, size_t first, size_t count)
{
    struct part p = cut(context, first, count);
    const struct step *s = p.s;
    for (size_t i = 0, from = 0; i < p.ad.count; from += p.ad.modules[i++]->rank) {
        const struct lora_module *m = p.ad.modules[i];
        gemm(s->type, s->type, GEMM_N, GEMM_N, count, m->rank, m->out, m->scaling * p.scale,
             step_at(s, p.dy, arch_row_offset(&s->m->arch, m->layer, m->linear)), p.ld, params_at(s, m->b), m->rank, 0,
             move(p.dlow, s->type, from), p.ad.ranks);
    }
    if (p.dx && !s->dropout)
        gemm(s->type, DTYPE_F32, GEMM_N, GEMM_N, count, p.in, p.ad.ranks, 1, p.dlow, p.ad.ranks,
             params_at(s, p.ad.a), p.in, 1, p.dx, p.in);
}

/* dB += scale * dy^T z */
static void backward_b(const struct part *p)
{
    const struct step *s = p->s;
    for (size_t i = 0, from = 0; i < p->ad.count; from += p->ad.modules[i++]->rank) {
        const struct lora_module *m = p->ad.modules[i];
        gemm(s->type, DTYPE_F32, GEMM_T, GEMM_N, m->out, m->rank, p->rows.n, p->scale,
             step_at(s, p->dy, arch_row_offset(&s->m->arch, m->layer, m->linear)), p->ld,
             move(p->ad.low, s->type, from), p->ad.ranks, 1, s->grads->values + m->b, m->rank);
    }
}

/* dA += dz^T x, for all modules of the group at once. */
static void backward_a(const struct part *p)
{
    const struct step *s = p->s;
    gemm(s->type, DTYPE_F32, GEMM_T, GEMM_N, p->ad.ranks, p->in, p->rows.n, 1, p->dlow, p->ad.ranks, p->x,
         p->in, 1, s->grads->values + p->ad.a, p->in);
}

/* dA and dx where each module saw x under a mask of its own. */
static void backward_a_dropout(const struct part *p)
{
    const struct step *s = p->s;
    size_t n = p->rows.n, in = p->in;
    for (size_t i = 0, from = 0; i < p->ad.count; from += p->ad.modules[i++]->rank) {
        const struct lora_module *m = p->ad.modules[i];
        const void *dlow = step_at(s, p->dlow, from);
        drop(s, &p->rows, m, p->dropped, p->x);
        gemm(s->type, DTYPE_F32, GEMM_T, GEMM_N, m->rank, in, n, 1, dlow, p->ad.ranks, p->dropped, in, 1,
             s->grads->values + m->a, in);
        if (!p->dx)
            continue;
        gemm(s->type, s->type, GEMM_N, GEMM_N, n, in, m->rank, 1, dlow, p->ad.ranks, params_at(s, m->a), in,
             0, p->dropped, in);
        drop(s, &p->rows, m, p->dropped, p->dropped);
        s->real->add(p->dx, p->dropped, n * in);
    }
}

static void backward_adapted(struct part *p)
{
    parallel_blocks(p->rows.n, block_rows(p->s), back_down_block, p);
    backward_b(p);
    if (p->s->dropout)
        backward_a_dropout(p);
    else
        backward_a(p);
}

void linear_backward(const struct step *s, const struct step_rows *rows, size_t layer, enum linear_group g,
                     float *dx, const void *dy, size_t ld, const void *x)
{
    struct part all = all_rows(s, rows, layer, g), p;
    enum prof_phase before = prof_enter(base_phase(g));
    const void *weight = dx ? weights_group(&s->m->weights, layer, g) : NULL;
    all.x = all.ad.count ? x : NULL;
    all.dx = dx;
    all.dy = dy;
    all.ld = ld;
    for (size_t first = 0; first < rows->n; first += p.rows.n) {
        p = part_at(&all, first);
        prof_enter(base_phase(g));
        if (dx)
            gemm(s->type, DTYPE_F32, GEMM_N, GEMM_N, p.rows.n, p.in, p.out, p.scale, p.dy, ld, weight, p.in, 0,
                 p.dx, p.in);
        prof_enter(lora_phase(g));
        if (p.ad.count)
            backward_adapted(&p);
    }
    prof_enter(before);
}
