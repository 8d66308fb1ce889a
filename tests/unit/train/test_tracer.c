/* What is traced against what is computed plainly, and the closed forms of the schemes over real steps. */
#include "train/tracer.h"

#include "math/lowrank.h"
#include "model/lora_init.h"
#include "scratch.h"
#include "tiny_model.h"
#include "ranks/launch.h"
#include "train/optim.h"
#include "ckpt_write.h"

static const struct optim_options plain = {.beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .ratio_b = 1};

static struct tiny t;
static struct dist d;
static struct session s;
static struct lora_moments moments;
static struct model_grads grads;

/* The tiny model in a session, with a fresh adapter of the scheme. */
static void open_session(enum lora_init scheme)
{
    struct err e;
    const struct lora_spec spec = {.rank = 4, .alpha = 8, .init = scheme, .seed = 3};
    tiny_open(&t, "tiny_gqa");
    launch_alone(&d);
    s = (struct session){.dist = &d, .model = t.model};
    assert_ok(lora_create(&s.lora, &t.model.arch, &spec, &e), &e);
    assert_ok(lora_moments_init(&moments, &s.lora.layout, false, &s.lora.arena, &e), &e);
    grads.values = arena_alloc(&s.lora.arena, s.lora.layout.size, sizeof(float), "gradients", &e);
    assert_non_null(grads.values);
    s.model.lora = &s.lora;
}

static void close_session(void)
{
    lora_release(&s.lora);
    tiny_close(&t);
}

static double gradient(void)
{
    struct err e;
    struct model_result result;
    memset(grads.values, 0, s.lora.layout.size * sizeof *grads.values);
    assert_ok(model_step_grad(&s.model, &t.in, 1 / tiny_supervised(&t), &grads, &result, NULL, &e), &e);
    return result.loss_sum;
}

static void step(uint64_t number, double rate)
{
    struct err e;
    double norm;
    gradient();
    assert_ok(optim_grad_norm(&norm, &s.lora.layout, grads.values, &e), &e);
    optim_step(&s.lora, &moments, grads.values, &plain, norm, rate, number);
}

static void both_zero_never_moves(void **state)
{
    (void)state;
    open_session(LORA_ZERO);
    double first = gradient();
    for (uint64_t i = 1; i <= 50; i++) {
        step(i, 1e-2);
        for (size_t k = 0; k < s.lora.layout.size; k++)
            assert_true(grads.values[k] == 0 && s.lora.params[k] == 0);
    }
    assert_true(gradient() == first);
    close_session();
}

static void constant_a_keeps_rank_one(void **state)
{
    (void)state;
    static const enum lora_init schemes[] = {LORA_CONSTANT, LORA_NORMAL};
    for (int random = 0; random < 2; random++) {
        open_session(schemes[random]);
        for (uint64_t i = 1; i <= 20; i++)
            step(i, 1e-2);
        for (size_t i = 0; i < s.lora.layout.count; i++) {
            struct err e;
            float values[4];
            const struct lora_module *m = &s.lora.layout.modules[i];
            const struct lowrank shape = {m->out, m->in, m->rank};
            assert_ok(lowrank_singular_values(values, &shape, s.lora.params + m->a, s.lora.params + m->b, &e),
                      &e);
            assert_true(values[0] > 1e-3F);
            assert_true(random ? values[3] > 1e-3F * values[0] : values[1] < 1e-5F * values[0]);
        }
        close_session();
    }
}

static void the_first_step_of_b_is_the_learning_rate(void **state)
{
    (void)state;
    open_session(LORA_NORMAL);
    float *start = numbers_copy(s.lora.params, s.lora.layout.size);
    step(1, 1e-3);
    for (size_t i = 0; i < s.lora.layout.count; i++) {
        const struct lora_module *m = &s.lora.layout.modules[i];
        for (size_t k = 0; k < m->rank * m->out; k++)
            if (fabsf(grads.values[m->b + k]) > 1e-5F)
                assert_true(fabs(fabs((double)s.lora.params[m->b + k]) / 1e-3 - 1) < 2e-3);
        assert_memory_equal(s.lora.params + m->a, start + m->a, m->rank * m->in * sizeof *start);
    }
    free(start);
    close_session();
}

