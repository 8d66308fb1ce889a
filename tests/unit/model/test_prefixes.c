/* Examples that begin with the first tokens of another, as the two sides of a pair do with their prompt: each result is
 * within rounding that of the same examples laid down whole. */
#include "base/mark.h"
#include "tiny_model.h"

#define LOSS_TOLERANCE 1e-6 /* of f32, relative */
#define GRAD_TOLERANCE 1e-9 /* normalised mean square error of each dA and dB */
/* In bf16 the gradients of shared tokens are rounded once, not once for each example: up to 2^-8 each time, in some
 * twenty places; those of q and k are differences of nearly equal numbers. */
#define BF16_LOSS_TOLERANCE 1e-3
#define BF16_GRAD_TOLERANCE 4e-3

enum { ANSWERS = 3, LONGEST = 400, GROUPS = 6, EXAMPLES = 13 };

/* Tokens of a prompt, and of the answers to it. */
struct group {
    size_t prompt, answers[ANSWERS];
};

/* A chunk of the head ends between two answers to a prompt; there are windows that reach into a prompt, and such that
 * do not; some share nothing. */
static const struct group groups[GROUPS] = {{40, {7, 9}},   {0, {20, 21}},      {1, {5, 3}},
                                            {30, {280, 12}}, {100, {20, 30, 1}}, {64, {64, 1}}};

/* Windows, a cap, shared keys, experts, norms of queries and keys, LayerNorm, branches side by side, q, k and v in one
 * matrix, another rotation for long examples, learned positions, heads of different widths. */
static const char *const models[] = {"tiny_gqa",    "tiny_gemma2",   "tiny_gemma3",    "tiny_mixtral_window",
                                     "tiny_qwen3",  "tiny_cohere2",  "tiny_gpt_neox",  "tiny_phi3_long",
                                     "tiny_gpt2",   "tiny_gemma4",   "tiny_smollm3",   "tiny_qwen3_moe"};

static const double weights[EXAMPLES] = {0.25, -1.5, 1, -0.5, 0.75, 2, -1, 1.25, 0.5, 0.125, -2, 1, -1};

static void lay_group(struct tiny *t, size_t number, const struct group *g, bool shared)
{
    int32_t tokens[LONGEST];
    uint8_t marks[LONGEST];
    for (size_t k = 0; k < ANSWERS && g->answers[k]; k++) {
        const struct rng_key prompt = rng_key_make(7, RNG_SAMPLE, number);
        const struct rng_key own = rng_key_make(8 + k, RNG_SAMPLE, number);
        const size_t count = g->prompt + g->answers[k];
        for (size_t i = 0; i < count; i++) {
            tokens[i] = (int32_t)(rng_word(i < g->prompt ? prompt : own, i) % t->model.arch.vocab);
            marks[i] = i && i >= g->prompt ? MARK_ANSWER : MARK_NONE;
            if (number == 0 && k == 0 && i && i <= g->prompt)
                marks[i] = MARK_LIKELIHOOD; /* as of a chosen side with --train-on all, and one token more */
        }
        if (number == 2 && k == 0)
            marks[g->prompt] = MARK_NONE; /* the prompt predicts this side's first token for the other side only */
        tiny_add_after(t, shared && k ? g->prompt : 0, tokens, marks, count, number);
    }
}

static void lay(struct tiny *t, size_t count, bool shared)
{
    tiny_clear(t);
    for (size_t i = 0; i < count; i++)
        lay_group(t, i, &groups[i], shared);
    assert_true(t->in.examples <= EXAMPLES && (t->in.prefixes != NULL) == shared);
    t->in.weights = weights;
    t->in.likelihood = 0.7;
}

/* What a step says of such a pack. */
struct outcome {
    struct model_result result;
    double log_prob[EXAMPLES];
    float *grads; /* the caller frees it */
};

static struct outcome step(struct tiny *t)
{
    struct err e;
    struct outcome o;
    const struct model_each each = {.log_prob = o.log_prob};
    memset(t->grads.values, 0, t->lora.layout.size * sizeof *t->grads.values);
    assert_ok(model_step_grad(&t->model, &t->in, 0.01, &t->grads, &o.result, &each, &e), &e);
    o.grads = numbers_copy(t->grads.values, t->lora.layout.size);
    return o;
}

static double worst_module(const struct tiny *t, const struct outcome *a, const struct outcome *b)
{
    double worst = 0;
    for (size_t i = 0; i < t->lora.layout.count; i++) {
        const struct lora_module *m = &t->lora.layout.modules[i];
        worst = fmax(worst, tiny_nmse(a->grads + m->a, b->grads + m->a, m->rank * m->in));
        worst = fmax(worst, tiny_nmse(a->grads + m->b, b->grads + m->b, m->rank * m->out));
        if (isnan(a->grads[m->a]) || isnan(a->grads[m->b]))
            return INFINITY;
    }
    return worst;
}

