/* Forward and backward: gradients by finite differences, packing, dropout, parts left out, errors. */
#include "model/lora_init.h"
#include "tiny_model.h"

static void gradient_equals_central_differences(void **state)
{
    (void)state;
    for (char **model = tiny_names(); *model; model++) {
        static struct tiny t;
        tiny_open(&t, *model);
        tiny_check_gradient(&t, tiny_grad, 2e-3);
        tiny_close(&t);
    }
}

static void gradient_under_dropout_equals_central_differences(void **state)
{
    (void)state;
    static struct tiny t;
    tiny_open(&t, "tiny_gqa"); /* lm_head is adapted too */
    double plain = tiny_grad(&t);
    t.lora.dropout = 0.3F;
    t.lora.seed = 11;
    tiny_plan(&t);
    assert_true(fabs(tiny_grad(&t) - plain) > 1e-4);
    tiny_check_gradient(&t, tiny_grad, 2e-3);
    tiny_close(&t);
}

/* Masks hang on seed, sample and position only: not on the pack, nor on the example's place in it. */
static void dropout_does_not_depend_on_the_pack(void **state)
{
    (void)state;
    static struct tiny t;
    struct err e;
    struct model_result one, both, swapped, other;
    tiny_open(&t, "tiny_gqa");
    t.lora.dropout = 0.5F;
    tiny_plan(&t);
    double sum = 0;
    for (uint64_t i = 0; i < 2; i++) {
        tiny_clear(&t);
        tiny_add_random(&t, 9 + i, 100 + i);
        assert_ok(model_step_grad(&t.model, &t.in, 1, &t.grads, &one, NULL, &e), &e);
        sum += one.loss_sum;
    }
    tiny_clear(&t);
    tiny_add_random(&t, 9, 100);
    tiny_add_random(&t, 10, 101);
    assert_ok(model_step_grad(&t.model, &t.in, 1, &t.grads, &both, NULL, &e), &e);
    assert_true(fabs(both.loss_sum - sum) < 1e-5 * sum);
    tiny_clear(&t);
    tiny_add_random(&t, 10, 101);
    tiny_add_random(&t, 9, 100);
    assert_ok(model_step_grad(&t.model, &t.in, 1, &t.grads, &swapped, NULL, &e), &e);
    assert_true(fabs(swapped.loss_sum - sum) < 1e-5 * sum);
    t.lora.seed++;
    assert_ok(model_step_grad(&t.model, &t.in, 1, &t.grads, &other, NULL, &e), &e);
    assert_true(fabs(other.loss_sum - sum) > 1e-4 * sum);
    assert_ok(model_evaluate(&t.model, &t.in, &other, NULL, &e), &e);
    t.lora.dropout = 0;
    assert_ok(model_step_grad(&t.model, &t.in, 1, &t.grads, &one, NULL, &e), &e);
    assert_true(one.loss_sum == other.loss_sum); /* evaluation drops nothing */
    tiny_close(&t);
}

/* Over many seeds the mean of the loss under dropout of lm_head alone, whose low-rank part is linear in the
 * mask, tends to logits without dropout; here: the mean of dB's column, linear in the mask too. */
static void dropout_is_unbiased(void **state)
{
    (void)state;
    enum { SEEDS = 3000 };
    static struct tiny t;
    struct err e;
    struct model_result result;
    const struct lora_given given = {"lm_head", 2, 1};
    tiny_open(&t, "tiny_gqa");
    lora_release(&t.lora);
    assert_ok(lora_create_given(&t.lora, &t.model.arch, &given, 1, &e), &e);
    float *values =
        numbers_new(t.lora.layout.modules[0].b, 0.3F, 5); /* A; B stays zero, so dB is linear in the mask */
    memcpy(t.lora.params, values, t.lora.layout.modules[0].b * sizeof *values);
    free(values);
    tiny_grad(&t);
    float *plain = numbers_copy(t.grads.values, t.lora.layout.size);
    t.lora.dropout = 0.25F;
    tiny_plan(&t);
    memset(t.grads.values, 0, t.lora.layout.size * sizeof *plain);
    for (t.lora.seed = 0; t.lora.seed < SEEDS; t.lora.seed++)
        assert_ok(
            model_step_grad(&t.model, &t.in, 1 / tiny_supervised(&t) / SEEDS, &t.grads, &result, NULL, &e),
            &e);
    assert_true(numbers_distance(t.grads.values, plain, t.lora.layout.size) < 0.05);
    assert_true(numbers_distance(t.grads.values, plain, t.lora.layout.size) > 0);
    free(plain);
    tiny_close(&t);
}

