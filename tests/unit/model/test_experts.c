/* The products of experts against a plain layer in double, whose gradient is taken by central differences; what
 * configurations say of them; that they cannot be adapted. */
#include "tiny_model.h"

#include "../../../src/model/parts/parts.h"

enum { MOST_EXPERTS = 8, MOST_WIDTH = 64 };

/* silu(gate) * up of one expert, times the token's share of it, for the experts of the largest probabilities. */
static void plain_layer(double *y, const struct model *m, size_t layer, const double *x)
{
    const struct arch *a = &m->arch;
    const float *router = m->weights.layers[layer].router;
    double p[MOST_EXPERTS], sum = 0, chosen_sum = 0;
    bool chosen[MOST_EXPERTS] = {false};
    memset(y, 0, a->width * sizeof *y);
    for (size_t e = 0; e < a->experts; e++) {
        p[e] = 0;
        for (size_t i = 0; i < a->width; i++)
            p[e] += (double)router[e * a->width + i] * x[i];
        sum += p[e] = exp(p[e]);
    }
    for (size_t k = 0; k < a->experts_a_token; k++) {
        size_t best = SIZE_MAX;
        for (size_t e = 0; e < a->experts; e++)
            if (!chosen[e] && (best == SIZE_MAX || p[e] > p[best]))
                best = e;
        chosen[best] = true;
        chosen_sum += p[best];
    }
    for (size_t e = 0; e < a->experts; e++) {
        const float *gate = weights_expert(&m->weights, layer, e, 0), *up = weights_expert(&m->weights, layer, e, 1);
        const float *down = weights_expert(&m->weights, layer, e, 2);
        double share = p[e] / (a->experts_share_one ? chosen_sum : sum);
        for (size_t f = 0; f < a->ffn && chosen[e]; f++) {
            double g = 0, u = 0;
            for (size_t i = 0; i < a->width; i++) {
                g += (double)gate[f * a->width + i] * x[i];
                u += (double)up[f * a->width + i] * x[i];
            }
            for (size_t i = 0; i < a->width; i++)
                y[i] += share * g / (1 + exp(-g)) * u * (double)down[i * a->ffn + f];
        }
    }
}

/* The derivative of dy * layer(x) in x. */
static void plain_gradient(double *dx, const struct model *m, size_t layer, const float *x, const float *dy)
{
    size_t width = m->arch.width;
    double at[MOST_WIDTH], y[2][MOST_WIDTH];
    for (size_t i = 0; i < width; i++)
        at[i] = (double)x[i];
    for (size_t i = 0; i < width; i++) {
        for (int side = 0; side < 2; side++) {
            at[i] = (double)x[i] + (side ? 1e-6 : -1e-6);
            plain_layer(y[side], m, layer, at);
        }
        at[i] = (double)x[i];
        dx[i] = 0;
        for (size_t k = 0; k < width; k++)
            dx[i] += (double)dy[k] * (y[1][k] - y[0][k]) / 2e-6;
    }
}

static void begin(struct step *s, struct tiny *t, size_t n)
{
    struct err e;
    tiny_clear(t);
    tiny_add_random(t, n, 1);
    assert_ok(step_begin(s, &t->model, t->model.acts, &t->in, &t->grads, &e), &e);
}

static void run(const struct step *s, size_t layer, const float *x, const float *dy)
{
    const struct acts *acts = s->acts;
    size_t count = s->in->n * s->m->arch.width;
    memset(acts->residual, 0, count * sizeof *acts->residual);
    experts_forward(s, layer, GROUP_MLP_IN, acts->layers[layer].gate_up, x);
    mlp_forward(s, layer);
    experts_forward(s, layer, GROUP_MLP_OUT, acts->residual, acts->product);
    experts_backward(s, layer, GROUP_MLP_OUT, acts->dwide, dy, acts->product);
    mlp_backward(s, layer);
    experts_backward(s, layer, GROUP_MLP_IN, acts->dnormed, acts->layers[layer].gate_up, NULL);
}

