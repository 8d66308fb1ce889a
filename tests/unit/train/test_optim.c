/* The optimizer against AdamW and clipping written down once more, in double. */
#include "small_lora.h"

#include <math.h>

#include "train/optim.h"

static void norm_is_that_of_all_gradients(void **state)
{
    (void)state;
    struct lora l;
    struct err e;
    double norm, sum = 0;
    small_make(&l, "q_proj,down_proj", 3, 6);
    float *grads = small_grads(&l);
    for (size_t i = 0; i < l.layout.size; i++)
        sum += (double)grads[i] * grads[i];
    assert_ok(optim_grad_norm(&norm, &l.layout, grads, &e), &e);
    assert_true(fabs(norm - sqrt(sum)) < 1e-12 * norm);
    lora_release(&l);
}

static void nonfinite_gradient_is_named(void **state)
{
    (void)state;
    struct lora l;
    struct err e;
    double norm;
    small_make(&l, "q_proj,down_proj", 3, 6);
    float *grads = small_grads(&l);
    const struct lora_module *m = lora_find(&l.layout, "model.layers.5.mlp.down_proj");
    grads[m->b + 4] = NAN;
    assert_error(optim_grad_norm(&norm, &l.layout, grads, &e), &e, ERR_NUMERIC,
                 "model.layers.5.mlp.down_proj.lora_B");
    grads[m->b + 4] = 0;
    grads[m->a] = INFINITY;
    assert_error(optim_grad_norm(&norm, &l.layout, grads, &e), &e, ERR_NUMERIC,
                 "model.layers.5.mlp.down_proj.lora_A");
    lora_release(&l);
}

static bool lies_in_b(const struct lora *l, size_t i)
{
    for (size_t k = 0; k < l->layout.count; k++)
        if (i >= l->layout.modules[k].b &&
            i < l->layout.modules[k].b + l->layout.modules[k].rank * l->layout.modules[k].out)
            return true;
    return false;
}

/* `steps` steps with the same gradient, in double beside it. */
static void follow(const struct optim_options *o, double rate_a, int steps)
{
    struct lora l;
    struct err e;
    struct lora_moments moments;
    small_make(&l, "v_proj", 2, 4);
    const float *grads = small_grads(&l);
    assert_ok(lora_moments_init(&moments, &l.layout, false, &l.arena, &e), &e);
    double norm, p[1024], m[1024] = {0}, v[1024] = {0};
    assert_true(l.layout.size <= 1024);
    for (size_t i = 0; i < l.layout.size; i++)
        p[i] = l.params[i];
    assert_ok(optim_grad_norm(&norm, &l.layout, grads, &e), &e);
    double scale = o->max_grad_norm > 0 ? fmin(1, o->max_grad_norm / (norm + 1e-6)) : 1;
    for (int t = 1; t <= steps; t++) {
        optim_step(&l, &moments, grads, o, norm, rate_a, (uint64_t)t);
        for (size_t i = 0; i < l.layout.size; i++) {
            double g = scale * grads[i];
            double rate = lies_in_b(&l, i) ? rate_a * o->ratio_b : rate_a;
            p[i] -= rate * o->weight_decay * p[i];
            m[i] = o->beta1 * m[i] + (1 - o->beta1) * g;
            v[i] = o->beta2 * v[i] + (1 - o->beta2) * g * g;
            p[i] -=
                rate * (m[i] / (1 - pow(o->beta1, t))) / (sqrt(v[i] / (1 - pow(o->beta2, t))) + o->epsilon);
            if (!(fabs(p[i] - l.params[i]) < 1e-5))
                fail_msg("step %d, parameter %zu: %.9g, expected %.9g", t, i, (double)l.params[i], p[i]);
        }
    }
    lora_release(&l);
}

static void adamw_agrees(void **state)
{
    (void)state;
    follow(&(struct optim_options){0.9, 0.999, 1e-8, 0, 0, 1}, 1e-2, 20);
    follow(&(struct optim_options){0.9, 0.999, 1e-8, 0.1, 1, 1}, 1e-2, 20);
    follow(&(struct optim_options){0.9, 0.999, 1e-8, 0.1, 1, 16}, 1e-3, 20);  /* LoRA+ */
    follow(&(struct optim_options){0.8, 0.95, 1e-2, 0.01, 1e6, 1}, 1e-2, 20); /* never clipped */
    follow(&(struct optim_options){0, 0, 1e-8, 0, 0, 1}, 1e-3, 5);
}

/* Clipping only shows where epsilon counts, AdamW being blind to the scale of the gradient. */
static void clipping_shrinks_the_gradient(void **state)
{
    (void)state;
    struct lora l;
    struct lora_moments moments;
    struct err e;
    small_make(&l, "v_proj", 2, 4);
    const float *grads = small_grads(&l);
    assert_ok(lora_moments_init(&moments, &l.layout, false, &l.arena, &e), &e);
    float g = grads[3];
    struct optim_options o = {
        .beta1 = 0.5, .beta2 = 0.999, .epsilon = 1e-8, .max_grad_norm = 2, .ratio_b = 1};
    optim_step(&l, &moments, grads, &o, 8, 0, 1);
    assert_true(fabs(moments.m[3] - 0.5 * 0.25 * g) < 1e-6);
    lora_release(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(norm_is_that_of_all_gradients),
        cmocka_unit_test(nonfinite_gradient_is_named),
        cmocka_unit_test(adamw_agrees),
        cmocka_unit_test(clipping_shrinks_the_gradient),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
