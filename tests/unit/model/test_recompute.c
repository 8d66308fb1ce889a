/* What backward computes again instead of keeping it. */
#include "tiny_model.h"

static const char *const names[] = {"none", "attention", "layer"};

/* Loss and gradients have the same bits in f32, with and without dropout, and less memory is planned. */
static void every_mode_has_the_same_bits(void **state)
{
    (void)state;
    for (char **model = tiny_names(); *model; model++)
        for (int dropout = 0; dropout < 2; dropout++) {
            static struct tiny t;
            tiny_open(&t, *model);
            t.lora.dropout = dropout ? 0.25F : 0;
            tiny_plan(&t);
            double loss = tiny_grad(&t);
            size_t memory = model_memory_acts(&t.model);
            float *grads = numbers_copy(t.grads.values, t.lora.layout.size);
            for (int mode = RECOMPUTE_ATTENTION; mode <= RECOMPUTE_LAYER; mode++) {
                tiny_plan_with(&t, (enum model_recompute)mode);
                assert_true(model_memory_acts(&t.model) < memory);
                memory = model_memory_acts(&t.model);
                assert_true(tiny_grad(&t) == loss);
                if (memcmp(t.grads.values, grads, t.lora.layout.size * sizeof *grads) != 0)
                    fail_msg("%s, %s: other gradients", *model, names[mode]);
            }
            free(grads);
            tiny_close(&t);
        }
}

/* In bf16 a block is computed again from its rounded input, so gradients are near, not equal. */
static void bf16_modes_are_near(void **state)
{
    (void)state;
    static struct tiny t;
    tiny_open_as(&t, "tiny_gqa", DTYPE_BF16);
    double loss = tiny_grad(&t);
    float *grads = numbers_copy(t.grads.values, t.lora.layout.size);
    for (int mode = RECOMPUTE_ATTENTION; mode <= RECOMPUTE_LAYER; mode++) {
        tiny_plan_with(&t, (enum model_recompute)mode);
        assert_true(tiny_grad(&t) == loss);
        double nmse = tiny_nmse(t.grads.values, grads, t.lora.layout.size);
        print_message("%s: NMSE %.2g\n", names[mode], nmse);
        assert_true(nmse < 1e-4); /* a few roundings of up to 2^-8 each, 5e-6 in the mean square */
    }
    free(grads);
    tiny_close(&t);
}

/* Doubling the tokens of a pack, and of its one example, never more than doubles what is planned. */
static void memory_grows_linearly(void **state)
{
    (void)state;
    for (int mode = RECOMPUTE_NONE; mode <= RECOMPUTE_LAYER; mode++) {
        static struct tiny t;
        struct err e;
        size_t before = 0;
        tiny_open(&t, "tiny_gqa");
        for (size_t tokens = 2048; tokens <= 32768; tokens *= 2) {
            const struct model_plan plan = {.tokens = tokens,
                                            .examples = 1,
                                            .longest = tokens,
                                            .threads = 2,
                                            .train = true,
                                            .recompute = (enum model_recompute)mode};
            assert_ok(model_plan_memory(&t.model, &plan, &e), &e);
            size_t memory = model_memory_acts(&t.model);
            assert_true(before == 0 || memory <= 2 * before + 4096);
            before = memory;
        }
        tiny_close(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_mode_has_the_same_bits),
        cmocka_unit_test(bf16_modes_are_near),
        cmocka_unit_test(memory_grows_linearly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
