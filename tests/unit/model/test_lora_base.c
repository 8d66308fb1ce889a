/* Starts that are taken out of the base: PEFT's, nothing lost, and the way back. */
#include "model/lora_init.h"
#include "linears.h"
#include "tiny_model.h"

static struct tiny t;
static struct lora l;

/* The tiny model with a fresh adapter of this scheme, of rank 4 and alpha 8, its start taken out of the base.
 */
static void open_with(enum lora_init scheme, bool rslora, float *base_logits)
{
    struct err e;
    const struct lora_spec spec = {.rank = 4, .alpha = 8, .rslora = rslora, .init = scheme};
    tiny_open(&t, "tiny_gqa");
    t.model.lora = NULL;
    assert_ok(model_logits(&t.model, &t.in, base_logits, &e), &e);
    assert_ok(lora_create(&l, &t.model.arch, &spec, &e), &e);
    /* In two shares, as two ranks would */
    for (size_t first = 0; first < 2; first++)
        assert_ok(lora_init_from_base(&l, scheme, &t.model.arch, &t.model.weights, first, 2, &e), &e);
    memcpy(l.start, l.params, l.layout.size * sizeof *l.start);
    t.model.lora = &l;
    tiny_plan(&t);
}

static void close_all(void)
{
    lora_release(&l);
    tiny_close(&t);
}

static void products_are_those_of_peft(void **state)
{
    (void)state;
    static const enum lora_init schemes[] = {LORA_PISSA, LORA_OLORA};
    static float logits[TINY_TOKENS * 64];
    for (size_t i = 0; i < 2; i++) {
        struct store golden;
        struct err e;
        open_with(schemes[i], false, logits);
        assert_ok(store_open_safetensors(&golden, tiny_path("tiny_gqa", "init.safetensors"), &e), &e);
        assert_int_equal(l.layout.count, 14);
        for (size_t k = 0; k < l.layout.count; k++) {
            const struct lora_module *m = &l.layout.modules[k];
            char name[128];
            snprintf(name, sizeof name, "%s.%s", lora_scheme(schemes[i])->name, m->path);
            const struct store_tensor *tensor = store_find(&golden, name);
            assert_non_null(tensor);
            float *product = malloc(m->out * m->in * sizeof *product), *wanted = malloc(tensor->bytes);
            memcpy(wanted, tensor->data, tensor->bytes);
            gemm_f32_reference(GEMM_N, GEMM_N, m->out, m->in, m->rank, 1, l.params + m->b, m->rank,
                               l.params + m->a, m->in, 0, product, m->in);
            for (size_t j = 0; j < m->out * m->in; j++)
                assert_true(fabsf(product[j] - wanted[j]) < 1e-4F);
            free(product);
            free(wanted);
        }
        store_close(&golden);
        close_all();
    }
}

static double largest_difference(const float *x, const float *y, size_t count)
{
    double largest = 0;
    for (size_t i = 0; i < count; i++)
        largest = fmax(largest, fabs((double)x[i] - (double)y[i]));
    return largest;
}

static void nothing_is_lost_and_all_comes_back(enum lora_init scheme, bool rslora)
{
    static float base[TINY_TOKENS * 64], start[TINY_TOKENS * 64], trained[TINY_TOKENS * 64],
        wide[TINY_TOKENS * 64];
    struct err e;
    struct lora double_rank;
    open_with(scheme, rslora, base);
    size_t count = t.in.n * t.model.arch.vocab;
    assert_int_equal(t.model.arch.vocab, 64);
    assert_ok(lora_change_base(&l, &t.model.arch, &t.model.weights, &e), &e);
    assert_ok(model_logits(&t.model, &t.in, start, &e), &e);
    assert_true(largest_difference(start, base, count) < 1e-4);
    float used[64], loaded[64];
    const size_t k = linear_of(&t.model.arch, "k_proj");
    assert_true(arch_columns(&t.model.arch, 0, k) <= 64);
    weights_read(used, &t.model.weights, &t.model.arch, 1, k, 0, 1);
    weights_read_file(loaded, &t.model.weights, &t.model.arch, 1, k, 0, 1);
    assert_memory_not_equal(used, loaded, arch_columns(&t.model.arch, 0, k) * sizeof *used);

    for (size_t i = 0; i < l.layout.size; i++) /* as if it had been trained */
        l.params[i] += 0.1F * (float)sin((double)i);
    assert_ok(model_logits(&t.model, &t.in, trained, &e), &e);
    assert_true(largest_difference(trained, base, count) > 0.1);

    weights_restore(&t.model.weights);
    t.model.lora = NULL;
    assert_ok(model_logits(&t.model, &t.in, start, &e), &e);
    assert_memory_equal(start, base, count * sizeof *base);

    assert_ok(lora_widen(&double_rank, &l, &t.model.arch, &e), &e);
    assert_int_equal(double_rank.layout.modules[0].rank, 8);
    assert_true(double_rank.rslora == rslora);
    t.model.lora = &double_rank;
    tiny_plan(&t);
    assert_ok(model_logits(&t.model, &t.in, wide, &e), &e);
    assert_true(largest_difference(wide, trained, count) < 1e-4);
    lora_release(&double_rank);
    close_all();
}

static void bases_are_changed_and_restored(void **state)
{
    (void)state;
    nothing_is_lost_and_all_comes_back(LORA_PISSA, false);
    nothing_is_lost_and_all_comes_back(LORA_PISSA, true);
    nothing_is_lost_and_all_comes_back(LORA_OLORA, false);
}

static void a_rank_above_the_matrix_is_refused(void **state)
{
    (void)state;
    struct err e;
    struct lora high;
    const struct lora_spec spec = {.targets = "k_proj", .rank = 9, .alpha = 8, .init = LORA_PISSA};
    tiny_open(&t, "tiny_gqa"); /* its k_proj is 8 x 16 */
    assert_ok(lora_create(&high, &t.model.arch, &spec, &e), &e);
    assert_error(lora_init_from_base(&high, LORA_PISSA, &t.model.arch, &t.model.weights, 0, 1, &e), &e,
                 ERR_USAGE, "rank 9 is larger than that of model.layers.0.self_attn.k_proj, 8 x 16");
    lora_release(&high);
    tiny_close(&t);
}

/* The offset of a start with both matrices random goes to nothing with B. */
static void loss_goes_to_that_of_the_base_with_b(void **state)
{
    (void)state;
    struct err e;
    struct model_result base, result;
    double last = INFINITY;
    tiny_open(&t, "tiny_gqa");
    t.model.lora = NULL;
    assert_ok(model_evaluate(&t.model, &t.in, &base, NULL, &e), &e);
    t.model.lora = &t.lora;
    for (double std_b = 0.3; std_b > 1e-7; std_b /= 10) {
        const struct lora_spec spec = {.init = LORA_BOTH_NORMAL, .init_std_b = std_b, .seed = 1};
        assert_ok(lora_init_values(&t.lora, &spec, &e), &e);
        assert_ok(model_evaluate(&t.model, &t.in, &result, NULL, &e), &e);
        double offset = fabs(result.loss_sum - base.loss_sum) / (double)base.supervised;
        assert_true(offset < last || offset < 1e-6);
        last = offset;
    }
    assert_true(last < 1e-6);
    tiny_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_are_those_of_peft),
        cmocka_unit_test(bases_are_changed_and_restored),
        cmocka_unit_test(a_rank_above_the_matrix_is_refused),
        cmocka_unit_test(loss_goes_to_that_of_the_base_with_b),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
