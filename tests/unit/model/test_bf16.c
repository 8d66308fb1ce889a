/*
 * bf16 against what torch, transformers and PEFT compute in f32.
 *
 * A bf16 has 8 bits: each rounding is up to 2^-8 = 0.4 % of a value, independent of the others. About ten lie
 * between a weight and a logit of these two-layer models, so logits may be off by 2^-8 * sqrt(10) = 1.2 % of
 * the largest, at worst some times that; gradients pass twice as many, and those of q and k are
 * differences of nearly equal numbers, P (dP - delta). A sum in bf16, a lost term or a wrong scale would be
 * off by far more: a factor of 1.1 makes 1e-2.
 */
#include "tiny_model.h"

#define LOGITS_TOLERANCE 2.5e-2 /* largest difference over the largest logit, per example */
#define LOSS_TOLERANCE   2e-3
#define GRAD_TOLERANCE   4e-3 /* normalised mean square error of each dA and dB */

static void logits_are_near(void **state)
{
    (void)state;
    size_t off = 0;
    for (char **model = tiny_names(); *model; model++) {
        static struct tiny t;
        struct err e;
        double worst = 0;
        tiny_open_as(&t, *model, DTYPE_BF16);
        size_t vocab = t.model.arch.vocab;
        float *logits = malloc(t.in.n * vocab * sizeof *logits);
        assert_ok(model_logits(&t.model, &t.in, logits, &e), &e);
        for (int i = 0; i < 2; i++) {
            char name[32];
            size_t count;
            snprintf(name, sizeof name, "logits.%d", i);
            float *golden = tiny_golden(&t, name, &count);
            double distance = numbers_distance(logits + t.offsets[i] * vocab, golden, count);
            worst = isnan(distance) ? INFINITY : fmax(worst, distance);
            free(golden);
        }
        print_message("%s: logits off by at most %.2g relative\n", *model, worst);
        off += !(worst < LOGITS_TOLERANCE);
        free(logits);
        tiny_close(&t);
    }
    assert_int_equal(off, 0);
}

static void loss_and_gradients_are_near(void **state)
{
    (void)state;
    size_t off = 0;
    for (char **model = tiny_names(); *model; model++) {
        static struct tiny t;
        double worst = 0;
        char worst_name[128] = "";
        tiny_open_as(&t, *model, DTYPE_BF16);
        double loss = tiny_grad(&t);
        float *golden_loss = tiny_golden(&t, "loss", NULL);
        double loss_off = fabs(loss - *golden_loss) / *golden_loss;
        free(golden_loss);
        for (size_t i = 0; i < t.lora.layout.count; i++) {
            const struct lora_module *m = &t.lora.layout.modules[i];
            for (int matrix = 0; matrix < 2; matrix++) {
                char name[128];
                size_t count;
                snprintf(name, sizeof name, "grad.%s.lora_%c", m->path, "AB"[matrix]);
                float *golden = tiny_golden(&t, name, &count);
                double nmse = tiny_nmse(t.grads.values + (matrix ? m->b : m->a), golden, count);
                if (!(nmse <= worst)) {
                    worst = isnan(nmse) ? INFINITY : nmse;
                    memcpy(worst_name, name, sizeof worst_name);
                }
                free(golden);
            }
        }
        print_message("%s: loss off by %.2g relative, gradients: NMSE at most %.2g, %s\n", *model, loss_off, worst,
                      worst_name);
        off += !(loss_off < LOSS_TOLERANCE) || !(worst < GRAD_TOLERANCE);
        tiny_close(&t);
    }
    assert_int_equal(off, 0);
}

/* A pack of more rows than one part of them (ACTS_NARROW_PART), and than one chunk of the head, equals its
 * examples; with dropout too. */
static void parts_add_up(void **state)
{
    (void)state;
    const size_t lengths[] = {5, 400, 500, 31, 240};
    for (int dropout = 0; dropout < 2; dropout++) {
        static struct tiny t;
        tiny_open_as(&t, "tiny_gqa", DTYPE_BF16);
        t.lora.dropout = dropout ? 0.2F : 0;
        tiny_plan(&t);
        tiny_check_packing(&t, lengths, 1e-5, 1e-6);
        tiny_close(&t);
    }
}

/* What is kept for backward is half as large, but for what is float in both. */
static void activations_are_narrow(void **state)
{
    (void)state;
    size_t memory[2];
    for (int i = 0; i < 2; i++) {
        static struct tiny t;
        struct err e;
        tiny_open_as(&t, "tiny_gqa", i ? DTYPE_BF16 : DTYPE_F32);
        const struct model_plan plan = {
            .tokens = 4096, .examples = 8, .longest = 512, .threads = 1, .train = true};
        assert_ok(model_plan_memory(&t.model, &plan, &e), &e);
        memory[i] = model_memory_acts(&t.model);
        tiny_close(&t);
    }
    print_message("planned: %zu bytes in bf16, %zu in f32\n", memory[1], memory[0]);
    assert_true(memory[1] < memory[0] * 4 / 5); /* two layers only, beside what a step has once */
}

/* The hook tells of each layer once, when its gradients are what they are at the end. */
struct heard {
    struct tiny *t;
    size_t layers[16], count;
    double sums[16];
};

static double sum_of(const struct tiny *t, size_t layer)
{
    size_t begin, count;
    double sum = 0;
    lora_layer_range(&begin, &count, &t->lora.layout, layer);
    for (size_t i = begin; i < begin + count; i++)
        sum += fabs((double)t->grads.values[i]);
    return sum;
}

static void hear(void *context, size_t layer)
{
    struct heard *h = context;
    h->sums[h->count] = sum_of(h->t, layer);
    h->layers[h->count++] = layer;
}

static void the_hook_tells_of_complete_gradients(void **state)
{
    (void)state;
    static struct tiny t;
    tiny_open(&t, "tiny_gqa");
    struct heard h = {.t = &t};
    t.grads.ready = hear;
    t.grads.context = &h;
    tiny_grad(&t);
    assert_int_equal(h.count, t.model.arch.layers + 1);
    size_t covered = 0;
    for (size_t i = 0; i < h.count; i++) {
        size_t begin, count;
        assert_int_equal(h.layers[i], t.model.arch.layers - i);
        assert_true(h.sums[i] > 0 && h.sums[i] == sum_of(&t, h.layers[i]));
        lora_layer_range(&begin, &count, &t.lora.layout, h.layers[i]);
        covered += count;
    }
    assert_int_equal(covered, t.lora.layout.size);
    tiny_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_are_near),
        cmocka_unit_test(loss_and_gradients_are_near),
        cmocka_unit_test(parts_add_up),
        cmocka_unit_test(activations_are_narrow),
        cmocka_unit_test(the_hook_tells_of_complete_gradients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
