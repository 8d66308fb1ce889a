/* What the head tells of each example, and takes for each: log-probabilities against those that the logits give in
 * double, weighted gradients against differences of the loss and against those of each example alone, and those of an
 * objective, whose weights depend on the log-probabilities, against differences of it. */
#include "base/mark.h"
#include "model/objective.h"
#include "tiny_model.h"

#define LIKELIHOOD 0.7 /* weight of its tokens */

enum { EXAMPLES = 5 };

static const size_t lengths[EXAMPLES] = {40, 7, 1, 300,
                                         25}; /* one has nothing to predict; more than one chunk */
static const double weights[EXAMPLES] = {0.25, -1.5, 3, 1, 0};

static struct tiny t;

static void open_examples(enum dtype type)
{
    tiny_open_as(&t, "tiny_gqa", type);
    tiny_clear(&t);
    for (uint64_t i = 0; i < EXAMPLES; i++)
        tiny_add_random(&t, lengths[i], i);
    for (size_t i = t.offsets[3] + 1; i < t.offsets[4]; i += 3)
        t.supervised[i] = 0;
}

/* From logits[tokens, V], in double. */
static double plain_log_prob(const float *logits, size_t example)
{
    size_t vocab = t.model.arch.vocab;
    double sum = 0;
    for (size_t i = t.offsets[example] + 1; i < t.offsets[example + 1]; i++) {
        const float *row = logits + (i - 1) * vocab;
        double most = -INFINITY, all = 0;
        for (size_t k = 0; k < vocab; k++)
            most = fmax(most, (double)row[k]);
        for (size_t k = 0; k < vocab; k++)
            all += exp((double)row[k] - most);
        if (t.supervised[i])
            sum += (double)row[t.tokens[i]] - most - log(all);
    }
    return sum;
}

static void log_probabilities_follow_from_the_logits(void **state)
{
    (void)state;
    static const enum dtype types[] = {DTYPE_F32, DTYPE_BF16};
    for (size_t type = 0; type < 2; type++) {
        struct err e;
        struct model_result result;
        double evaluated[EXAMPLES], trained[EXAMPLES];
        const struct model_each at_evaluation = {.log_prob = evaluated}, at_training = {.log_prob = trained};
        open_examples(types[type]);
        float *logits = malloc(t.in.n * t.model.arch.vocab * sizeof *logits);
        assert_ok(model_logits(&t.model, &t.in, logits, &e), &e);
        assert_ok(model_evaluate(&t.model, &t.in, &result, &at_evaluation, &e), &e);
        t.in.weights = weights; /* which the log-probabilities do not heed */
        assert_ok(model_step_grad(&t.model, &t.in, 1, &t.grads, &result, &at_training, &e), &e);
        double sum = 0;
        for (size_t i = 0; i < EXAMPLES; i++) {
            double plain = plain_log_prob(logits, i);
            assert_true(fabs(evaluated[i] - plain) <= 1e-6 * fabs(plain));
            sum -= evaluated[i];
        }
        assert_true(evaluated[2] == 0 && evaluated[0] < -1);
        assert_memory_equal(evaluated, trained, sizeof evaluated);
        assert_true(fabs(sum - result.loss_sum) < 1e-12 * sum);
        free(logits);
        tiny_close(&t);
    }
}

/* Of the last two examples. */
static void mark_likelihood(void)
{
    for (size_t i = t.offsets[3] + 1; i < t.offsets[5]; i++)
        if (t.supervised[i] && i % 2)
            t.supervised[i] = MARK_LIKELIHOOD;
}

static double weighted_loss(struct tiny *tiny)
{
    struct err e;
    struct model_result result;
    double log_prob[EXAMPLES], scale = 1.0 / tiny_supervised(tiny), loss = 0;
    const struct model_each each = {.log_prob = log_prob};
    memset(tiny->grads.values, 0, tiny->lora.layout.size * sizeof *tiny->grads.values);
    tiny->in.weights = weights;
    tiny->in.likelihood = LIKELIHOOD;
    assert_ok(model_step_grad(&tiny->model, &tiny->in, scale, &tiny->grads, &result, &each, &e), &e);
    for (size_t i = 0; i < EXAMPLES; i++)
        loss -= scale * weights[i] * log_prob[i];
    return loss - scale * LIKELIHOOD * result.likelihood;
}