static double norm_of(const float *x, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

/* B A - B0 A0, formed. */
static double plain_difference(const struct lora_module *m, const float *params, const float *other)
{
    float *x = malloc(m->out * m->in * sizeof *x);
    gemm_f32_reference(GEMM_N, GEMM_N, m->out, m->in, m->rank, 1, params + m->b, m->rank, params + m->a,
                       m->in, 0, x, m->in);
    gemm_f32_reference(GEMM_N, GEMM_N, m->out, m->in, m->rank, -1, other + m->b, m->rank, other + m->a, m->in,
                       1, x, m->in);
    double norm = norm_of(x, m->out * m->in);
    free(x);
    return norm;
}

static bool near(float x, double wanted)
{
    return fabs((double)x - wanted) <= 1e-4 * fabs(wanted) + 1e-7;
}

static void one_traced_step(struct tracer *tracer, uint64_t number)
{
    struct err e;
    struct trace_summary summary;
    double norm;
    tracer_watch_pack(tracer, true);
    gradient();
    tracer_watch_pack(tracer, false);
    assert_ok(optim_grad_norm(&norm, &s.lora.layout, grads.values, &e), &e);
    assert_ok(tracer_before_step(tracer, grads.values, number, &e), &e);
    optim_step(&s.lora, &moments, grads.values, &plain, norm, 1e-2, number + 1);
    assert_ok(tracer_after_step(tracer, &summary, &e), &e);
    assert_int_equal(summary.step, number);
    assert_true(summary.update > 0);
}

static void values_are_the_plain_ones(void **state)
{
    (void)state;
    struct tracer tracer;
    struct err e;
    const struct trace_record none = {0};
    struct trace_record again;
    struct scratch folder;
    open_session(LORA_NORMAL);
    float *start = numbers_copy(s.lora.params, s.lora.layout.size);
    assert_ok(tracer_begin(&tracer, &s, 1, &e), &e);
    assert_ok(tracer_plan(&tracer, &none, 0, 3, &e), &e);
    one_traced_step(&tracer, 0);
    one_traced_step(&tracer, 1);
    float *before = numbers_copy(s.lora.params, s.lora.layout.size);
    one_traced_step(&tracer, 2);
    for (size_t i = 0; i < s.lora.layout.count; i++) {
        const struct lora_module *m = &s.lora.layout.modules[i];
        const float *v = tracer.record.modules[i].values[2], *first = tracer.record.modules[i].values[0];
        float *matrix = malloc(m->out * m->in * sizeof *matrix);
        weights_read(matrix, &s.model.weights, &s.model.arch, m->layer, m->linear, 0, m->out);
        double weight = norm_of(matrix, m->out * m->in);
        free(matrix);
        assert_true(first[TRACE_NORM_BA] == 0 && first[TRACE_GRAD_A] == 0 && first[TRACE_GRAD_B] > 0);
        assert_true(first[TRACE_MEAN_SQUARE_BAX] == 0 && first[TRACE_CHANGE] == 0);
        assert_true(near(first[TRACE_COSINE_A], 1));
        assert_true(near(v[TRACE_NORM_A], norm_of(before + m->a, m->rank * m->in)));
        assert_true(near(v[TRACE_NORM_B], norm_of(before + m->b, m->rank * m->out)));
        assert_true(near(v[TRACE_GRAD_A], norm_of(grads.values + m->a, m->rank * m->in)));
        assert_true(near(v[TRACE_GRAD_B], norm_of(grads.values + m->b, m->rank * m->out)));
        assert_true(near(v[TRACE_CHANGE], 2 * plain_difference(m, before, start) / weight));
        assert_true(near(v[TRACE_UPDATE], 2 * plain_difference(m, s.lora.params, before) / weight));
        assert_true(near(v[TRACE_NORM_BA], norm_of(tracer.record.modules[i].singular_values + 2 * 4, 4)));
        assert_true(v[TRACE_MEAN_SQUARE_BAX] > 0 && v[TRACE_MEAN_SQUARE_WX] > 0 && v[TRACE_COSINE_A] < 1);
    }
    assert_ok(tracer_finish(&tracer, 3, &e), &e);
    assert_true(isnan(tracer.record.modules[0].values[3][TRACE_GRAD_A]));

    /* Through a checkpoint, and on from step 2: the rows below it stay. */
    const struct ckpt_identity identity = {.base = "00112233445566778899aabbccddeeff",
                                           .tokenizer = "10112233445566778899aabbccddeeff",
                                           .data = "20112233445566778899aabbccddeeff"};
    assert_true(scratch_open(&folder));
    const char *path = scratch_path(&folder, "traced.h5");
    assert_ok(ckpt_write(path, &s.lora, &moments, &(struct ckpt_state){.step = 3}, &identity, "x: 1\n",
                         "normal", &tracer.record, &e),
              &e);
    assert_ok(trace_read(&again, path, &e), &e);
    assert_int_equal(again.count, 4);
    assert_int_equal(again.module_count, s.lora.layout.count);
    assert_true(isnan(again.base_eval_loss));
    const struct trace_module *m = trace_find(&again, s.lora.layout.modules[5].path);
    assert_memory_equal(m->values, tracer.record.modules[5].values, 4 * sizeof *m->values);
    tracer_end(&tracer);
    assert_ok(tracer_begin(&tracer, &s, 1, &e), &e);
    assert_ok(tracer_plan(&tracer, &again, 2, 3, &e), &e);
    assert_int_equal(tracer.record.count, 2);
    assert_memory_equal(m->values, tracer.record.modules[5].values, 2 * sizeof *m->values);
    tracer_end(&tracer);
    trace_release(&again);
    scratch_close(&folder);
    free(before);
    free(start);
    close_session();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_zero_never_moves),
        cmocka_unit_test(constant_a_keeps_rank_one),
        cmocka_unit_test(the_first_step_of_b_is_the_learning_rate),
        cmocka_unit_test(values_are_the_plain_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
