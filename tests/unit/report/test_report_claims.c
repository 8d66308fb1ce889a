/* The six claims, on cells made in memory: held where the numbers are so, and each of them not where one is
 * off. */
#include "unit.h"

#include "../../../src/report/report_data.h"
#include "model/lora_init.h"

#define STEPS   4
#define MODULES 3
#define RANK    4

enum cells { NORMAL, NORMAL_OTHER_SEED, CONSTANT, ZERO, SMALL_B, LARGE_B, CELLS };

static struct report study;
static struct report_cell cells[CELLS];

static void *take(size_t count, size_t size)
{
    struct err e;
    void *memory = arena_alloc(&study.arena, count, size, "a test", &e);
    assert_non_null(memory);
    return memory;
}

static void set_option(struct report_cell *c, const char *name, const char *value)
{
    struct yaml_entry *entry = &c->config.entries[c->config.count++];
    *entry = (struct yaml_entry){.key = name, .values = take(1, sizeof *entry->values), .count = 1};
    entry->values[0].text = value;
}

static void make_cell(enum cells which, const char *name, const char *scheme, const char *seed,
                      const char *std_b)
{
    struct report_cell *c = &cells[which];
    struct report_trace *t = &c->trace;
    *c = (struct report_cell){.name = name, .status = REPORT_DONE, .row_count = 3};
    c->config.entries = take(8, sizeof *c->config.entries);
    set_option(c, "lora_init", scheme);
    set_option(c, "learning-rate", "0.001");
    set_option(c, "seed", seed);
    set_option(c, "init-std-b", std_b);
    c->rows = take(3, sizeof *c->rows);
    for (size_t i = 0; i < 3; i++)
        c->rows[i] = (struct metrics_row){.step = i + 1,
                                          .loss = 3 - 0.5 * (double)i,
                                          .grad_norm = 1,
                                          .evaluated = i != 1,
                                          .eval_loss = 2.5};
    *t = (struct report_trace){.steps = STEPS,
                               .modules = MODULES,
                               .ranks = RANK,
                               .step = take(STEPS, sizeof *t->step),
                               .singular = take(STEPS * MODULES * RANK, sizeof *t->singular),
                               .base_eval_loss = NAN,
                               .start_eval_loss = NAN};
    for (size_t k = 0; k < REPORT_COLUMNS; k++)
        t->column[k] = take(STEPS * MODULES, sizeof *t->column[k]);
    for (size_t i = 0; i < STEPS; i++) {
        t->step[i] = (double)i;
        for (size_t m = 0; m < MODULES; m++) {
            size_t at = i * MODULES + m;
            double last = i == STEPS - 1 ? NAN : 1; /* the row after the last step has no gradients */
            t->column[REPORT_GRAD_A][at] = last * 0.1 * (double)i;
            t->column[REPORT_GRAD_B][at] = last * (1 + (double)m);
            t->column[REPORT_OUTPUT_RATIO][at] = last * 0.01 * (double)i * (1 + (double)m);
            t->column[REPORT_UPDATE_RATIO][at] = 0.001 * (double)i;
            for (size_t k = 0; k < RANK; k++)
                t->singular[at * RANK + k] = 1.0 / (double)(k + 1);
        }
    }
}

/* A study in which every claim holds. */
static int make_study(void **state)
{
    (void)state;
    study = (struct report){.folder = "x", .is_study = true, .cells = cells, .count = CELLS};
    make_cell(NORMAL, "normal-0", "normal", "0", "0");
    make_cell(NORMAL_OTHER_SEED, "normal-1", "normal", "1", "0");
    make_cell(CONSTANT, "constant-0", "constant", "0", "0");
    make_cell(ZERO, "zero-0", "zero", "0", "0");
    make_cell(SMALL_B, "both-small", "both-normal", "0", "0.001");
    make_cell(LARGE_B, "both-large", "both-normal", "0", "0.1");
    for (size_t i = 0; i < STEPS * MODULES; i++)
        for (size_t k = 1; k < RANK; k++)
            cells[CONSTANT].trace.singular[i * RANK + k] = 1e-9;
    for (size_t i = 0; i < 3; i++)
        cells[ZERO].rows[i].grad_norm = 0;
    cells[SMALL_B].trace.logit_difference = 0.5;
    cells[LARGE_B].trace.logit_difference = 5;
    cells[SMALL_B].rows[0].loss = 3.001;
    cells[LARGE_B].rows[0].loss = 4;
    cells[LARGE_B].rows[2].eval_loss = 2.7;
    return 0;
}

static int release_study(void **state)
{
    (void)state;
    arena_release(&study.arena);
    return 0;
}

static void judge(void)
{
    struct err e;
    assert_ok(report_compare_cells(&study, &e), &e);
    assert_ok(report_check_claims(&study, &e), &e);
}