/* Tokens of the likelihood have its weight, whatever that of their example. */
static void weighted_gradient_equals_central_differences(void **state)
{
    (void)state;
    open_examples(DTYPE_F32);
    mark_likelihood();
    t.lora.dropout = 0.2;
    tiny_plan(&t);
    tiny_check_gradient(&t, weighted_loss, 2e-3);
    tiny_close(&t);
}

/* Tokens that only the likelihood counts are told apart. */
static void tokens_of_the_likelihood_have_their_own_sum(void **state)
{
    (void)state;
    struct err e;
    struct model_result with, without;
    double log_prob[EXAMPLES], all[EXAMPLES], sum = 0;
    open_examples(DTYPE_F32);
    assert_ok(model_evaluate(&t.model, &t.in, &without, &(struct model_each){.log_prob = all}, &e), &e);
    mark_likelihood();
    assert_ok(model_evaluate(&t.model, &t.in, &with, &(struct model_each){.log_prob = log_prob}, &e), &e);
    for (size_t i = 0; i < EXAMPLES; i++)
        sum += all[i] - log_prob[i];
    assert_true(without.likelihood == 0 && with.likelihood < -1 && fabs(sum - with.likelihood) < 1e-9 * fabs(sum));
    assert_true(log_prob[0] == all[0] && log_prob[3] > all[3] && log_prob[4] > all[4]);
    assert_true(with.supervised == without.supervised && with.loss_sum == without.loss_sum);
    tiny_close(&t);
}

static void weighted_gradient_is_the_sum_of_each(void **state)
{
    (void)state;
    struct err e;
    struct model_result result;
    open_examples(DTYPE_F32);
    size_t size = t.lora.layout.size;
    t.in.weights = weights;
    assert_ok(model_step_grad(&t.model, &t.in, 0.5, &t.grads, &result, NULL, &e), &e);
    float *packed = numbers_copy(t.grads.values, size);
    double *sum = calloc(size, sizeof *sum);
    for (size_t i = 0; i < EXAMPLES; i++) {
        size_t first = t.offsets[i], n = t.offsets[i + 1] - first;
        const struct model_input alone = {.tokens = t.tokens + first,
                                          .positions = t.positions + first,
                                          .supervised = t.supervised + first,
                                          .offsets = (const uint32_t[]){0, (uint32_t)n},
                                          .samples = t.samples + i,
                                          .n = n,
                                          .examples = 1};
        memset(t.grads.values, 0, size * sizeof(float));
        assert_ok(model_step_grad(&t.model, &alone, 1, &t.grads, &result, NULL, &e), &e);
        for (size_t k = 0; k < size; k++)
            sum[k] += 0.5 * weights[i] * (double)t.grads.values[k];
    }
    for (size_t k = 0; k < size; k++)
        t.grads.values[k] = (float)sum[k];
    assert_true(tiny_nmse(packed, t.grads.values, size) < 1e-10);
    free(sum);
    free(packed);
    tiny_close(&t);
}

/* ---- an objective ---- */

/* Of examples 0 and 1, and of 3 and 4; example 2 is nobody's. */
static const size_t pairs[2][2] = {{0, 1}, {3, 4}};

struct preference {
    struct objective objective;
    double losses, chosen_log_probs;
    size_t calls;
};

static struct objective_batch count_batch(void)
{
    struct objective_batch batch = {.pairs = 2};
    for (size_t k = 0; k < 2; k++)
        for (size_t i = t.offsets[pairs[k][0]]; i < t.offsets[pairs[k][0] + 1]; i++)
            batch.chosen_tokens += t.supervised[i];
    return batch;
}

static struct objective_answer answer_of(size_t example, const double *log_prob)
{
    struct objective_answer answer = {.log_prob = log_prob[example], .reference = example ? -20 : -200};
    for (size_t i = t.offsets[example]; i < t.offsets[example + 1]; i++)
        answer.tokens += t.supervised[i];
    return answer;
}

static void weigh_pairs(void *context, double *set, const double *log_prob)
{
    struct preference *p = context;
    const struct objective_batch batch = count_batch();
    p->losses = p->chosen_log_probs = 0;
    p->calls++;
    set[2] = 0;
    for (size_t k = 0; k < 2; k++) {
        const struct objective_answer chosen = answer_of(pairs[k][0], log_prob),
                                      rejected = answer_of(pairs[k][1], log_prob);
        struct objective_result r;
        objective_apply(&r, &p->objective, &batch, &chosen, &rejected);
        set[pairs[k][0]] = -r.chosen;
        set[pairs[k][1]] = -r.rejected;
        p->losses += r.loss;
        p->chosen_log_probs += chosen.log_prob;
    }
}