static void a_pack_equals_its_examples(void **state)
{
    (void)state;
    static struct tiny t;
    const size_t lengths[] = {5, 200, 1, 31, 2};
    for (char **model = tiny_names(); *model; model++) {
        tiny_open(&t, *model);
        tiny_check_packing(&t, lengths, 1e-6, 1e-10);
        tiny_close(&t);
    }
}

/* Leaving out what no adapter needs changes nothing: B = 0 everywhere else gives the same gradients. */
static void fewer_modules_have_the_same_gradients(void **state)
{
    (void)state;
    static const char *const subsets[] = {"lm_head",
                                          "model.layers.1.mlp.down_proj",
                                          "model.layers.1.mlp.up_proj",
                                          "model.layers.1.self_attn.o_proj",
                                          "model.layers.1.self_attn.k_proj",
                                          "model.layers.0.mlp.gate_proj,model.layers.1.self_attn.v_proj",
                                          "layers.0.self_attn.q_proj,layers.0.mlp.down_proj,lm_head"};
    static struct tiny t;
    struct err e;
    tiny_open(&t, "tiny_gqa");
    for (size_t i = 0; i < sizeof subsets / sizeof subsets[0]; i++) {
        struct lora few;
        const struct lora_spec spec = {.targets = subsets[i], .rank = 4, .alpha = 8};
        assert_ok(lora_create(&few, &t.model.arch, &spec, &e), &e);
        struct model_grads grads = {.values = numbers_zero(few.layout.size)};
        for (size_t k = 0; k < t.lora.layout.count; k++) {
            const struct lora_module *m = &t.lora.layout.modules[k], *own = lora_find(&few.layout, m->path);
            float *b = t.lora.params + m->b;
            memset(b, 0, m->out * m->rank * sizeof *b);
            if (!own)
                continue;
            float *values = numbers_new(m->out * m->rank, 0.3F, k);
            memcpy(b, values, m->out * m->rank * sizeof *b);
            memcpy(few.params + own->b, values, m->out * m->rank * sizeof *b);
            memcpy(few.params + own->a, t.lora.params + m->a, m->rank * m->in * sizeof *b);
            free(values);
        }
        tiny_plan(&t);
        double loss = tiny_grad(&t);
        size_t all_memory = model_memory_acts(&t.model);
        struct model_result result;
        t.model.lora = &few;
        tiny_plan(&t); /* for the smaller adapter: less is kept */
        assert_true(model_memory_acts(&t.model) <= all_memory);
        assert_ok(model_step_grad(&t.model, &t.in, 1 / tiny_supervised(&t), &grads, &result, NULL, &e), &e);
        assert_true(fabs(result.loss_sum / (double)result.supervised - loss) < 1e-6 * loss);
        for (size_t k = 0; k < few.layout.count; k++) {
            const struct lora_module *own = &few.layout.modules[k], *m = lora_find(&t.lora.layout, own->path);
            assert_true(tiny_nmse(grads.values + own->a, t.grads.values + m->a, m->rank * m->in) < 1e-10);
            assert_true(tiny_nmse(grads.values + own->b, t.grads.values + m->b, m->rank * m->out) < 1e-10);
        }
        t.model.lora = &t.lora;
        free(grads.values);
        lora_release(&few);
    }
    tiny_close(&t);
}

/* Logits of the example with its first token changed differ from these first at row 0 and last at the row that is
 * returned. */
static size_t reach_of_first_token(struct tiny *t, const float *logits)
{
    struct err e;
    size_t vocab = t->model.arch.vocab, last = 0;
    float *changed = malloc(t->in.n * vocab * sizeof *changed);
    int32_t was = t->tokens[0];
    t->tokens[0] = (was + 1) % (int32_t)vocab;
    assert_ok(model_logits(&t->model, &t->in, changed, &e), &e);
    t->tokens[0] = was;
    for (size_t row = 0; row < t->in.n; row++)
        if (memcmp(changed + row * vocab, logits + row * vocab, vocab * sizeof *changed) != 0)
            last = row;
    free(changed);
    return last;
}