static void expect(size_t claim, enum report_verdict verdict)
{
    judge();
    for (size_t i = 0; i < REPORT_CLAIMS; i++) {
        enum report_verdict expected = i + 1 == claim ? verdict : REPORT_HELD;
        if (study.claims[i].verdict != expected)
            fail_msg("claim %zu is %s, not %s; its first check: %s", i + 1,
                     report_verdict_name(study.claims[i].verdict), report_verdict_name(expected),
                     study.claims[i].checks[0].measured);
    }
}

static bool came_from(size_t claim, const char *cell)
{
    for (size_t i = 0; i < study.claims[claim - 1].cell_count; i++)
        if (!strcmp(study.claims[claim - 1].cells[i]->name, cell))
            return true;
    return false;
}

static void all_hold_and_name_their_cells(void **state)
{
    (void)state;
    expect(0, REPORT_HELD);
    assert_true(came_from(1, "zero-0") && came_from(1, "normal-1") && !came_from(1, "both-large"));
    assert_true(came_from(2, "normal-0") && !came_from(2, "constant-0"));
    assert_true(came_from(3, "normal-0") && came_from(3, "constant-0"));
    assert_int_equal(study.claims[4].cell_count, 1);
    assert_true(came_from(6, "both-large") && came_from(6, "normal-0") && !came_from(6, "normal-1"));
    assert_string_equal(study.claims[5].checks[0].measured, "+0.001 nats per token at std 0.001, +1 at 0.1");
    assert_non_null(strstr(study.claims[5].checks[1].measured, "+1; the base's loss is reached at step 2"));
    assert_non_null(strstr(study.claims[5].checks[2].measured, "+0.2000 at std 0.1; +0.0000 at std 0.001"));
}

static void a_logit_that_moves(void **state)
{
    (void)state;
    cells[CONSTANT].trace.logit_difference = 1e-30;
    expect(1, REPORT_NOT_HELD);
}

static void a_gradient_of_b_that_is_zero(void **state)
{
    (void)state;
    cells[NORMAL].trace.column[REPORT_GRAD_B][1] = 0;
    expect(2, REPORT_NOT_HELD);
}

static void a_gradient_of_a_at_the_start(void **state)
{
    (void)state;
    cells[NORMAL].trace.column[REPORT_GRAD_A][2] = 1e-20;
    expect(2, REPORT_NOT_HELD);
}

static void a_gradient_of_a_that_does_not_come(void **state)
{
    (void)state;
    cells[NORMAL_OTHER_SEED].trace.column[REPORT_GRAD_A][MODULES] = 0;
    expect(2, REPORT_NOT_HELD);
}

static void a_gradient_that_is_not_a_number(void **state)
{
    (void)state;
    cells[NORMAL].trace.column[REPORT_GRAD_B][0] = NAN;
    expect(2, REPORT_NOT_HELD);
}

static void a_constant_a_of_higher_rank(void **state)
{
    (void)state;
    cells[CONSTANT].trace.singular[((STEPS - 1) * MODULES + 1) * RANK + 1] = 0.01;
    expect(3, REPORT_NOT_HELD);
}

static void a_random_a_that_does_not_use_its_rank(void **state)
{
    (void)state;
    for (size_t i = 0; i < MODULES; i++)
        cells[NORMAL].trace.singular[((STEPS - 1) * MODULES + i) * RANK + 3] = 1e-7;
    expect(3, REPORT_NOT_HELD);
}

static void one_seed_alone(void **state)
{
    (void)state;
    cells[NORMAL_OTHER_SEED].status = REPORT_NOT_DONE;
    expect(3, REPORT_PARTLY_MEASURED);
}

static size_t seeds_of(const struct report_cell *c)
{
    static const char *const seeds[] = {"seed", NULL};
    struct report_group g;
    struct err e;
    assert_ok(report_compare_cells(&study, &e), &e);
    assert_ok(report_select(&g, &study, c, seeds, &e), &e);
    return g.count;
}

/* Cells that differ in any option that fixes a run's result are no seeds of one another. */
static void seeds_differ_in_the_seed_alone(void **state)
{
    (void)state;
    struct report_cell *other = &cells[NORMAL_OTHER_SEED];
    struct yaml_entry *last = &other->config.entries[other->config.count];
    static const char *const own[] = {"lora-init", "learning-rate", "seed", "init-std-b"}; /* of all cells */
    size_t looked_at = 0;
    assert_int_equal(seeds_of(&cells[NORMAL]), 2);
    for (size_t i = 0; i < options_table.spec_count; i++) {
        const struct opt_spec *spec = &options_table.specs[i];
        bool is_own = false;
        for (size_t k = 0; spec->name && k < sizeof own / sizeof *own; k++)
            is_own = is_own || strcmp(own[k], spec->name) == 0;
        if (!options_fixes_result(spec) || is_own)
            continue;
        set_option(other, spec->name, "0.125");
        if (seeds_of(&cells[NORMAL]) != 1)
            fail_msg("cells with another %s are taken for seeds", last->key);
        other->config.count--;
        looked_at++;
    }
    assert_true(looked_at > 25);
}

