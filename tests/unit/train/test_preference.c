/* Preference training of tiny models of three families, against TRL's own functions
 * (scripts/make_golden_preference_models.py): the loss of a batch of pairs, its gradients and its rewards. */
#include "tiny_model.h"
#include "train/preference.h"

#define LOSS_TOLERANCE 1e-5 /* relative */
#define GRAD_TOLERANCE 1e-9 /* normalised mean square error of each dA and dB */

enum { PAIRS = 4 };

static const char *const families[] = {"tiny_llama3", "tiny_gemma2", "tiny_gpt2"};

/* A batch of all pairs, in another order than theirs in the data, in two packs. */
static uint64_t index_of[PAIRS] = {2, 0, 3, 1};
static uint32_t order[PAIRS] = {3, 0, 2, 1}, first[] = {0, 1, PAIRS};

struct pairs {
    struct tiny tiny;
    struct store golden;
    struct batcher batcher;
    double reference[2 * PAIRS];
};

static float *golden(const struct pairs *p, const char *kind, const char *what, size_t *count)
{
    char name[160];
    snprintf(name, sizeof name, "%s%s", kind, what);
    const struct store_tensor *tensor = store_find(&p->golden, name);
    if (!tensor)
        fail_msg("no golden tensor %s", name);
    float *x = malloc(tensor->bytes);
    assert_non_null(x);
    memcpy(x, tensor->data, tensor->bytes);
    if (count)
        *count = tensor->elements;
    return x;
}

/* Lays both sides of a pair after the others, and returns the supervised tokens of the chosen one. */
static uint64_t add_pair(struct pairs *p, size_t pair)
{
    uint64_t chosen = 0;
    for (size_t side = 0; side < 2; side++) {
        char number[16];
        size_t count;
        int32_t ids[TINY_TOKENS];
        uint8_t marks[TINY_TOKENS];
        snprintf(number, sizeof number, "%zu", 2 * pair + side);
        float *tokens = golden(p, "tokens.", number, &count), *supervised = golden(p, "supervised.", number, NULL);
        for (size_t i = 0; i < count; i++) {
            ids[i] = (int32_t)tokens[i];
            marks[i] = supervised[i] != 0;
            chosen += marks[i] && !side;
        }
        tiny_add(&p->tiny, ids, marks, count, pair);
        free(tokens);
        free(supervised);
    }
    return chosen;
}

static int open_pairs(void **state)
{
    struct pairs *p = calloc(1, sizeof *p);
    const char *name = *state;
    char file[64];
    struct err e;
    if (!p)
        return -1;
    tiny_open(&p->tiny, name);
    snprintf(file, sizeof file, "%s.safetensors", name);
    assert_ok(store_open_safetensors(&p->golden, tiny_path("preference", file), &e), &e);
    tiny_clear(&p->tiny);
    p->batcher = (struct batcher){.examples = PAIRS,
                                  .index = index_of,
                                  .plan = {.order = order, .first = first, .pack_count = 2}};
    for (size_t pair = 0; pair < PAIRS; pair++)
        p->batcher.chosen += add_pair(p, pair);
    *state = p;
    return 0;
}

static int close_pairs(void **state)
{
    struct pairs *p = *state;
    store_close(&p->golden);
    tiny_close(&p->tiny);
    free(p);
    return 0;
}

static void lay_pack(struct pairs *p, size_t pack)
{
    tiny_clear(&p->tiny);
    for (uint32_t i = first[pack]; i < first[pack + 1]; i++)
        add_pair(p, index_of[order[i]]);
}

/* The base's log-probabilities. */
static void measure_reference(struct pairs *p)
{
    struct lora *adapter = p->tiny.model.lora;
    p->tiny.model.lora = NULL;
    for (size_t pack = 0; pack < p->batcher.plan.pack_count; pack++) {
        struct err e;
        struct model_result result;
        double log_prob[2 * PAIRS];
        lay_pack(p, pack);
        assert_ok(model_evaluate(&p->tiny.model, &p->tiny.in, &result, &(struct model_each){.log_prob = log_prob}, &e),
                  &e);
        for (size_t i = 0; i < p->tiny.in.examples; i++)
            p->reference[2 * index_of[order[first[pack] + i / 2]] + i % 2] = log_prob[i];
    }
    p->tiny.model.lora = adapter;
}

