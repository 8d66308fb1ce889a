#include "report_data.h"

#include <stdlib.h>
#include <string.h>

#define EARLY_STEPS     10   /* claim 4 looks at traced steps up to this one */
#define SMALL_INFLUENCE 0.1  /* of W x */
#define BALANCE         10   /* largest over median module */
#define RANK_TOLERANCE  1e-4 /* of the largest singular value: what is below counts as 0 */
#define LARGE_OFFSET    0.1  /* nats per token */
#define HARDER_TO_TRAIN 0.01 /* nats per token of eval loss */

struct making {
    struct report *r;
    struct err *e;
    struct report_claim *claim;
};

static void use_cell(const struct making *m, const struct report_cell *c)
{
    struct report_claim *k = m->claim;
    for (size_t i = 0; i < k->cell_count; i++)
        if (k->cells[i] == c)
            return;
    k->cells[k->cell_count++] = c;
}

static void add_check(const struct making *m, const char *criterion, enum report_verdict verdict,
                      const char *measured)
{
    m->claim->checks[m->claim->check_count++] = (struct report_check){
        .criterion = criterion,
        .measured = verdict == REPORT_NOT_MEASURED ? "no finished cell has recorded this" : measured,
        .verdict = measured ? verdict : REPORT_NOT_MEASURED};
}

static enum report_verdict judge(bool held)
{
    return held ? REPORT_HELD : REPORT_NOT_HELD;
}

static bool is_done_as(const struct report_cell *c, int kind)
{
    const struct report_scheme *s = report_scheme_of(c);
    return c->status == REPORT_DONE && s && (s->kind & kind) == kind;
}

/* A finished, traced cell of this scheme whose trace begins before the first step. */
static bool is_traced(const struct report_cell *c)
{
    return c->status == REPORT_DONE && c->trace.steps > 0 && c->trace.step[0] == 0;
}

/* 1: B = 0 starts at the base. */
static void check_start(const struct making *m)
{
    double largest = 0;
    size_t count = 0;
    for (size_t i = 0; i < m->r->count; i++) {
        const struct report_cell *c = &m->r->cells[i];
        if (!is_done_as(c, REPORT_B_ZERO) || isnan(c->trace.logit_difference))
            continue;
        use_cell(m, c);
        count++;
        largest = fmax(largest, c->trace.logit_difference);
    }
    add_check(m, "the largest difference of any logit, with and without the adapter, is exactly 0",
              count ? judge(largest == 0) : REPORT_NOT_MEASURED,
              report_textf(m->r, m->e, "%.3g over %zu cells with B = 0", largest, count));
}

/* 2: normal A lets gradients reach the adapter. */
static void check_gradients(const struct making *m)
{
    double a_at_0 = 0, b_low = INFINITY, b_high = 0, a_later = INFINITY;
    size_t count = 0, later = 0;
    for (size_t i = 0; i < m->r->count; i++) {
        const struct report_cell *c = &m->r->cells[i];
        if (!is_traced(c) || !report_has(c, "lora-init", "normal"))
            continue;
        use_cell(m, c);
        count++;
        struct report_spread a = report_modules(&c->trace, REPORT_GRAD_A, 0);
        struct report_spread b = report_modules(&c->trace, REPORT_GRAD_B, 0);
        a_at_0 = a.count < c->trace.modules ? INFINITY : fmax(a_at_0, a.high);
        b_low = b.count < c->trace.modules ? 0 : fmin(b_low, b.low);
        b_high = fmax(b_high, b.high);
        if (c->trace.steps > 1)
            a = report_modules(&c->trace, REPORT_GRAD_A, 1);
        if (c->trace.steps > 1 && a.count) { /* none: the row after the last step */
            a_later = a.count < c->trace.modules ? 0 : fmin(a_later, a.low);
            later++;
        }
    }
    add_check(m, "before the first step the gradient of B is finite and not 0 in every module",
              count ? judge(b_low > 0 && isfinite(b_high)) : REPORT_NOT_MEASURED,
              report_textf(m->r, m->e, "norms from %.3g to %.3g", b_low, b_high));
    add_check(m, "before the first step the gradient of A is exactly 0 in every module",
              count ? judge(a_at_0 == 0) : REPORT_NOT_MEASURED,
              report_textf(m->r, m->e, "largest norm %.3g", a_at_0));
    add_check(m, "at the next traced step the gradient of A is not 0 in any module",
              later ? judge(a_later > 0) : REPORT_NOT_MEASURED,
              report_textf(m->r, m->e, "smallest norm %.3g", a_later));
}