/* One seed, weight decay and dropout swept: the spread over these is not one over seeds. */
static void swept_options_are_no_seeds(void **state)
{
    (void)state;
    for (size_t i = 0; i < CELLS; i++)
        make_cell((enum cells)i, "cell", "normal", "0", "0");
    for (size_t i = 0; i < CELLS; i++) {
        set_option(&cells[i], "weight-decay", i % 2 ? "0.01" : "0.0");
        set_option(&cells[i], "lora-dropout", i / 2 == 0 ? "0.0" : i / 2 == 1 ? "0.05" : "0.1");
    }
    judge();
    assert_string_equal(study.claims[2].checks[2].criterion,
                        "the spread over seeds is known: at least two seeds have finished");
    assert_int_equal(study.claims[2].checks[2].verdict, REPORT_NOT_MEASURED);
    for (size_t i = 0; i < CELLS; i++)
        assert_int_equal(seeds_of(&cells[i]), 1);
}

static void influence_that_is_large(void **state)
{
    (void)state;
    cells[NORMAL].trace.column[REPORT_OUTPUT_RATIO][2 * MODULES] = 0.2;
    expect(4, REPORT_NOT_HELD);
}

static void a_module_that_runs_away(void **state)
{
    (void)state;
    for (size_t i = 0; i < MODULES; i++)
        cells[NORMAL].trace.column[REPORT_OUTPUT_RATIO][MODULES + i] = i ? 0.0001 : 0.05;
    expect(4, REPORT_NOT_HELD);
}

static void a_zero_that_moves(void **state)
{
    (void)state;
    cells[ZERO].rows[1].grad_norm = 1e-20;
    expect(5, REPORT_NOT_HELD);
    cells[ZERO].rows[1].grad_norm = 0;
    cells[ZERO].rows[2].eval_loss = nextafter(2.5, 3);
    expect(5, REPORT_NOT_HELD);
}

static void an_offset_that_does_not_grow(void **state)
{
    (void)state;
    cells[SMALL_B].rows[0].loss = 4.5;
    expect(6, REPORT_NOT_HELD);
}

static void a_start_that_does_not_hurt(void **state)
{
    (void)state;
    cells[LARGE_B].rows[2].eval_loss = 2.5;
    expect(6, REPORT_NOT_HELD);
    cells[LARGE_B].rows[2].eval_loss = NAN; /* it has blown up: worse than any number */
    expect(6, REPORT_HELD);
    cells[LARGE_B].rows[0].loss = 3.05;
    expect(6, REPORT_NOT_HELD);
}

static void nothing_at_all(void **state)
{
    (void)state;
    study.count = 0;
    judge();
    for (size_t i = 0; i < REPORT_CLAIMS; i++)
        assert_int_equal(study.claims[i].verdict, REPORT_NOT_MEASURED);
    study.count = CELLS;
    for (size_t i = 0; i < CELLS; i++) /* cells without a trace, and that are not done */
        cells[i] = (struct report_cell){.name = "x",
                                        .status = i % 2 ? REPORT_FAILED : REPORT_DONE,
                                        .config = cells[i].config,
                                        .trace.logit_difference = NAN};
    judge();
    for (size_t i = 0; i < REPORT_CLAIMS; i++)
        assert_int_equal(study.claims[i].verdict, REPORT_NOT_MEASURED);
}

static void every_scheme_has_words(void **state)
{
    (void)state;
    for (enum lora_init init = 0; init < LORA_SCHEME_COUNT; init++) {
        size_t i = 0;
        while (i < report_scheme_count && strcmp(report_schemes[i].name, lora_scheme(init)->name))
            i++;
        if (i == report_scheme_count)
            fail_msg("the report does not know the scheme %s", lora_scheme(init)->name);
    }
    assert_int_equal(LORA_SCHEME_COUNT, report_scheme_count);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, make_study, release_study)
    const struct CMUnitTest tests[] = {
        CASE(all_hold_and_name_their_cells),
        CASE(a_logit_that_moves),
        CASE(a_gradient_of_b_that_is_zero),
        CASE(a_gradient_of_a_at_the_start),
        CASE(a_gradient_of_a_that_does_not_come),
        CASE(a_gradient_that_is_not_a_number),
        CASE(a_constant_a_of_higher_rank),
        CASE(a_random_a_that_does_not_use_its_rank),
        CASE(one_seed_alone),
        CASE(seeds_differ_in_the_seed_alone),
        CASE(swept_options_are_no_seeds),
        CASE(influence_that_is_large),
        CASE(a_module_that_runs_away),
        CASE(a_zero_that_moves),
        CASE(an_offset_that_does_not_grow),
        CASE(a_start_that_does_not_hurt),
        CASE(nothing_at_all),
        cmocka_unit_test(every_scheme_has_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
