/* The schemes: their distributions, what their values depend on, and what they leave undone. */
#include "model/family.h"
#include "model/lora_init.h"

#include <math.h>
#include <stdlib.h>

#include "numbers.h"
#include "unit.h"

static const struct arch wide = {.family = &family_llama,
                                 .layers = 2,
                                 .width = 2048,
                                 .ffn = 3072,
                                 .heads = 4,
                                 .kv_heads = 2,
                                 .head_dim = 512,
                                 .vocab = 50};

static void make(struct lora *l, const struct lora_spec *spec)
{
    struct err e;
    assert_ok(lora_create(l, &wide, spec, &e), &e);
}

static int ascending(const void *x, const void *y)
{
    float a = *(const float *)x, b = *(const float *)y;
    return (a > b) - (a < b);
}

static double normal_below(double x)
{
    return 0.5 * erfc(-x / sqrt(2));
}

static double uniform_below(double x) /* of variance 1 */
{
    return fmin(1, fmax(0, (x / sqrt(3) + 1) / 2));
}

/* Mean, variance and Kolmogorov-Smirnov at a level of about 1e-4. */
static void check_distribution(const float *x, size_t count, double std, double (*below)(double))
{
    double sum = 0, squares = 0, worst = 0;
    float *sorted = malloc(count * sizeof *sorted);
    memcpy(sorted, x, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, ascending);
    for (size_t i = 0; i < count; i++) {
        double at = below((double)sorted[i] / std), place = (double)i / (double)count;
        sum += (double)x[i];
        squares += (double)x[i] * (double)x[i];
        worst = fmax(worst, fmax(fabs(at - place), fabs(at - place - 1 / (double)count)));
    }
    free(sorted);
    assert_true(fabs(sum / (double)count) < 4 * std / sqrt((double)count));
    assert_true(fabs(squares / (double)count / (std * std) - 1) < 6 / sqrt((double)count));
    assert_true(worst < 2.23 / sqrt((double)count));
}

static void check_zero(const float *x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_true(x[i] == 0);
}

/* What each scheme's A and B are; 0: all zero. */
static void distributions(void **state)
{
    (void)state;
    enum { RANK = 8 };
    const double in = 1 / sqrt(3.0 * 2048), rank = 1 / sqrt(3.0 * RANK);
    const struct {
        enum lora_init scheme;
        double init_std, init_std_b, std_a, std_b;
        double (*below)(double);
    } cases[] = {
        {LORA_NORMAL, 0, 0, in, 0, normal_below},
        {LORA_NORMAL, 0.5, 0, 0.5, 0, normal_below},
        {LORA_KAIMING_UNIFORM, 0, 0, in, 0, uniform_below},
        {LORA_KAIMING_UNIFORM, 0.1, 0, 0.1, 0, uniform_below},
        {LORA_GAUSSIAN, 0, 0, 1.0 / RANK, 0, normal_below},
        {LORA_GAUSSIAN, 0.02, 0, 0.02, 0, normal_below},
        {LORA_ZERO, 0, 0, 0, 0, NULL},
        {LORA_BOTH_NORMAL, 0, 0, in, in, normal_below},
        {LORA_BOTH_NORMAL, 0.3, 0.01, 0.3, 0.01, normal_below},
        {LORA_B_NORMAL, 0, 0, 0, rank, normal_below},
        {LORA_B_NORMAL, 0, 0.7, 0, 0.7, normal_below},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct lora l;
        make(&l, &(struct lora_spec){.targets = "q_proj",
                                     .rank = RANK,
                                     .alpha = 8,
                                     .init = cases[i].scheme,
                                     .init_std = cases[i].init_std,
                                     .init_std_b = cases[i].init_std_b,
                                     .seed = 11});
        for (size_t k = 0; k < l.layout.count; k++) {
            const struct lora_module *m = &l.layout.modules[k];
            const float *A = l.params + m->a, *B = l.params + m->b;
            size_t count_a = m->rank * m->in, count_b = m->rank * m->out;
            if (cases[i].std_a > 0)
                check_distribution(A, count_a, cases[i].std_a, cases[i].below);
            else
                check_zero(A, count_a);
            if (cases[i].std_b > 0)
                check_distribution(B, count_b, cases[i].std_b, cases[i].below);
            else
                check_zero(B, count_b);
        }
        assert_null(l.start);
        lora_release(&l);
    }
}

static void uniform_keeps_its_bounds(void **state)
{
    (void)state;
    struct lora l;
    make(&l, &(struct lora_spec){.targets = "q_proj", .rank = 8, .alpha = 8, .init = LORA_KAIMING_UNIFORM});
    const struct lora_module *m = &l.layout.modules[0];
    double largest = 0, bound = 1 / sqrt((double)m->in);
    for (size_t i = 0; i < m->rank * m->in; i++)
        largest = fmax(largest, fabs((double)l.params[m->a + i]));
    assert_true(largest <= bound * (1 + 1e-7) && largest > 0.999 * bound);
    lora_release(&l);
}