/* Returns how many of the limits are passed. */
static size_t compare(const char *name, const struct tiny *t, const struct outcome *shared, const struct outcome *whole)
{
    const bool narrow = t->model.weights.type == DTYPE_BF16;
    const double limit = narrow ? BF16_LOSS_TOLERANCE : LOSS_TOLERANCE;
    double off = 0, grads = worst_module(t, shared, whole);
    for (size_t i = 0; i < EXAMPLES; i++)
        off = fmax(off, fabs(shared->log_prob[i] - whole->log_prob[i]) / fabs(whole->log_prob[i]));
    off = fmax(off, fabs(shared->result.likelihood / whole->result.likelihood - 1));
    off = fmax(off, fabs(shared->result.loss_sum / whole->result.loss_sum - 1));
    assert_int_equal(shared->result.supervised, whole->result.supervised);
    assert_true(whole->result.likelihood < -1);
    bool fails = !(off < limit) || !(grads < (narrow ? BF16_GRAD_TOLERANCE : GRAD_TOLERANCE));
    if (fails)
        print_message("%s: log-probabilities off by %.2g, gradients: NMSE %.2g\n", name, off, grads);
    return fails;
}

/* In all modes of recomputation, which in f32 have the same bits; with dropout, whose masks of a prompt are the same
 * for all its answers. */
static void results_are_those_of_whole_examples(void **state)
{
    (void)state;
    enum { PLAIN, DROPOUT, NARROW, VARIANTS };
    size_t fails = 0;
    for (size_t i = 0; i < VARIANTS * sizeof models / sizeof *models; i++) {
        static struct tiny t;
        const char *model = models[i / VARIANTS];
        const size_t variant = i % VARIANTS;
        tiny_open_as(&t, model, variant == NARROW ? DTYPE_BF16 : DTYPE_F32);
        t.lora.dropout = variant == DROPOUT ? 0.25F : 0;
        tiny_plan(&t);
        lay(&t, GROUPS, false);
        struct outcome whole = step(&t);
        lay(&t, GROUPS, true);
        struct outcome shared = step(&t);
        fails += compare(model, &t, &shared, &whole);
        for (int mode = RECOMPUTE_ATTENTION; mode <= RECOMPUTE_LAYER && variant != DROPOUT; mode++) {
            tiny_plan_with(&t, (enum model_recompute)mode);
            struct outcome again = step(&t);
            fails += compare(model, &t, &again, &whole);
            if (variant == PLAIN)
                assert_memory_equal(again.grads, shared.grads, t.lora.layout.size * sizeof *again.grads);
            free(again.grads);
        }
        free(whole.grads);
        free(shared.grads);
        tiny_close(&t);
    }
    assert_int_equal(fails, 0);
}

/* Those of an example's own tokens. */
static void logits_are_those_of_whole_examples(void **state)
{
    (void)state;
    static struct tiny t;
    static uint32_t offsets[EXAMPLES + 1];
    struct err e;
    tiny_open(&t, "tiny_gqa");
    const size_t vocab = t.model.arch.vocab;
    float *whole = malloc(TINY_TOKENS * vocab * sizeof *whole), *shared = malloc(TINY_TOKENS * vocab * sizeof *shared);
    lay(&t, GROUPS, false);
    memcpy(offsets, t.offsets, sizeof offsets);
    assert_ok(model_logits(&t.model, &t.in, whole, &e), &e);
    lay(&t, GROUPS, true);
    assert_ok(model_logits(&t.model, &t.in, shared, &e), &e);
    for (size_t i = 0; i < EXAMPLES; i++) {
        const size_t first = t.offsets[i], count = t.offsets[i + 1] - first;
        assert_int_equal(count + t.prefixes[i], offsets[i + 1] - offsets[i]);
        const float *expected = whole + (offsets[i] + t.prefixes[i]) * vocab;
        assert_true(numbers_distance(shared + first * vocab, expected, count * vocab) < 1e-5);
    }
    free(whole);
    free(shared);
    tiny_close(&t);
}

static double weighted_loss(struct tiny *t)
{
    struct outcome o = step(t);
    double loss = -0.01 * t->in.likelihood * o.result.likelihood;
    for (size_t i = 0; i < t->in.examples; i++)
        loss -= 0.01 * weights[i] * o.log_prob[i];
    free(o.grads);
    return loss;
}

static void gradient_equals_central_differences(void **state)
{
    (void)state;
    static struct tiny t;
    tiny_open(&t, "tiny_gqa"); /* lm_head is adapted too */
    t.lora.dropout = 0.2F;
    tiny_plan(&t);
    lay(&t, 3, true);
    tiny_check_gradient(&t, weighted_loss, 2e-3);
    tiny_close(&t);
}