static void check_layer(struct tiny *t, size_t n)
{
    struct step s;
    size_t width = t->model.arch.width, layer = 1;
    begin(&s, t, n);
    float *x = numbers_new(n * width, 1, 7), *dy = numbers_new(n * width, 1, 8);
    run(&s, layer, x, dy);
    double y[MOST_WIDTH], dx[MOST_WIDTH], at[MOST_WIDTH], worst[2] = {0, 0};
    for (size_t token = 0; token < n; token++) {
        for (size_t i = 0; i < width; i++)
            at[i] = (double)x[token * width + i];
        plain_layer(y, &t->model, layer, at);
        plain_gradient(dx, &t->model, layer, x + token * width, dy + token * width);
        for (size_t i = 0; i < width; i++) {
            worst[0] = fmax(worst[0], fabs((double)s.acts->residual[token * width + i] - y[i]));
            worst[1] = fmax(worst[1], fabs((double)s.acts->dnormed[token * width + i] - dx[i]));
        }
    }
    print_message("%zu tokens: outputs off by %.2g, gradients by %.2g\n", n, worst[0], worst[1]);
    assert_true(worst[0] < 1e-5 && worst[1] < 2e-5); /* numbers of size 1 to 5 */
    free(x);
    free(dy);
}

/* With one token most experts have no row; with 300, some have more than a block of rows. */
static void a_layer_equals_a_plain_one(void **state)
{
    (void)state;
    const char *const models[] = {"tiny_mixtral", "tiny_qwen3_moe", "tiny_qwen3_moe_window", "tiny_olmoe_gguf"};
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
        static struct tiny t;
        tiny_open(&t, models[i]);
        assert_true(t.model.arch.experts <= MOST_EXPERTS && t.model.arch.width <= MOST_WIDTH);
        const size_t counts[] = {1, 2, 300};
        for (size_t k = 0; k < sizeof counts / sizeof counts[0]; k++)
            check_layer(&t, counts[k]);
        tiny_close(&t);
    }
}

/* Of experts with the same probability the first are taken, each once. */
static void ties_go_to_the_first(void **state)
{
    (void)state;
    static struct tiny t;
    static float router[MOST_EXPERTS * MOST_WIDTH];
    struct step s;
    tiny_open(&t, "tiny_qwen3_moe");
    t.model.weights.layers[0].router = router;
    begin(&s, &t, 40);
    float *x = numbers_new(40 * t.model.arch.width, 1, 9);
    run(&s, 0, x, x);
    size_t choices = t.model.arch.experts_a_token;
    for (size_t i = 0; i < 40 * choices; i++) {
        assert_int_equal(s.acts->layers[0].chosen[i], i % choices);
        assert_true(fabsf(s.acts->layers[0].shares[i] - 1.0F / (float)choices) < 1e-6F);
    }
    free(x);
    tiny_close(&t);
}

/* A pack's loss and gradients are those of its examples, although an expert's rows are of several of them. */
static void a_pack_equals_its_examples(void **state)
{
    (void)state;
    static struct tiny t;
    const size_t lengths[] = {5, 400, 500, 31, 240};
    tiny_open(&t, "tiny_mixtral");
    tiny_check_packing(&t, lengths, 1e-6, 1e-9);
    tiny_close(&t);
}

/* Weights that stay in the file are expanded expert by expert, to the same bits. */
static void weights_may_stay_in_the_file(void **state)
{
    (void)state;
    const char *const models[] = {"tiny_olmoe", "tiny_qwen3_moe_gguf"};
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
        static struct tiny t;
        struct err e;
        const struct weights_options options = {.type = DTYPE_F32, .keep_file = true};
        tiny_open(&t, models[i]);
        double loss = tiny_grad(&t);
        size_t whole = model_memory_weights(&t.model);
        float *grads = numbers_copy(t.grads.values, t.lora.layout.size);
        weights_release(&t.model.weights);
        assert_ok(weights_load(&t.model.weights, &t.model.arch, &t.base, &options, &e), &e);
        assert_true(model_memory_weights(&t.model) < whole);
        assert_true(tiny_grad(&t) == loss);
        assert_memory_equal(t.grads.values, grads, t.lora.layout.size * sizeof *grads);
        free(grads);
        tiny_close(&t);
    }
}

static enum err_code read_config(struct arch *a, const char *config, struct err *e)
{
    struct store s = {.kind = STORE_HF, .path = "model"};
    assert_ok(json_open_bytes(&s.config, config, strlen(config), "config.json", e), e);
    enum err_code code = arch_read(a, &s, e);
    json_close(s.config);
    return code;
}

