/* Decoding with a cache: the same tokens as the plain forward pass gives, stops, sampling. And SmolLM2
 * itself. */
#include "model/generate.h"
#include "tiny_model.h"

struct collected {
    int32_t tokens[TINY_TOKENS];
    size_t count, limit;
};

static bool collect(int32_t token, void *context)
{
    struct collected *c = context;
    c->tokens[c->count++] = token;
    return c->count < c->limit;
}

static struct collected generate(struct model *m, const int32_t *prompt, size_t count,
                                 const struct generate_options *options)
{
    struct err e;
    struct collected c = {.limit = TINY_TOKENS};
    assert_ok(generate_run(m, prompt, count, options, collect, &c, &e), &e);
    return c;
}

/* Greedy decoding by running the whole sequence again for each token. */
static int32_t next_without_cache(struct tiny *t, const int32_t *tokens, size_t count)
{
    struct err e;
    uint8_t none[TINY_TOKENS] = {0};
    size_t vocab = t->model.arch.vocab, best = 0;
    float *logits = malloc(count * vocab * sizeof *logits);
    tiny_clear(t);
    tiny_add(t, tokens, none, count, 0);
    assert_ok(model_logits(&t->model, &t->in, logits, &e), &e);
    const float *last = logits + (count - 1) * vocab;
    for (size_t i = 1; i < vocab; i++)
        best = last[i] > last[best] ? i : best;
    free(logits);
    return (int32_t)best;
}

/* Whether the adapter took part: the base alone draws something else. (The likeliest token can be the same: Granite
 * multiplies what it has read by much, and its head is its embedding.) */
static bool check_greedy(const char *name, size_t prompt)
{
    static struct tiny t;
    tiny_open(&t, name);
    int32_t tokens[64] = {3, 1, 4, 1, 5, 9, 2, 6};
    const struct generate_options options = {.max_new_tokens = 24, .top_p = 1};
    struct collected c = generate(&t.model, tokens, prompt, &options);
    assert_int_equal(c.count, 24);
    for (size_t k = 0; k < c.count; k++) {
        assert_int_equal(c.tokens[k], next_without_cache(&t, tokens, prompt + k));
        tokens[prompt + k] = c.tokens[k];
    }
    const struct generate_options drawn = {.max_new_tokens = 24, .temperature = 4, .top_p = 1};
    c = generate(&t.model, tokens, prompt, &drawn);
    t.model.lora = NULL;
    struct collected base = generate(&t.model, tokens, prompt, &drawn);
    tiny_close(&t);
    return memcmp(base.tokens, c.tokens, c.count * sizeof *c.tokens) != 0;
}

static void greedy_equals_the_whole_forward_pass(void **state)
{
    (void)state;
    for (char **model = tiny_names(); *model; model++) {
        bool short_prompt = check_greedy(*model, 1), long_prompt = check_greedy(*model, 8);
        if (!short_prompt && !long_prompt)
            fail_msg("%s draws the same without its adapter", *model);
    }
}

/* What a batch generated. */
struct batch {
    struct collected of[3];
};

static bool collect_each(size_t prompt, int32_t token, void *context)
{
    return collect(token, &((struct batch *)context)->of[prompt]);
}

/* Prompts of other lengths, of which one ends early and one is told to: each goes on as by itself. */
static void a_batch_is_each_by_itself(void **state)
{
    (void)state;
    static struct tiny t;
    static const int32_t tokens[] = {3, 1, 4, 1, 5, 9, 2, 6};
    for (char **model = tiny_names(); *model; model++) {
        struct err e;
        struct batch b = {{{.limit = TINY_TOKENS}, {.limit = 5}, {.limit = TINY_TOKENS}}};
        tiny_open(&t, *model);
        const struct generate_prompt prompts[] = {
            {tokens, 1, 0, 0, -1}, {tokens + 2, 5, 0, 0, -1}, {tokens, 8, 9, 0, -1}};
        const struct generate_options options = {.max_new_tokens = 24, .top_p = 1};
        assert_ok(generate_batch(&t.model, prompts, 3, &options, collect_each, &b, &e), &e);
        const size_t counts[] = {24, 5, 9};
        for (size_t i = 0; i < 3; i++) {
            struct collected alone = generate(&t.model, prompts[i].tokens, prompts[i].count, &options);
            assert_int_equal(b.of[i].count, counts[i]);
            assert_memory_equal(b.of[i].tokens, alone.tokens, counts[i] * sizeof *alone.tokens);
        }
        tiny_close(&t);
    }
}