static void constant_is_one_number_of_the_norm_of_normal(void **state)
{
    (void)state;
    struct lora l;
    make(&l, &(struct lora_spec){.targets = "down_proj", .rank = 4, .alpha = 8, .init = LORA_CONSTANT});
    const struct lora_module *m = &l.layout.modules[1];
    for (size_t i = 0; i < m->rank * m->in; i++)
        assert_true(l.params[m->a + i] == (float)sqrt(1 / (3.0 * 3072)));
    check_zero(l.params + m->b, m->rank * m->out);
    lora_release(&l);
}

/* B A is 0 to rounding, although neither is, and both have PEFT's size: normal numbers, turned, over 10. */
static void orthogonal_halves_do_not_meet(void **state)
{
    (void)state;
    struct lora l;
    enum { RANK = 6 };
    make(&l, &(struct lora_spec){.targets = "k_proj", .rank = RANK, .alpha = 8, .init = LORA_ORTHOGONAL});
    const struct lora_module *m = &l.layout.modules[1];
    const float *A = l.params + m->a, *B = l.params + m->b;
    double a = 0, b = 0, worst = 0;
    for (size_t i = 0; i < m->rank * m->in; i++)
        a += (double)A[i] * (double)A[i];
    for (size_t i = 0; i < m->rank * m->out; i++)
        b += (double)B[i] * (double)B[i];
    for (size_t o = 0; o < m->out; o += 7)
        for (size_t i = 0; i < m->in; i += 5) {
            double sum = 0;
            for (size_t k = 0; k < RANK; k++)
                sum += (double)B[o * RANK + k] * (double)A[k * m->in + i];
            worst = fmax(worst, fabs(sum));
        }
    assert_true(worst < 1e-7);
    assert_true(fabs(a / (0.005 * RANK * (double)m->in) - 1) < 0.1);
    assert_true(fabs(b / (0.005 * RANK * (double)m->out) - 1) < 0.1);
    struct err e;
    lora_release(&l);
    assert_error(
        lora_create(&l, &wide,
                    &(struct lora_spec){.targets = "k_proj", .rank = 5, .alpha = 8, .init = LORA_ORTHOGONAL},
                    &e),
        &e, ERR_USAGE, "orthogonal needs an even rank");
}

/* Whatever else is adapted, in whatever order, under the same seed; other numbers under another. */
static void values_belong_to_seed_and_path(void **state)
{
    (void)state;
    static const char path[] = "model.layers.1.self_attn.v_proj";
    for (enum lora_init init = 0; init < LORA_SCHEME_COUNT; init++) {
        struct lora l[3];
        const char *const targets[] = {NULL, path, path};
        const struct lora_module *m[3];
        const struct lora_scheme *scheme = lora_scheme(init);
        for (int k = 0; k < 3; k++) {
            make(&l[k], &(struct lora_spec){.targets = targets[k],
                                            .rank = 4,
                                            .alpha = 8,
                                            .init = init,
                                            .seed = k < 2 ? 3 : 4});
            m[k] = lora_find(&l[k].layout, path);
            assert_true((l[k].start != NULL) == scheme->changes_base);
        }
        size_t bytes_a = m[0]->rank * m[0]->in * sizeof(float),
               bytes_b = m[0]->rank * m[0]->out * sizeof(float);
        assert_memory_equal(l[0].params + m[0]->a, l[1].params + m[1]->a, bytes_a);
        assert_memory_equal(l[0].params + m[0]->b, l[1].params + m[1]->b, bytes_b);
        bool random = !scheme->changes_base && init != LORA_ZERO && init != LORA_CONSTANT;
        bool same = !memcmp(l[1].params, l[2].params, l[1].layout.size * sizeof(float));
        assert_true(same != random);
        for (int k = 0; k < 3; k++)
            lora_release(&l[k]);
    }
}

static void what_a_scheme_has_no_use_for_is_refused(void **state)
{
    (void)state;
    struct lora l;
    struct err e;
    struct lora_spec spec = {
        .targets = "q_proj", .rank = 4, .alpha = 8, .init = LORA_NORMAL, .init_std_b = 0.1};
    assert_error(lora_create(&l, &wide, &spec, &e), &e, ERR_USAGE, "init-std-b 0.1: the scheme normal");
    spec =
        (struct lora_spec){.targets = "q_proj", .rank = 4, .alpha = 8, .init = LORA_PISSA, .init_std = 0.1};
    assert_error(lora_create(&l, &wide, &spec, &e), &e, ERR_USAGE, "init-std 0.1: the scheme pissa");
    assert_non_null(strstr(lora_scheme(LORA_ZERO)->warning, "gradient"));
}

static void rslora_scales_by_the_root(void **state)
{
    (void)state;
    struct lora l;
    make(&l,
         &(struct lora_spec){.targets = "q_proj", .rank = 16, .alpha = 8, .rslora = true, .init = LORA_ZERO});
    assert_true(l.layout.modules[0].scaling == 2 && l.rslora);
    lora_release(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distributions),
        cmocka_unit_test(uniform_keeps_its_bounds),
        cmocka_unit_test(constant_is_one_number_of_the_norm_of_normal),
        cmocka_unit_test(orthogonal_halves_do_not_meet),
        cmocka_unit_test(values_belong_to_seed_and_path),
        cmocka_unit_test(what_a_scheme_has_no_use_for_is_refused),
        cmocka_unit_test(rslora_scales_by_the_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