/* Singular values of B A above the tolerance. */
static size_t numerical_rank(const double *singular, size_t count)
{
    size_t rank = 0;
    while (rank < count && singular[rank] > RANK_TOLERANCE * singular[0])
        rank++;
    return rank;
}

struct ranks {
    size_t modules, full; /* modules whose rank is r */
    size_t low, high;
};

static struct ranks ranks_of_scheme(const struct making *m, const char *scheme)
{
    struct ranks found = {.low = SIZE_MAX};
    for (size_t i = 0; i < m->r->count; i++) {
        const struct report_cell *c = &m->r->cells[i];
        const struct report_trace *t = &c->trace;
        if (!is_traced(c) || !t->ranks || !report_has(c, "lora-init", scheme))
            continue;
        use_cell(m, c);
        for (size_t k = 0; k < t->modules; k++) {
            size_t rank =
                numerical_rank(t->singular + ((t->steps - 1) * t->modules + k) * t->ranks, t->ranks);
            found.low = rank < found.low ? rank : found.low;
            found.high = rank > found.high ? rank : found.high;
            found.full += rank == t->ranks;
            found.modules++;
        }
    }
    return found;
}

/* 3: a random A explores, a constant one cannot. */
static void check_rank(const struct making *m)
{
    struct ranks constant = ranks_of_scheme(m, "constant"), normal = ranks_of_scheme(m, "normal");
    add_check(m, "constant A: B A has numerical rank 1 in every module, to the end",
              constant.modules ? judge(constant.low == 1 && constant.high == 1) : REPORT_NOT_MEASURED,
              report_textf(m->r, m->e, "rank %zu to %zu over %zu modules", constant.low, constant.high,
                           constant.modules));
    add_check(m, "random A: B A reaches the full rank r in at least 9 of 10 modules",
              normal.modules ? judge(10 * normal.full >= 9 * normal.modules) : REPORT_NOT_MEASURED,
              report_textf(m->r, m->e, "full rank in %zu of %zu modules, the lowest rank is %zu", normal.full,
                           normal.modules, normal.low));
    struct report_group best;
    if (report_best(&best, m->r, "normal", m->e))
        return;
    struct report_spread s = report_spread(&best, report_final_loss);
    add_check(m, "the spread over seeds is known: at least two seeds have finished",
              s.count > 1 ? REPORT_HELD : REPORT_NOT_MEASURED,
              report_textf(m->r, m->e, "final eval loss of random A from %.4f to %.4f over %zu seeds", s.low,
                           s.high, s.count));
    for (size_t i = 0; s.count > 1 && i < best.count; i++)
        use_cell(m, best.cells[i]);
}

/* 4: early influence is small and balanced. */
static void check_influence(const struct making *m)
{
    struct report_group best;
    double at_0 = 0, largest = 0, imbalance = 0, step = 0;
    size_t count = 0, later = 0;
    if (report_best(&best, m->r, "normal", m->e))
        return;
    for (size_t i = 0; i < best.count; i++) {
        const struct report_trace *t = &best.cells[i]->trace;
        if (!is_traced(best.cells[i]))
            continue;
        use_cell(m, best.cells[i]);
        count++;
        at_0 = fmax(at_0, report_modules(t, REPORT_OUTPUT_RATIO, 0).high);
        for (size_t k = 1; k < t->steps && t->step[k] <= EARLY_STEPS; k++) {
            struct report_spread s = report_modules(t, REPORT_OUTPUT_RATIO, k);
            if (!s.count)
                continue;
            later++;
            step = fmax(step, t->step[k]);
            largest = s.count < t->modules ? INFINITY : fmax(largest, s.high);
            imbalance = fmax(imbalance, s.high / s.mean);
        }
    }
    add_check(m, "|s B A x| / |W x| is exactly 0 before the first step",
              count ? judge(at_0 == 0) : REPORT_NOT_MEASURED, report_textf(m->r, m->e, "%.3g", at_0));
    add_check(m, "it stays below 0.1 in every module over the first 10 steps",
              later ? judge(largest < SMALL_INFLUENCE) : REPORT_NOT_MEASURED,
              report_textf(m->r, m->e, "at most %.3g up to step %g", largest, step));
    add_check(m, "no module dominates: the largest is below 10 times the median one",
              later ? judge(imbalance < BALANCE) : REPORT_NOT_MEASURED,
              report_textf(m->r, m->e, "at most %.3g times", imbalance));
}