/* A prompt's random numbers are its own, whoever is with it. */
static void a_number_draws_the_same_in_any_batch(void **state)
{
    (void)state;
    static struct tiny t;
    struct err e;
    static const int32_t tokens[] = {3, 1, 4};
    struct batch a = {{{.limit = 20}, {.limit = 20}, {.limit = 20}}}, b = a;
    tiny_open(&t, "tiny_gqa");
    const struct generate_prompt one[] = {{tokens, 3, 0, 5, -1}, {tokens, 3, 0, 6, -1}, {tokens, 3, 0, 5, -1}};
    const struct generate_options options = {.max_new_tokens = 20, .temperature = 2, .top_p = 1, .seed = 3};
    assert_ok(generate_batch(&t.model, one, 3, &options, collect_each, &a, &e), &e);
    assert_ok(generate_batch(&t.model, one + 1, 2, &options, collect_each, &b, &e), &e);
    assert_memory_equal(a.of[0].tokens, a.of[2].tokens, sizeof(int32_t) * 20);
    assert_memory_equal(a.of[0].tokens, b.of[1].tokens, sizeof(int32_t) * 20);
    assert_memory_not_equal(a.of[0].tokens, a.of[1].tokens, sizeof(int32_t) * 20);
    assert_error(generate_batch(&t.model, one, 0, &options, collect_each, &a, &e), &e, ERR_USAGE, "0 prompts");
    tiny_close(&t);
}

static void stops_where_told(void **state)
{
    (void)state;
    static struct tiny t;
    struct err e;
    tiny_open(&t, "tiny_gqa");
    const int32_t prompt[] = {3, 1, 4};
    struct generate_options options = {.max_new_tokens = 20, .top_p = 1};
    struct collected all = generate(&t.model, prompt, 3, &options);
    size_t place = 0; /* of the first appearance of the fifth token */
    while (all.tokens[place] != all.tokens[4])
        place++;
    options.stop = &all.tokens[4];
    options.stop_count = 1;
    struct collected stopped = generate(&t.model, prompt, 3, &options);
    assert_int_equal(stopped.count, place);
    options.stop_count = 0;
    struct collected limited = {.limit = 2};
    assert_ok(generate_run(&t.model, prompt, 3, &options, collect, &limited, &e), &e);
    assert_int_equal(limited.count, 2);
    options.max_new_tokens = 0;
    assert_int_equal(generate(&t.model, prompt, 3, &options).count, 0);
    tiny_close(&t);
}

static void padding_is_never_chosen(void **state)
{
    (void)state;
    static struct tiny t;
    tiny_open(&t, "tiny_gqa");
    const int32_t prompt[] = {3, 1, 4};
    struct generate_options options = {.max_new_tokens = 40, .top_p = 1};
    int32_t most = 0;
    struct collected all = generate(&t.model, prompt, 3, &options);
    for (size_t i = 0; i < all.count; i++)
        most = all.tokens[i] > most ? all.tokens[i] : most;
    assert_true(most > 3);
    options.vocab = (size_t)most;
    for (int greedy = 0; greedy < 2; greedy++) {
        options.temperature = greedy ? 0 : 50;
        struct collected less = generate(&t.model, prompt, 3, &options);
        assert_int_equal(less.count, 40);
        for (size_t i = 0; i < less.count; i++)
            assert_true(less.tokens[i] < most);
    }
    tiny_close(&t);
}