/* Each layer takes the window and the rotation of its kind. */
static void layers_obey_their_kinds(void **state)
{
    (void)state;
    static struct tiny t;
    struct err e;
    tiny_open(&t, "tiny_gqa");
    struct arch *a = &t.model.arch;
    size_t half = a->head_dim / 2, count;
    float *own = t.model.inv_freq, *two = malloc(2 * half * sizeof *two);
    tiny_clear(&t);
    tiny_add_random(&t, 12, 1);
    count = t.in.n * a->vocab;
    float *plain = malloc(count * sizeof *plain), *other = malloc(count * sizeof *other);
    assert_ok(model_logits(&t.model, &t.in, plain, &e), &e);
    memcpy(two, own, half * sizeof *two);
    memcpy(two + half, own, half * sizeof *two);
    t.model.inv_freq = two;
    a->rotations[1].rotated = a->head_dim;
    a->kinds[1] = (struct layer_kind){.rotation = 1};
    a->kind_of[1] = 1;
    tiny_plan(&t);
    assert_ok(model_logits(&t.model, &t.in, other, &e), &e);
    assert_memory_equal(other, plain, count * sizeof *other);
    two[half] *= 2;
    tiny_plan(&t);
    assert_ok(model_logits(&t.model, &t.in, other, &e), &e);
    assert_memory_not_equal(other, plain, count * sizeof *other);
    assert_int_equal(reach_of_first_token(&t, other), 11);
    a->kinds[1] = (struct layer_kind){.window = 3}; /* layer 0 still sees all */
    tiny_plan(&t);
    assert_ok(model_logits(&t.model, &t.in, other, &e), &e);
    assert_int_equal(reach_of_first_token(&t, other), 11);
    a->kinds[0].window = 4;
    assert_ok(model_logits(&t.model, &t.in, other, &e), &e);
    assert_int_equal(reach_of_first_token(&t, other), 3 + 2);
    t.model.inv_freq = own;
    free(two);
    free(plain);
    free(other);
    tiny_close(&t);
}

/* Loss, accuracy and exactness as the logits say, over more rows than one chunk of the head. */
static void evaluation_follows_from_the_logits(void **state)
{
    (void)state;
    static struct tiny t;
    struct err e;
    struct model_result result, trained;
    uint8_t exact_of[3];
    tiny_open(&t, "tiny_bias");
    size_t vocab = t.model.arch.vocab;
    float *logits = malloc(TINY_TOKENS * vocab * sizeof *logits);
    tiny_clear(&t);
    tiny_add_random(&t, 200, 1);
    tiny_add_random(&t, 3, 2);
    tiny_add_random(&t, 150, 3);
    memset(t.supervised + t.offsets[2], 0, 150); /* nothing supervised: not exact */
    t.supervised[202] = 0;
    assert_ok(model_logits(&t.model, &t.in, logits, &e), &e);
    double loss = 0;
    for (int turn = 0; turn < 2; turn++) { /* the second time, example 1 is what the model predicts */
        uint64_t correct = 0;
        loss = 0;
        for (size_t i = 1; i < 203; i++) {
            const float *row = logits + (i - 1) * vocab;
            double sum = 0;
            size_t best = 0;
            for (size_t k = 0; k < vocab; k++) {
                sum += exp((double)row[k]);
                best = row[k] > row[best] ? k : best;
            }
            if (turn == 1 && i == 201)
                t.tokens[i] = (int32_t)best;
            loss += t.supervised[i] ? log(sum) - (double)row[t.tokens[i]] : 0;
            correct += t.supervised[i] && (size_t)t.tokens[i] == best;
        }
        const struct model_each each = {.exact = exact_of};
        assert_ok(model_evaluate(&t.model, &t.in, &result, &each, &e), &e);
        assert_int_equal(result.supervised, 200);
        assert_int_equal(result.correct, correct);
        assert_int_equal(result.exact, turn);
        assert_int_equal(exact_of[0] + exact_of[2], 0);
        assert_int_equal(exact_of[1], turn);
        assert_true(fabs(result.loss_sum - loss) < 1e-6 * loss);
        assert_int_equal(result.first_nonfinite, 3);
    }
    assert_ok(model_step_grad(&t.model, &t.in, 1, &t.grads, &trained, NULL, &e), &e);
    assert_true(trained.loss_sum == result.loss_sum && trained.correct == result.correct);
    assert_int_equal(trained.exact, result.exact);
    free(logits);
    tiny_close(&t);
}