static void check_defaults(const char *config, size_t experts, size_t experts_a_token, bool share_one, size_t ffn)
{
    struct arch a;
    struct err e;
    assert_ok(read_config(&a, config, &e), &e);
    assert_int_equal(a.experts, experts);
    assert_int_equal(a.experts_a_token, experts_a_token);
    assert_int_equal(a.experts_share_one, share_one);
    assert_int_equal(a.ffn, ffn);
    assert_int_equal(arch_kind(&a, 0)->window, 0);
}

static void absent_keys_mean_class_defaults(void **state)
{
    (void)state;
    check_defaults("{\"model_type\": \"mixtral\"}", 8, 2, true, 14336);
    check_defaults("{\"model_type\": \"olmoe\"}", 64, 8, false, 2048);
    check_defaults("{\"model_type\": \"qwen3_moe\", \"intermediate_size\": 5000}", 128, 8, false, 768);
    check_defaults("{\"model_type\": \"qwen3_moe\", \"num_experts\": 16, \"sliding_window\": 4}", 16, 8, false, 768);
}

static void impossible_numbers_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *config, *message;
    } cases[] = {
        {"{\"model_type\": \"olmoe\", \"num_experts\": 0}", "num_experts: 0 is out of range"},
        {"{\"model_type\": \"olmoe\", \"num_experts\": 1025}", "1025 is out of range: 1 to 1024"},
        {"{\"model_type\": \"olmoe\", \"num_experts\": 4, \"num_experts_per_tok\": 5}",
         "num_experts_per_tok: 5 is out of range: 1 to the number of experts, 4"},
        {"{\"model_type\": \"mixtral\", \"num_local_experts\": 1024, \"hidden_size\": 1048576, "
         "\"num_attention_heads\": 1024, \"intermediate_size\": 1048576}",
         "w1: those of all experts would have more than 2^40 elements"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arch a;
        struct err e;
        assert_error(read_config(&a, cases[i].config, &e), &e, ERR_FORMAT, cases[i].message);
    }
}

/* What PEFT makes of such targets has adapters on experts or on the router; attention alone is taken. */
static void experts_and_routers_cannot_be_adapted(void **state)
{
    (void)state;
    static const struct {
        const char *family, *targets;
    } cases[] = {
        {"qwen3_moe", NULL},        {"qwen3_moe", "q_proj,gate_proj"}, {"qwen3_moe", "gate"},
        {"qwen3_moe", ".*_proj"},   {"qwen3_moe", "experts.3.down_proj"}, {"mixtral", "v_proj,w2"},
        {"mixtral", ".*moe\\.gate"}, {"olmoe", "mlp.gate"},
    };
    struct arch a;
    struct err e;
    struct lora l;
    struct lora_spec spec = {.rank = 2, .alpha = 1, .init = LORA_NORMAL};
    char config[64];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(config, sizeof config, "{\"model_type\": \"%s\", \"num_experts\": 8}", cases[i].family);
        assert_ok(read_config(&a, config, &e), &e);
        spec.targets = cases[i].targets;
        assert_error(lora_create(&l, &a, &spec, &e), &e, ERR_UNSUPPORTED,
                     "are frozen here; adapters on attention: --target-modules q_proj,k_proj,v_proj,o_proj");
    }
    spec.targets = "(?!.*mlp).*_proj";
    assert_ok(lora_create(&l, &a, &spec, &e), &e);
    assert_int_equal(l.layout.count, 4 * a.layers);
    lora_release(&l);
    spec.targets = "up_prj";
    assert_error(lora_create(&l, &a, &spec, &e), &e, ERR_USAGE, "matches no linear layer");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absent_keys_mean_class_defaults),
        cmocka_unit_test(impossible_numbers_are_named),
        cmocka_unit_test(experts_and_routers_cannot_be_adapted),
        cmocka_unit_test(a_layer_equals_a_plain_one),
        cmocka_unit_test(ties_go_to_the_first),
        cmocka_unit_test(a_pack_equals_its_examples),
        cmocka_unit_test(weights_may_stay_in_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