/* 5: both zero never learns. */
static void check_zero(const struct making *m)
{
    double largest = 0, low = INFINITY, high = -INFINITY;
    size_t steps = 0, evaluations = 0;
    for (size_t i = 0; i < m->r->count; i++) {
        const struct report_cell *c = &m->r->cells[i];
        if (c->status != REPORT_DONE || !report_has(c, "lora-init", "zero"))
            continue;
        use_cell(m, c);
        if (!isnan(c->trace.start_eval_loss)) {
            evaluations++;
            low = fmin(low, c->trace.start_eval_loss);
            high = fmax(high, c->trace.start_eval_loss);
        }
        for (size_t k = 0; k < c->row_count; k++) {
            largest = isnan(c->rows[k].grad_norm) ? INFINITY : fmax(largest, c->rows[k].grad_norm);
            steps++;
            if (!c->rows[k].evaluated)
                continue;
            evaluations++;
            low = fmin(low, c->rows[k].eval_loss);
            high = fmax(high, c->rows[k].eval_loss);
        }
    }
    add_check(m, "the gradient is exactly 0 at every step", steps ? judge(largest == 0) : REPORT_NOT_MEASURED,
              report_textf(m->r, m->e, "largest norm %.3g over %zu steps", largest, steps));
    add_check(m, "the eval loss never changes, not by a bit",
              evaluations > 1 ? judge(low == high) : REPORT_NOT_MEASURED,
              report_textf(m->r, m->e, "from %.6f to %.6f over %zu evaluations", low, high, evaluations));
}

/* 6: both normal. Cells with the same seed and another B, by the standard deviation of B. */
struct offset {
    const struct report_cell *cell;
    double std_b, offset, final, steps_back;
};

static int by_std(const void *a, const void *b)
{
    double x = ((const struct offset *)a)->std_b, y = ((const struct offset *)b)->std_b;
    return (x > y) - (x < y);
}

static double steps_back(const struct report_cell *c, const struct report_cell *base)
{
    for (size_t i = 0; i < c->row_count && i < base->row_count; i++)
        if (c->rows[i].loss <= base->rows[0].loss)
            return (double)c->rows[i].step;
    return INFINITY;
}

/* A finished cell of the same scheme in all but std of B with B = 0: what the base and the default do. */
static enum err_code find_twin(const struct report_cell **twin, const struct making *m,
                               const struct report_cell *c)
{
    static const char *const but[] = {"lora-init", "init-std", "init-std-b", NULL};
    struct report_group g;
    *twin = NULL;
    if (report_select(&g, m->r, c, but, m->e))
        return m->e->code;
    for (size_t i = 0; i < g.count; i++)
        if (report_has(g.cells[i], "lora-init", "normal"))
            *twin = g.cells[i];
    return ERR_OK;
}

static size_t find_offsets(struct offset *out, const struct making *m)
{
    size_t count = 0;
    for (size_t i = 0; i < m->r->count; i++) {
        const struct report_cell *c = &m->r->cells[i], *twin;
        if (c->status != REPORT_DONE || !report_has(c, "lora-init", "both-normal"))
            continue;
        if (find_twin(&twin, m, c))
            return 0;
        double std = report_number(c, "init-std-b");
        if (!twin || !(std > 0) || !c->row_count || !isfinite(report_first_loss(twin)))
            continue;
        use_cell(m, c);
        use_cell(m, twin);
        double first = report_first_loss(c), final = report_final_loss(c);
        out[count++] = (struct offset){.cell = c,
                                       .std_b = std,
                                       .offset = (isnan(first) ? INFINITY : first) - report_first_loss(twin),
                                       .final = (isnan(final) ? INFINITY : final) - report_final_loss(twin),
                                       .steps_back = steps_back(c, twin)};
    }
    qsort(out, count, sizeof *out, by_std);
    return count;
}