static void a_fresh_adapter_changes_nothing(void **state)
{
    (void)state;
    static struct tiny t;
    struct err e;
    tiny_open(&t, "tiny_gqa");
    size_t count = t.in.n * t.model.arch.vocab;
    float *with = malloc(count * sizeof *with), *without = malloc(count * sizeof *without);
    const struct lora_spec spec = {.init = LORA_NORMAL, .seed = 3};
    assert_ok(lora_init_values(&t.lora, &spec, &e), &e);
    assert_ok(model_logits(&t.model, &t.in, with, &e), &e);
    tiny_grad(&t);
    for (size_t i = 0; i < t.lora.layout.count; i++) { /* dA is exactly zero, dB is not */
        const struct lora_module *m = &t.lora.layout.modules[i];
        for (size_t k = 0; k < m->rank * m->in; k++)
            assert_true(t.grads.values[m->a + k] == 0);
        assert_true(tiny_nmse(t.lora.params + m->b, t.grads.values + m->b, m->out * m->rank) == 1);
    }
    t.model.lora = NULL;
    assert_ok(model_logits(&t.model, &t.in, without, &e), &e);
    assert_memory_equal(with, without, count * sizeof *with);
    free(with);
    free(without);
    tiny_close(&t);
}

static void the_number_of_threads_may_change(void **state)
{
    (void)state;
    static struct tiny t;
    tiny_open(&t, "tiny_sharded");
    double two = tiny_grad(&t);
    float *grads = numbers_copy(t.grads.values, t.lora.layout.size);
    gemm_set_threads(1);
    double one = tiny_grad(&t);
    assert_true(fabs(one - two) < 1e-6 * one);
    assert_true(tiny_nmse(t.grads.values, grads, t.lora.layout.size) < 1e-10);
    gemm_set_threads(2);
    free(grads);
    tiny_close(&t);
}

static void a_loss_that_is_not_finite_is_traced(void **state)
{
    (void)state;
    static struct tiny t;
    struct err e;
    struct model_result result;
    tiny_open(&t, "tiny_gqa");
    const struct lora_module *m = lora_find(&t.lora.layout, "model.layers.1.mlp.gate_proj");
    float *b = t.lora.params + m->b;
    float *embedding = numbers_copy(t.model.weights.embedding, t.model.arch.vocab * t.model.arch.width);
    float old = *b;
    *b = NAN;
    assert_error(model_step_grad(&t.model, &t.in, 1, &t.grads, &result, NULL, &e), &e, ERR_NUMERIC,
                 "model.layers.1.mlp.gate_proj.lora_B of the adapter");
    assert_int_equal(result.first_nonfinite, 0);
    for (size_t i = 0; i < m->out * m->rank; i++) /* finite, but the products overflow */
        b[i] = 3e38F;
    assert_error(model_step_grad(&t.model, &t.in, 1, &t.grads, &result, NULL, &e), &e, ERR_NUMERIC,
                 "output of model.layers.1.mlp.gate_proj is the first");
    for (size_t i = 0; i < m->out * m->rank; i++)
        b[i] = old;
    /* One token of the second example has an embedding that is not finite. */
    tiny_clear(&t);
    const int32_t tokens[2][4] = {{1, 2, 3, 4}, {5, 6, 7, 8}};
    const uint8_t supervised[] = {0, 1, 1, 1};
    tiny_add(&t, tokens[0], supervised, 4, 0);
    tiny_add(&t, tokens[1], supervised, 4, 1);
    embedding[7 * t.model.arch.width] = INFINITY;
    t.model.weights.embedding = embedding;
    assert_error(model_evaluate(&t.model, &t.in, &result, NULL, &e), &e, ERR_NUMERIC,
                 "output of model.embed_tokens is the first tensor with a NaN or an infinity, at token 2 of "
                 "example 1");
    assert_int_equal(result.first_nonfinite, 1);
    tiny_close(&t);
    free(embedding);
}

