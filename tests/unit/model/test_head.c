/* What the head tells of each example, and takes for each: log-probabilities against those that the logits give in
 * double, weighted gradients against differences of the loss and against those of each example alone. */
#include "tiny_model.h"

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

static double weighted_loss(struct tiny *tiny)
{
    struct err e;
    struct model_result result;
    double log_prob[EXAMPLES], scale = 1.0 / tiny_supervised(tiny), loss = 0;
    const struct model_each each = {.log_prob = log_prob};
    memset(tiny->grads.values, 0, tiny->lora.layout.size * sizeof *tiny->grads.values);
    tiny->in.weights = weights;
    assert_ok(model_step_grad(&tiny->model, &tiny->in, scale, &tiny->grads, &result, &each, &e), &e);
    for (size_t i = 0; i < EXAMPLES; i++)
        loss -= scale * weights[i] * log_prob[i];
    return loss;
}

static void weighted_gradient_equals_central_differences(void **state)
{
    (void)state;
    open_examples(DTYPE_F32);
    t.lora.dropout = 0.2;
    tiny_plan(&t);
    tiny_check_gradient(&t, weighted_loss, 2e-3);
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
        cmocka_unit_test(weighted_gradient_is_the_sum_of_each),
        cmocka_unit_test(weights_of_one_change_no_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