static void sampling_follows_seed_temperature_and_top_p(void **state)
{
    (void)state;
    static struct tiny t;
    tiny_open(&t, "tiny_tied");
    const int32_t prompt[] = {3, 1, 4};
    struct generate_options options = {.max_new_tokens = 40, .temperature = 1.5, .top_p = 1, .seed = 1};
    struct collected first = generate(&t.model, prompt, 3, &options);
    struct collected again = generate(&t.model, prompt, 3, &options);
    assert_memory_equal(first.tokens, again.tokens, first.count * sizeof *first.tokens);
    options.seed = 2;
    struct collected other = generate(&t.model, prompt, 3, &options);
    assert_memory_not_equal(first.tokens, other.tokens, first.count * sizeof *first.tokens);
    struct generate_options greedy = {.max_new_tokens = 40, .top_p = 1};
    struct collected best = generate(&t.model, prompt, 3, &greedy);
    options.top_p = 1e-6; /* only the likeliest is left */
    struct collected narrow = generate(&t.model, prompt, 3, &options);
    assert_memory_equal(best.tokens, narrow.tokens, best.count * sizeof *best.tokens);
    options.top_p = 1;
    options.temperature = 1e-4;
    struct collected cold = generate(&t.model, prompt, 3, &options);
    assert_memory_equal(best.tokens, cold.tokens, best.count * sizeof *best.tokens);
    tiny_close(&t);
}

/* The first token over many seeds is distributed as softmax says. */
static void sampled_frequencies_are_the_probabilities(void **state)
{
    (void)state;
    enum { DRAWS = 2000 };
    static struct tiny t;
    struct err e;
    tiny_open(&t, "tiny_gqa");
    const int32_t prompt[] = {7};
    const uint8_t none[] = {0};
    size_t vocab = t.model.arch.vocab;
    float *logits = malloc(vocab * sizeof *logits);
    tiny_clear(&t);
    tiny_add(&t, prompt, none, 1, 0);
    assert_ok(model_logits(&t.model, &t.in, logits, &e), &e);
    double *wanted = calloc(vocab, sizeof *wanted), *seen = calloc(vocab, sizeof *seen), total = 0, chi = 0;
    for (size_t i = 0; i < vocab; i++)
        total += wanted[i] = exp((double)logits[i] / 2);
    for (uint64_t seed = 0; seed < DRAWS; seed++) {
        const struct generate_options o = {.max_new_tokens = 1, .temperature = 2, .top_p = 1, .seed = seed};
        seen[generate(&t.model, prompt, 1, &o).tokens[0]]++;
    }
    for (size_t i = 0; i < vocab; i++) {
        double expected = wanted[i] / total * DRAWS;
        chi += (seen[i] - expected) * (seen[i] - expected) / expected;
    }
    /* chi square of 63 degrees of freedom: mean 63, deviation 11 */
    assert_true(chi > 25 && chi < 120);
    free(logits);
    free(wanted);
    free(seen);
    tiny_close(&t);
}

static void bad_options_are_refused(void **state)
{
    (void)state;
    static struct tiny t;
    struct err e;
    struct collected c = {.limit = 1};
    tiny_open(&t, "tiny_gqa");
    const int32_t prompt[] = {3, 64};
    struct generate_options o = {.max_new_tokens = 1, .top_p = 1};
    assert_error(generate_run(&t.model, prompt, 0, &o, collect, &c, &e), &e, ERR_USAGE, "prompt is empty");
    assert_error(generate_run(&t.model, prompt, 2, &o, collect, &c, &e), &e, ERR_MISMATCH, "token 64");
    o.temperature = NAN;
    assert_error(generate_run(&t.model, prompt, 1, &o, collect, &c, &e), &e, ERR_USAGE, "temperature");
    o.temperature = 0;
    o.top_p = 0;
    assert_error(generate_run(&t.model, prompt, 1, &o, collect, &c, &e), &e, ERR_USAGE, "top-p 0");
    o.top_p = 1;
    o.max_new_tokens = SIZE_MAX;
    assert_error(generate_run(&t.model, prompt, 1, &o, collect, &c, &e), &e, ERR_USAGE, "too many");
    o.max_new_tokens = 1;
    t.lora.params[0] = INFINITY;
    assert_error(generate_run(&t.model, prompt, 1, &o, collect, &c, &e), &e, ERR_NUMERIC, "not finite");
    assert_int_equal(c.count, 0);
    tiny_close(&t);
}