static void bad_packs_are_refused(void **state)
{
    (void)state;
    static struct tiny t;
    struct err e;
    struct model_result result;
    tiny_open(&t, "tiny_gqa");
    struct model_input *in = &t.in;
    int32_t token = t.tokens[3];
    for (int i = 0; i < 2; i++) {
        t.tokens[3] = i ? -1 : 64;
        assert_error(model_evaluate(&t.model, in, &result, NULL, &e), &e, ERR_MISMATCH,
                     "at place 3 of a pack");
    }
    t.tokens[3] = token;
    t.supervised[t.offsets[1]] = 1;
    assert_error(model_step_grad(&t.model, in, 1, &t.grads, &result, NULL, &e), &e, ERR_MISMATCH,
                 "example 1 of a pack: its first");
    t.supervised[t.offsets[1]] = 0;
    t.offsets[1]++;
    t.offsets[2]--;
    assert_error(model_step_grad(&t.model, in, 1, &t.grads, &result, NULL, &e), &e, ERR_MISMATCH,
                 "do not cover");
    t.offsets[2]++;
    t.offsets[1] = 0;
    assert_error(model_step_grad(&t.model, in, 1, &t.grads, &result, NULL, &e), &e, ERR_MISMATCH,
                 "example 0 of a pack");
    t.offsets[1] = 13;
    t.positions[2] = TINY_TOKENS;
    assert_error(model_step_grad(&t.model, in, 1, &t.grads, &result, NULL, &e), &e, ERR_MISMATCH,
                 "position 1200 at place 2");
    t.positions[2] = 2;
    const struct model_plan plan = {.tokens = 20, .examples = 1, .longest = 12, .threads = 2, .train = true};
    assert_ok(model_plan_memory(&t.model, &plan, &e), &e);
    assert_error(model_step_grad(&t.model, in, 1, &t.grads, &result, NULL, &e), &e, ERR_MISMATCH,
                 "planned for 20 and 1");
    in->examples = 1;
    in->n = 13;
    assert_error(model_step_grad(&t.model, in, 1, &t.grads, &result, NULL, &e), &e, ERR_MISMATCH,
                 "planned for 12");
    tiny_close(&t);
}

static void a_larger_adapter_than_planned_is_refused(void **state)
{
    (void)state;
    static struct tiny t;
    struct err e;
    struct model_result result;
    struct lora large;
    tiny_open(&t, "tiny_llama3");
    const struct lora_spec spec = {.rank = 8, .alpha = 8, .init = LORA_NORMAL};
    assert_ok(lora_create(&large, &t.model.arch, &spec, &e), &e);
    t.model.lora = &large;
    assert_error(model_step_grad(&t.model, &t.in, 1, &t.grads, &result, NULL, &e), &e, ERR_MISMATCH,
                 "adapter is larger");
    assert_error(model_evaluate(&t.model, &t.in, &result, NULL, &e), &e, ERR_MISMATCH, "adapter is larger");
    t.model.lora = &t.lora;
    t.lora.dropout = 0.1F; /* no room was planned for masks */
    assert_error(model_step_grad(&t.model, &t.in, 1, &t.grads, &result, NULL, &e), &e, ERR_MISMATCH,
                 "adapter is larger");
    const struct model_plan plan = {.tokens = SIZE_MAX / 8, .examples = 1, .longest = 20, .threads = 2};
    assert_error(model_plan_memory(&t.model, &plan, &e), &e, ERR_MEMORY, "memory of a step");
    lora_release(&large);
    tiny_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradient_equals_central_differences),
        cmocka_unit_test(gradient_under_dropout_equals_central_differences),
        cmocka_unit_test(dropout_does_not_depend_on_the_pack),
        cmocka_unit_test(dropout_is_unbiased),
        cmocka_unit_test(a_pack_equals_its_examples),
        cmocka_unit_test(fewer_modules_have_the_same_gradients),
        cmocka_unit_test(layers_obey_their_kinds),
        cmocka_unit_test(evaluation_follows_from_the_logits),
        cmocka_unit_test(a_fresh_adapter_changes_nothing),
        cmocka_unit_test(the_number_of_threads_may_change),
        cmocka_unit_test(a_loss_that_is_not_finite_is_traced),
        cmocka_unit_test(bad_packs_are_refused),
        cmocka_unit_test(a_larger_adapter_than_planned_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
