/* Which modules are adapted, how the flat arrays are laid out, and their first values. */
#include "model/family.h"
#include "model/lora_init.h"

#include <stdlib.h>

#include "base/limits.h"
#include "linears.h"
#include "numbers.h"
#include "unit.h"

static const struct arch untied = {.family = &family_llama,
                                   .layers = 3,
                                   .width = 16,
                                   .ffn = 24,
                                   .heads = 4,
                                   .kv_heads = 2,
                                   .head_dim = 6,
                                   .vocab = 50};

static enum err_code create(struct lora *l, const struct arch *a, const char *targets, struct err *e)
{
    const struct lora_spec spec = {
        .targets = targets, .rank = 4, .alpha = 8, .dropout = 0.25, .init = LORA_NORMAL, .seed = 5};
    return lora_create(l, a, &spec, e);
}

/* What PEFT chooses for the same value of target_modules. */
static void targets_follow_peft(void **state)
{
    (void)state;
    static const struct {
        const char *targets;
        size_t count;
        const char *member; /* one of them */
        size_t lowest;
    } cases[] = {
        {NULL, 21, "model.layers.2.mlp.down_proj", 0},
        {"q_proj,v_proj", 6, "model.layers.1.self_attn.v_proj", 0},
        {" q_proj , v_proj", 6, "model.layers.1.self_attn.v_proj", 0},
        {"self_attn.q_proj", 3, "model.layers.0.self_attn.q_proj", 0},
        {"model.layers.1.mlp.up_proj", 1, "model.layers.1.mlp.up_proj", 1},
        {"layers.2.self_attn.o_proj,layers.1.mlp.gate_proj", 2, "model.layers.1.mlp.gate_proj", 1},
        {"q_proj,q_proj", 3, "model.layers.0.self_attn.q_proj", 0},
        {"lm_head", 1, "lm_head", 3},
        {"lm_head,layers.2.mlp.down_proj", 2, "lm_head", 2},
        {".*\\.(q|k)_proj", 6, "model.layers.2.self_attn.k_proj", 0},
        {".*layers\\.[12]\\..*(up|down)_proj", 4, "model.layers.1.mlp.up_proj", 1},
        {"(?!.*layers\\.0).*proj", 14, "model.layers.1.self_attn.q_proj", 1},
        {"lm_head|.*o_proj", 4, "lm_head", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct lora l;
        struct err e;
        assert_ok(create(&l, &untied, cases[i].targets, &e), &e);
        assert_int_equal(l.layout.count, cases[i].count);
        assert_non_null(lora_find(&l.layout, cases[i].member));
        assert_int_equal(l.layout.lowest_layer, cases[i].lowest);
        lora_release(&l);
    }
}

static void targets_that_match_nothing_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *targets, *message;
    } cases[] = {
        {"q_prj", "'q_prj' matches no linear layer of the model; did you mean q_proj?"},
        {"q_proj,self_attn.vproj", "did you mean v_proj?"},
        {"proj", "matches no linear layer"}, /* suffixes begin at a dot */
        {"_proj", "matches no linear layer"},
        {"embed_tokens", "matches no linear layer"},
        {"self_attn", "matches no linear layer"}, /* not a linear layer itself */
        {"c_attn_and_a_lot_more", "model.layers.0.self_attn.q_proj"},
        {"", "empty name"},
        {"q_proj,,v_proj", "empty name"},
        {"q_proj, ", "empty name"},
        {",q_proj", "empty name"},
        {"q_proj v_proj", "name 'q_proj v_proj' matches no linear layer"},
        {"(q_proj|v_proj)", "regular expression '(q_proj|v_proj)'"}, /* not a full match */
        {"(q_proj", "target-modules: regular expression '(q_proj': at byte 7"},
        {"Q_PROJ", "matches no linear layer"}, /* case matters */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct lora l;
        struct err e;
        assert_error(create(&l, &untied, cases[i].targets, &e), &e, ERR_USAGE, cases[i].message);
        assert_null(l.layout.modules);
    }
}

static void a_tied_head_cannot_be_adapted(void **state)
{
    (void)state;
    struct arch tied = untied;
    struct lora l;
    struct err e;
    tied.tied = true;
    assert_error(create(&l, &tied, "q_proj,lm_head", &e), &e, ERR_USAGE, "tied to the embedding");
    assert_error(create(&l, &tied, ".*", &e), &e, ERR_USAGE, "tied to the embedding");
    assert_ok(create(&l, &tied, NULL, &e), &e);
    assert_null(lora_at(&l.layout, 0, linear_of(&untied, "lm_head")));
    lora_release(&l);
    const struct lora_given given = {"lm_head", 2, 1};
    assert_error(lora_create_given(&l, &tied, &given, 1, &e), &e, ERR_MISMATCH, "lm_head");
}