static struct preference preference;

static double preference_loss(struct tiny *tiny)
{
    struct err e;
    struct model_result result;
    const struct objective_batch batch = count_batch();
    const struct model_weigher weigher = {weigh_pairs, &preference};
    memset(tiny->grads.values, 0, tiny->lora.layout.size * sizeof *tiny->grads.values);
    tiny->in.weigher = &weigher;
    assert_ok(model_step_grad(&tiny->model, &tiny->in, 1, &tiny->grads, &result, NULL, &e), &e);
    tiny->in.weigher = NULL;
    return objective_loss(&preference.objective, &batch, preference.losses, preference.chosen_log_probs);
}

static void objective_gradient_equals_central_differences(void **state)
{
    (void)state;
    open_examples(DTYPE_F32);
    t.lora.dropout = 0.2;
    tiny_plan(&t);
    for (size_t kind = OBJECTIVE_SFT + 1; kind < OBJECTIVE_COUNT; kind++) {
        preference = (struct preference){.objective = {.kind = (enum objective_kind)kind,
                                                       .beta = 0.01,
                                                       .label_smoothing = 0.1,
                                                       .margin = 0.3,
                                                       .likelihood = 0.5}};
        tiny_check_gradient(&t, preference_loss, 2e-3);
    }
    tiny_close(&t);
}

/* A weigher's weights give the bits that the same weights give; it is not asked without a gradient. */
static void weighers_give_the_bits_of_weights(void **state)
{
    (void)state;
    static const enum dtype types[] = {DTYPE_F32, DTYPE_BF16};
    for (size_t type = 0; type < 2; type++) {
        struct err e;
        struct model_result result;
        double log_prob[EXAMPLES], set[EXAMPLES];
        const struct model_each each = {.log_prob = log_prob};
        open_examples(types[type]);
        preference = (struct preference){.objective = {.kind = OBJECTIVE_DPO, .beta = 0.01}};
        preference_loss(&t);
        float *weighed = numbers_copy(t.grads.values, t.lora.layout.size);
        const struct model_weigher weigher = {weigh_pairs, &preference};
        t.in.weigher = &weigher;
        assert_ok(model_step_grad(&t.model, &t.in, 0, &t.grads, &result, &each, &e), &e);
        assert_int_equal(preference.calls, 1);
        t.in.weigher = NULL;
        weigh_pairs(&preference, set, log_prob);
        t.in.weights = set;
        memset(t.grads.values, 0, t.lora.layout.size * sizeof *t.grads.values);
        assert_ok(model_step_grad(&t.model, &t.in, 1, &t.grads, &result, NULL, &e), &e);
        assert_memory_equal(t.grads.values, weighed, t.lora.layout.size * sizeof(float));
        free(weighed);
        tiny_close(&t);
    }
}

/* Weights of 1 are no weights, bit for bit; a loss scale of 0 leaves the gradients alone. */
static void weights_of_one_change_no_bit(void **state)
{
    (void)state;
    static const enum dtype types[] = {DTYPE_F32, DTYPE_BF16};
    static const double ones[EXAMPLES] = {1, 1, 1, 1, 1};
    for (size_t type = 0; type < 2; type++) {
        struct err e;
        struct model_result result;
        open_examples(types[type]);
        size_t bytes = t.lora.layout.size * sizeof(float);
        double loss = tiny_grad(&t);
        float *plain = numbers_copy(t.grads.values, t.lora.layout.size);
        t.in.weights = ones;
        assert_true(tiny_grad(&t) == loss);
        assert_memory_equal(t.grads.values, plain, bytes);
        t.in.weights = weights;
        assert_true(tiny_grad(&t) == loss); /* the loss that is told is not weighted */
        assert_memory_not_equal(t.grads.values, plain, bytes);
        memcpy(t.grads.values, plain, bytes);
        assert_ok(model_step_grad(&t.model, &t.in, 0, &t.grads, &result, NULL, &e), &e);
        assert_memory_equal(t.grads.values, plain, bytes);
        free(plain);
        tiny_close(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(log_probabilities_follow_from_the_logits),
        cmocka_unit_test(weighted_gradient_equals_central_differences),
        cmocka_unit_test(tokens_of_the_likelihood_have_their_own_sum),
        cmocka_unit_test(weighted_gradient_is_the_sum_of_each),
        cmocka_unit_test(objective_gradient_equals_central_differences),
        cmocka_unit_test(weighers_give_the_bits_of_weights),
        cmocka_unit_test(weights_of_one_change_no_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