/* The loss and the rewards of the batch; its gradient in grads. */
static double run_batch(struct metrics_rewards *rewards, struct pairs *p, const struct options *o)
{
    struct tiny *t = &p->tiny;
    struct preference preference;
    double sums[PREFERENCE_SUMS] = {0};
    const struct objective objective = options_objective(o);
    preference_init(&preference, &objective);
    preference.reference = objective_needs_reference(o->objective) ? p->reference : NULL;
    preference_begin(&preference, &p->batcher);
    memset(t->grads.values, 0, t->lora.layout.size * sizeof *t->grads.values);
    for (size_t pack = 0; pack < p->batcher.plan.pack_count; pack++) {
        struct err e;
        struct model_result result;
        lay_pack(p, pack);
        const struct model_input in = preference_input(&preference, pack, &t->in);
        assert_ok(model_step_grad(&t->model, &in, 1, &t->grads, &result, NULL, &e), &e);
        const double *pack_sums = preference_sums_of(&preference, &result);
        for (size_t i = 0; i < PREFERENCE_SUMS; i++)
            sums[i] += pack_sums[i];
    }
    return preference_finish(rewards, &preference, sums);
}

static void check_gradients(const struct pairs *p, const char *kind)
{
    const struct tiny *t = &p->tiny;
    for (size_t i = 0; i < t->lora.layout.count; i++) {
        const struct lora_module *m = &t->lora.layout.modules[i];
        for (size_t matrix = 0; matrix < 2; matrix++) {
            char name[128];
            size_t count;
            snprintf(name, sizeof name, ".grad.%s.lora_%c", m->path, "AB"[matrix]);
            float *expected = golden(p, kind, name, &count);
            const double nmse = tiny_nmse(t->grads.values + (matrix ? m->b : m->a), expected, count);
            if (!(nmse < GRAD_TOLERANCE))
                fail_msg("%s%s: normalised mean square error %g", kind, name, nmse);
            free(expected);
        }
    }
}

static void check_near(double got, double expected, const char *kind, const char *what)
{
    if (!(fabs(got - expected) < LOSS_TOLERANCE * (1 + fabs(expected))))
        fail_msg("%s, %s: %.9g, not %.9g", kind, what, got, expected);
}

static void objectives_agree(void **state)
{
    struct pairs *p = *state;
    measure_reference(p);
    for (size_t kind = OBJECTIVE_SFT + 1; kind < OBJECTIVE_COUNT; kind++) {
        const char *name = objective_name((enum objective_kind)kind);
        float *settings = golden(p, name, ".settings", NULL), *loss = golden(p, name, ".loss", NULL),
              *metrics = golden(p, name, ".metrics", NULL);
        const struct options o = {.objective = (enum objective_kind)kind,
                                  .beta = (double)settings[0],
                                  .label_smoothing = (double)settings[1],
                                  .simpo_margin = (double)settings[2],
                                  .sft_weight = (double)settings[3]};
        struct metrics_rewards rewards;
        check_near(run_batch(&rewards, p, &o), (double)*loss, name, "loss");
        check_near(rewards.chosen, (double)metrics[0], name, "reward of the chosen answers");
        check_near(rewards.rejected, (double)metrics[1], name, "reward of the rejected answers");
        check_near(rewards.margin, (double)metrics[2], name, "margin");
        assert_true(rewards.accuracy == (double)metrics[3]);
        check_gradients(p, name);
        free(settings);
        free(loss);
        free(metrics);
    }
}

/* A policy that has learnt nothing agrees with its reference to the bit. */
static void nothing_learnt_has_no_margin(void **state)
{
    struct pairs *p = *state;
    struct metrics_rewards rewards;
    const struct options o = {.objective = OBJECTIVE_DPO, .beta = 0.3};
    for (size_t i = 0; i < p->tiny.lora.layout.count; i++) {
        const struct lora_module *m = &p->tiny.lora.layout.modules[i];
        memset(p->tiny.lora.params + m->b, 0, m->rank * m->out * sizeof *p->tiny.lora.params);
    }
    measure_reference(p);
    assert_true(run_batch(&rewards, p, &o) == M_LN2);
    assert_true(rewards.chosen == 0 && rewards.rejected == 0 && rewards.margin == 0 && rewards.accuracy == 0);
}

int main(void)
{
    int failed = 0;
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        void *name = (void *)(uintptr_t)families[i];
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_prestate_setup_teardown(objectives_agree, open_pairs, close_pairs, name),
            cmocka_unit_test_prestate_setup_teardown(nothing_learnt_has_no_margin, open_pairs, close_pairs, name),
        };
        failed += cmocka_run_group_tests_name(families[i], tests, NULL, NULL);
    }
    return failed;
}