static void specs_out_of_range_are_refused(void **state)
{
    (void)state;
    struct lora l;
    struct err e;
    struct lora_spec spec = {.targets = "q_proj", .alpha = 1, .init = LORA_NORMAL};
    assert_error(lora_create(&l, &untied, &spec, &e), &e, ERR_USAGE, "rank 0");
    spec.rank = LIMIT_RANK + 1;
    assert_error(lora_create(&l, &untied, &spec, &e), &e, ERR_USAGE, "rank 65537");
    spec.rank = 2;
    spec.dropout = 1;
    assert_error(lora_create(&l, &untied, &spec, &e), &e, ERR_USAGE, "dropout 1");
    spec.dropout = 0;
    spec.alpha = NAN;
    assert_error(lora_create(&l, &untied, &spec, &e), &e, ERR_USAGE, "alpha");
    spec.alpha = 1;
    spec.init_std = -1;
    assert_error(lora_create(&l, &untied, &spec, &e), &e, ERR_USAGE, "init-std -1");
}

/* Every element belongs to one matrix, and the A of a group are one block. */
static void the_layout_has_no_gaps(void **state)
{
    (void)state;
    struct lora l;
    struct err e;
    const struct lora_given given[] = {{"lm_head", 5, 1},
                                       {"model.layers.2.self_attn.v_proj", 3, 1},
                                       {"model.layers.2.self_attn.q_proj", 2, 1},
                                       {"model.layers.1.mlp.up_proj", 1, 1},
                                       {"model.layers.1.mlp.gate_proj", 7, 1},
                                       {"model.layers.1.mlp.down_proj", 4, 1}};
    assert_ok(lora_create_given(&l, &untied, given, 6, &e), &e);
    assert_int_equal(l.layout.count, 6);
    unsigned char *owners = calloc(l.layout.size, 1);
    for (size_t i = 0; i < l.layout.count; i++) {
        const struct lora_module *m = &l.layout.modules[i];
        assert_int_equal(m->in, arch_columns(&untied, m->layer, m->linear));
        assert_int_equal(m->out, arch_rows(&untied, m->layer, m->linear));
        for (size_t k = 0; k < m->rank * m->in; k++)
            owners[m->a + k]++;
        for (size_t k = 0; k < m->rank * m->out; k++)
            owners[m->b + k]++;
        assert_ptr_equal(lora_at(&l.layout, m->layer, m->linear), m);
    }
    for (size_t i = 0; i < l.layout.size; i++)
        assert_int_equal(owners[i], 1);
    free(owners);
    const struct lora_module *gate = lora_find(&l.layout, "model.layers.1.mlp.gate_proj");
    const struct lora_module *up = lora_find(&l.layout, "model.layers.1.mlp.up_proj");
    const struct lora_module *value = lora_find(&l.layout, "model.layers.2.self_attn.v_proj");
    size_t a;
    assert_int_equal(up->a, gate->a + 7 * 16);
    assert_int_equal(gate->b, up->a + 16);
    assert_int_equal(lora_group_ranks(&l.layout, 1, GROUP_MLP_IN, &a), 8);
    assert_int_equal(a, gate->a);
    assert_int_equal(lora_group_ranks(&l.layout, 1, GROUP_ATTN_IN, &a), 0);
    assert_int_equal(lora_group_ranks(&l.layout, 2, GROUP_ATTN_IN, &a), 5);
    assert_int_equal(lora_group_ranks(&l.layout, 0, GROUP_HEAD, &a), 5);
    assert_int_equal(value->a, lora_find(&l.layout, "model.layers.2.self_attn.q_proj")->a + 2 * 16);
    assert_string_equal(l.layout.modules[5].path, "lm_head");
    assert_int_equal(l.layout.lowest_layer, 1);
    struct lora_moments moments;
    assert_ok(lora_moments_init(&moments, &l.layout, false, &l.arena, &e), &e);
    assert_true(moments.m && moments.v && !moments.outer);
    assert_ok(lora_moments_init(&moments, &l.layout, true, &l.arena, &e), &e);
    assert_true(moments.outer && moments.outer[l.layout.size - 1] == 0);
    lora_release(&l);
}

static void given_modules_are_checked(void **state)
{
    (void)state;
    struct lora l;
    struct err e;
    struct lora_given given[] = {{"model.layers.0.self_attn.q_proj", 2, 1},
                                 {"model.layers.0.self_attn.q_proj", 2, 1}};
    assert_error(lora_create_given(&l, &untied, given, 2, &e), &e, ERR_MISMATCH, "q_proj is given twice");
    given[1].path = "model.layers.3.self_attn.q_proj";
    assert_error(lora_create_given(&l, &untied, given, 2, &e), &e, ERR_MISMATCH,
                 "model.layers.3.self_attn.q_proj");
    given[1].path = "model.layers.1.self_attn.q_proj";
    given[1].scaling = INFINITY;
    assert_error(lora_create_given(&l, &untied, given, 2, &e), &e, ERR_NUMERIC, "scaling inf");
    given[1].rank = 0;
    assert_error(lora_create_given(&l, &untied, given, 2, &e), &e, ERR_USAGE, "rank 0");
    assert_ok(lora_create_given(&l, &untied, given, 0, &e), &e);
    assert_int_equal(l.layout.size, 0);
    assert_int_equal(l.layout.lowest_layer, 3);
    lora_release(&l);
}