/* Both sides of a pair must have the same rotation. */
static void long_and_short_examples_share_nothing(void **state)
{
    (void)state;
    static const struct group crossing = {6, {2, 20}}, both_long = {6, {9, 20}}, both_short = {6, {2, 4}};
    static struct tiny t;
    struct err e;
    struct model_result result;
    tiny_open(&t, "tiny_phi3_long"); /* longer than 10 tokens is long */
    tiny_clear(&t);
    lay_group(&t, 1, &both_long, true);
    lay_group(&t, 1, &both_short, true);
    assert_ok(model_evaluate(&t.model, &t.in, &result, NULL, &e), &e);
    lay_group(&t, 1, &crossing, true);
    assert_error(model_evaluate(&t.model, &t.in, &result, NULL, &e), &e, ERR_MISMATCH,
                 "examples 4 and 5 of a pack cannot have the same first tokens: only one of them is longer than 10");
    tiny_close(&t);
}

static void bad_prefixes_are_refused(void **state)
{
    (void)state;
    static const struct group pair = {20, {4, 5}};
    static struct tiny t;
    struct err e;
    struct model_result result;
    tiny_open(&t, "tiny_gqa");
    tiny_clear(&t);
    lay_group(&t, 1, &pair, true);
    t.prefixes[1] = 24; /* all of the other */
    assert_ok(model_evaluate(&t.model, &t.in, &result, NULL, &e), &e);
    t.prefixes[1] = 25;
    assert_error(model_evaluate(&t.model, &t.in, &result, NULL, &e), &e, ERR_MISMATCH,
                 "example 1 of a pack begins with 25 tokens of the one before it, which has 24");
    t.prefixes[1] = 0;
    assert_error(model_evaluate(&t.model, &t.in, &result, NULL, &e), &e, ERR_MISMATCH,
                 "example 1 of a pack: its first token cannot be supervised");
    t.prefixes[0] = 1;
    assert_error(model_evaluate(&t.model, &t.in, &result, NULL, &e), &e, ERR_MISMATCH,
                 "example 0 of a pack begins with 1 tokens of the one before it, which has 0");
    t.prefixes[0] = 0;
    t.prefixes[1] = 20;
    struct model_plan plan = {.tokens = 29, .repeated = 20, .examples = 2, .longest = 25, .threads = 2};
    assert_ok(model_plan_memory(&t.model, &plan, &e), &e);
    assert_ok(model_evaluate(&t.model, &t.in, &result, NULL, &e), &e);
    plan.repeated = 19;
    assert_ok(model_plan_memory(&t.model, &plan, &e), &e);
    assert_error(model_evaluate(&t.model, &t.in, &result, NULL, &e), &e, ERR_MISMATCH,
                 "20 tokens of a pack come before more than one example; planned for 19");
    plan.repeated = 20;
    plan.longest = 24;
    assert_ok(model_plan_memory(&t.model, &plan, &e), &e);
    assert_error(model_evaluate(&t.model, &t.in, &result, NULL, &e), &e, ERR_MISMATCH, "planned for 24");
    tiny_close(&t);
}

/* Its place is counted from the beginning of the example, prefix and all. */
static void a_loss_that_is_not_finite_is_traced(void **state)
{
    (void)state;
    static struct tiny t;
    struct err e;
    struct model_result result;
    const int32_t tokens[2][4] = {{1, 2, 3, 4}, {1, 2, 7, 8}};
    const uint8_t marks[] = {0, 0, 1, 1};
    tiny_open(&t, "tiny_gqa");
    float *embedding = numbers_copy(t.model.weights.embedding, t.model.arch.vocab * t.model.arch.width);
    tiny_clear(&t);
    tiny_add(&t, tokens[0], marks, 4, 0);
    tiny_add_after(&t, 2, tokens[1], marks, 4, 0);
    embedding[7 * t.model.arch.width] = INFINITY;
    t.model.weights.embedding = embedding;
    assert_error(model_evaluate(&t.model, &t.in, &result, NULL, &e), &e, ERR_NUMERIC, "at token 2 of example 1");
    assert_int_equal(result.first_nonfinite, 1);
    tiny_close(&t);
    free(embedding);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_are_those_of_whole_examples),
        cmocka_unit_test(logits_are_those_of_whole_examples),
        cmocka_unit_test(gradient_equals_central_differences),
        cmocka_unit_test(long_and_short_examples_share_nothing),
        cmocka_unit_test(bad_prefixes_are_refused),
        cmocka_unit_test(a_loss_that_is_not_finite_is_traced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
