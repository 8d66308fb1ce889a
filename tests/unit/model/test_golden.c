/* The tiny models against torch, transformers and PEFT. */
#include "math/kern.h"
#include "tiny_model.h"

#define LOGITS_TOLERANCE 1e-5 /* largest difference over the largest logit, per example */
#define GRAD_TOLERANCE   1e-9 /* normalised mean square error of each dA and dB */
#define LOSS_TOLERANCE   1e-6
#define CURVE_TOLERANCE  1e-4

static int open_tiny(void **state)
{
    struct tiny *t = malloc(sizeof *t);
    if (!t)
        return -1;
    tiny_open(t, *state);
    *state = t;
    return 0;
}

static int close_tiny(void **state)
{
    tiny_close(*state);
    free(*state);
    return 0;
}

static void logits_agree(void **state)
{
    struct tiny *t = *state;
    struct err e;
    size_t vocab = t->model.arch.vocab;
    float *logits = malloc(t->in.n * vocab * sizeof *logits);
    assert_ok(model_logits(&t->model, &t->in, logits, &e), &e);
    for (int i = 0; i < 2; i++) {
        char name[32];
        size_t count;
        snprintf(name, sizeof name, "logits.%d", i);
        float *golden = tiny_golden(t, name, &count);
        assert_int_equal(count, (t->offsets[i + 1] - t->offsets[i]) * vocab);
        double distance = numbers_distance(logits + t->offsets[i] * vocab, golden, count);
        print_message("%s: %.2g relative\n", name, distance);
        assert_true(distance < LOGITS_TOLERANCE);
        free(golden);
    }
    free(logits);
}

static void loss_and_gradients_agree(void **state)
{
    struct tiny *t = *state;
    double loss = tiny_grad(t), worst = 0;
    float *golden_loss = tiny_golden(t, "loss", NULL);
    assert_true(fabs(loss - *golden_loss) < LOSS_TOLERANCE * *golden_loss);
    free(golden_loss);
    for (size_t i = 0; i < t->lora.layout.count; i++) {
        const struct lora_module *m = &t->lora.layout.modules[i];
        for (int matrix = 0; matrix < 2; matrix++) {
            char name[128];
            size_t count;
            snprintf(name, sizeof name, "grad.%s.lora_%c", m->path, "AB"[matrix]);
            float *golden = tiny_golden(t, name, &count);
            double nmse = tiny_nmse(t->grads.values + (matrix ? m->b : m->a), golden, count);
            if (!(nmse < GRAD_TOLERANCE))
                fail_msg("%s: normalised mean square error %g", name, nmse);
            worst = fmax(worst, nmse);
            free(golden);
        }
    }
    print_message("loss %.9g, gradients: NMSE at most %.2g\n", loss, worst);
}

static void training_curve_agrees(void **state)
{
    struct tiny *t = *state;
    struct lora *l = &t->lora;
    const float *grads = t->grads.values;
    size_t steps;
    double worst = 0;
    float *golden = tiny_golden(t, "curve", &steps);
    assert_int_equal(steps, 20);
    struct adamw_step adam = {
        .learning_rate = 1e-3F, .beta1 = 0.9F, .beta2 = 0.999F, .epsilon = 1e-8F, .weight_decay = 0.01F};
    for (size_t i = 0; i < steps; i++) {
        double difference = fabs(tiny_grad(t) - (double)golden[i]) / (double)golden[i];
        if (!(difference < CURVE_TOLERANCE))
            fail_msg("step %zu: loss differs by %g", i, difference);
        worst = fmax(worst, difference);
        double norm = sqrt(kern_reference.sum_squares(grads, l->layout.size));
        adam.grad_scale = (float)fmin(1, 1 / (norm + 1e-6));
        adam.correction1 = (float)(1 - pow(0.9, (double)i + 1));
        adam.correction2 = (float)(1 - pow(0.999, (double)i + 1));
        kern_reference.adamw(l->params, grads, t->moments.m, t->moments.v, l->layout.size, &adam);
    }
    print_message("20 steps: loss within %.2g relative\n", worst);
    free(golden);
}

int main(void)
{
    int failed = 0;
    for (char **name = tiny_names(); *name; name++) {
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_prestate_setup_teardown(logits_agree, open_tiny, close_tiny, *name),
            cmocka_unit_test_prestate_setup_teardown(loss_and_gradients_agree, open_tiny, close_tiny, *name),
            cmocka_unit_test_prestate_setup_teardown(training_curve_agrees, open_tiny, close_tiny, *name),
        };
        failed += cmocka_run_group_tests_name(*name, tests, NULL, NULL);
    }
    return failed;
}