/* Mean over the cells of one standard deviation; `*next` is the number of the one after them. */
static struct offset mean_offset(const struct offset *all, size_t count, size_t from, size_t *next)
{
    struct offset mean = {.std_b = all[from].std_b};
    size_t i = from;
    for (; i < count && all[i].std_b == all[from].std_b; i++) {
        mean.offset += all[i].offset;
        mean.final += all[i].final;
        mean.steps_back += all[i].steps_back;
    }
    double n = (double)(i - from);
    *next = i;
    mean.offset /= n, mean.final /= n, mean.steps_back /= n;
    return mean;
}

static void check_both_normal(const struct making *m)
{
    struct offset *all = arena_alloc(&m->r->arena, m->r->count, sizeof *all, "offsets", m->e);
    size_t count = all ? find_offsets(all, m) : 0, next = 0, levels = 0;
    struct offset lowest = {0}, highest = {0};
    bool grows = true;
    if (!all || m->e->code)
        return;
    for (size_t i = 0; i < count; i = next, levels++) {
        struct offset mean = mean_offset(all, count, i, &next);
        grows = grows && (levels == 0 || mean.offset > highest.offset);
        lowest = levels == 0 ? mean : lowest;
        highest = mean;
    }
    add_check(m, "the loss before the first step grows with the standard deviation (std) of B",
              levels > 1 ? judge(grows) : REPORT_NOT_MEASURED,
              report_textf(m->r, m->e, "%+.3g nats per token at std %.3g, %+.3g at %.3g", lowest.offset,
                           lowest.std_b, highest.offset, highest.std_b));
    add_check(m, "at the largest std it is more than 0.1 nats per token",
              levels ? judge(highest.offset > LARGE_OFFSET) : REPORT_NOT_MEASURED,
              report_textf(m->r, m->e,
                           isfinite(highest.steps_back)
                               ? "%+.3g; the base's loss is reached at step %.0f"
                               : "%+.3g; the base's loss is not reached again in every cell",
                           highest.offset, highest.steps_back));
    bool known = levels && !isnan(highest.final);
    add_check(m, "there the final loss is over 0.01 nats per token worse than with B = 0 at the same learning rate",
              known ? judge(highest.final > HARDER_TO_TRAIN) : REPORT_NOT_MEASURED,
              report_textf(m->r, m->e, "final eval loss %+.4f at std %.3g; %+.4f at std %.3g", highest.final,
                           highest.std_b, lowest.final, lowest.std_b));
}

static enum report_verdict judge_claim(const struct report_claim *c)
{
    size_t held = 0, missing = 0;
    for (size_t i = 0; i < c->check_count; i++) {
        if (c->checks[i].verdict == REPORT_NOT_HELD)
            return REPORT_NOT_HELD;
        held += c->checks[i].verdict == REPORT_HELD;
        missing += c->checks[i].verdict == REPORT_NOT_MEASURED;
    }
    return !held ? REPORT_NOT_MEASURED : missing ? REPORT_PARTLY_MEASURED : REPORT_HELD;
}

enum err_code report_check_claims(struct report *r, struct err *e)
{
    static const struct {
        const char *statement;
        void (*check)(const struct making *);
    } claims[REPORT_CLAIMS] = {
        {"With B = 0, training starts exactly at the base model.", check_start},
        {"A random A lets gradients reach the adapter: B changes first, then A.", check_gradients},
        {"A random A lets the adapter use all r directions.", check_rank},
        {"At first the influence of the adapter is small and balanced over the modules.", check_influence},
        {"With both A and B zero, nothing ever changes.", check_zero},
        {"With both random, training starts away from the base model and is harder.", check_both_normal},
    };
    e->code = ERR_OK;
    for (size_t i = 0; i < REPORT_CLAIMS; i++) {
        struct report_claim *c = &r->claims[i];
        *c = (struct report_claim){.statement = claims[i].statement,
                                   .cells = arena_alloc(&r->arena, r->count, sizeof *c->cells, "cells", e)};
        if (!c->cells)
            return e->code;
        claims[i].check(&(struct making){.r = r, .e = e, .claim = c});
        if (e->code)
            return e->code;
        c->verdict = judge_claim(c);
    }
    return ERR_OK;
}