static int32_t *golden_ids(const struct tiny *t, const char *kind, int i, size_t *count)
{
    char name[32];
    snprintf(name, sizeof name, "%s.%d", kind, i);
    float *values = tiny_golden(t, name, count);
    int32_t *ids = malloc(*count * sizeof *ids);
    for (size_t k = 0; k < *count; k++)
        ids[k] = (int32_t)values[k];
    free(values);
    return ids;
}

static double smollm2_distance(struct tiny *t, int i, const int32_t *prompt, size_t length)
{
    struct err e;
    char name[32];
    size_t positions, ids, vocab = t->model.arch.vocab;
    uint8_t none[TINY_TOKENS] = {0};
    int32_t *position = golden_ids(t, "positions", i, &positions), *id = golden_ids(t, "ids", i, &ids);
    snprintf(name, sizeof name, "logits.%d", i);
    float *golden = tiny_golden(t, name, NULL), *logits = malloc(length * vocab * sizeof *logits);
    double worst = 0;
    tiny_clear(t);
    tiny_add(t, prompt, none, length, 0);
    assert_ok(model_logits(&t->model, &t->in, logits, &e), &e);
    for (size_t p = 0; p < positions; p++)
        for (size_t k = 0; k < ids; k++)
            worst = fmax(worst, fabs((double)logits[(size_t)position[p] * vocab + (size_t)id[k]] -
                                     (double)golden[p * ids + k]));
    free(position);
    free(id);
    free(golden);
    free(logits);
    return worst;
}

static void smollm2_speaks_as_transformers_does(void **state)
{
    (void)state;
    static struct tiny t;
    struct err e;
    const char *path = getenv("MPILORA_SMOLLM2");
    if (!path || !*path) {
        print_message(
            "skipped: MPILORA_SMOLLM2 does not name SmolLM2's GGUF file (scripts/fetch_model.sh gets it)\n");
        skip();
    }
    assert_ok(store_open(&t.base, path, &e), &e);
    assert_ok(store_open_safetensors(&t.golden, tiny_path("smollm2.safetensors", ""), &e), &e);
    assert_ok(model_load(&t.model, &t.base, &(struct weights_options){.type = DTYPE_F32}, &e), &e);
    const struct model_plan plan = {.tokens = 128, .examples = 1, .longest = 128, .threads = 2};
    assert_ok(model_plan_memory(&t.model, &plan, &e), &e);
    for (int i = 0; i < 5; i++) {
        size_t length, count;
        int32_t *prompt = golden_ids(&t, "prompt", i, &length), *greedy = golden_ids(&t, "greedy", i, &count);
        double distance = smollm2_distance(&t, i, prompt, length);
        print_message("prompt %d: logits within %.2g\n", i, distance);
        assert_true(distance < 1e-3);
        const struct generate_options options = {.max_new_tokens = count, .top_p = 1};
        struct collected c = generate(&t.model, prompt, length, &options);
        assert_int_equal(c.count, count);
        assert_memory_equal(c.tokens, greedy, count * sizeof *greedy);
        free(prompt);
        free(greedy);
    }
    model_release(&t.model);
    store_close(&t.golden);
    store_close(&t.base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_equals_the_whole_forward_pass),
        cmocka_unit_test(a_batch_is_each_by_itself),
        cmocka_unit_test(a_number_draws_the_same_in_any_batch),
        cmocka_unit_test(stops_where_told),
        cmocka_unit_test(padding_is_never_chosen),
        cmocka_unit_test(sampling_follows_seed_temperature_and_top_p),
        cmocka_unit_test(sampled_frequencies_are_the_probabilities),
        cmocka_unit_test(bad_options_are_refused),
        cmocka_unit_test(smollm2_speaks_as_transformers_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