/* A file may claim ranks that it has no room for: no memory is taken for them. */
static void claimed_ranks_are_held_against_the_file(void **state)
{
    (void)state;
    struct err e;
    struct arch wide = untied;
    wide.width = 4096;
    wide.vocab = 128000;
    struct lora_given given[] = {{"model.layers.0.self_attn.q_proj", 16, 1}, {"lm_head", 64, 1}};
    const size_t q = linear_of(&wide, "q_proj");
    const uint64_t parameters = 16 * (4096 + arch_rows(&wide, 0, q)) + 64 * (4096 + 128000);
    assert_ok(lora_check_given(&wide, given, 2, 0, &e), &e); /* few enough for any file */
    given[1].rank = 640;
    assert_error(lora_check_given(&wide, given, 2, parameters, &e), &e, ERR_FORMAT,
                 "lm_head has the rank 640");
    assert_ok(lora_check_given(&wide, given, 2, 10 * parameters, &e), &e);
    given[1].rank = SIZE_MAX;
    assert_ok(lora_check_given(&wide, given, 1, 0, &e), &e);
    assert_error(lora_create_given(&(struct lora){0}, &wide, given, 2, &e), &e, ERR_USAGE, "out of range");
}

static void normal_has_its_variance_and_b_is_zero(void **state)
{
    (void)state;
    struct arch wide = untied;
    struct lora l;
    struct err e;
    wide.width = 4096;
    const struct lora_spec spec = {
        .targets = "q_proj", .rank = 16, .alpha = 8, .init = LORA_NORMAL, .seed = 9};
    assert_ok(lora_create(&l, &wide, &spec, &e), &e);
    assert_true(l.layout.modules[0].scaling == 0.5F);
    for (size_t i = 0; i < l.layout.count; i++) {
        const struct lora_module *m = &l.layout.modules[i];
        size_t count = m->rank * m->in;
        double sum = 0, squares = 0, fourth = 0, variance = 1.0 / (3 * 4096);
        for (size_t k = 0; k < count; k++) {
            double x = (double)l.params[m->a + k];
            sum += x;
            squares += x * x;
            fourth += x * x * x * x;
        }
        assert_true(fabs(sum / (double)count) < 4 * sqrt(variance / (double)count));
        assert_true(fabs(squares / (double)count / variance - 1) < 0.03);
        assert_true(fabs(fourth / (double)count / (3 * variance * variance) - 1) < 0.1);
        for (size_t k = 0; k < m->rank * m->out; k++)
            assert_true(l.params[m->b + k] == 0);
    }
    assert_memory_not_equal(l.params + l.layout.modules[0].a, l.params + l.layout.modules[1].a, 64);
    float first = l.params[l.layout.modules[0].a];
    struct lora_spec twice = spec;
    twice.init_std = 2 / sqrt(3.0 * 4096);
    assert_ok(lora_init_values(&l, &twice, &e), &e);
    assert_true(fabsf(l.params[l.layout.modules[0].a] / first - 2) < 1e-5F);
    lora_release(&l);
}

/* A module's values do not hang on which others are adapted. */
static void values_belong_to_the_path(void **state)
{
    (void)state;
    struct lora all, one;
    struct err e;
    assert_ok(create(&all, &untied, NULL, &e), &e);
    assert_ok(create(&one, &untied, "model.layers.1.mlp.up_proj", &e), &e);
    const struct lora_module *m = lora_find(&all.layout, "model.layers.1.mlp.up_proj");
    assert_memory_equal(all.params + m->a, one.params + one.layout.modules[0].a,
                        m->rank * m->in * sizeof(float));
    assert_true(all.dropout == 0.25F && all.seed == 5);
    lora_release(&one);
    struct lora_spec spec = {.targets = "model.layers.1.mlp.up_proj", .rank = 4, .alpha = 8, .seed = 6};
    spec.init = LORA_NORMAL;
    assert_ok(lora_create(&one, &untied, &spec, &e), &e);
    assert_memory_not_equal(all.params + m->a, one.params + one.layout.modules[0].a,
                            m->rank * m->in * sizeof(float));
    lora_release(&one);
    lora_release(&all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets_follow_peft),
        cmocka_unit_test(targets_that_match_nothing_are_named),
        cmocka_unit_test(a_tied_head_cannot_be_adapted),
        cmocka_unit_test(specs_out_of_range_are_refused),
        cmocka_unit_test(the_layout_has_no_gaps),
        cmocka_unit_test(given_modules_are_checked),
        cmocka_unit_test(claimed_ranks_are_held_against_the_file),
        cmocka_unit_test(normal_has_its_variance_and_b_is_zero),
        cmocka_unit_test(values_belong_to_the_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
