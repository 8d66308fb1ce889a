#include "unit.h"

#include "run/study_grid.h"

#define BASE "model: m.gguf\ndata: [d.jsonl]\noutput: out\n"

struct study {
    struct options given;
    struct study_grid grid;
};

static enum err_code read_grid(struct study *s, const char *text, struct err *e)
{
    char *argv[] = {(char[]){"--config"}, (char[]){"study.yaml"}, (char[]){"--threads"}, (char[]){"3"}};
    assert_ok(options_parse(&s->given, "study", 4, argv, e), e);
    return study_grid_read(&s->grid, &s->given, "study.yaml", text, strlen(text), e);
}

static void release(struct study *s)
{
    study_grid_release(&s->grid);
    options_release(&s->given);
}

/* Reads a grid and holds its cells' names, in order, against `names` (NULL at the end). */
static void names_are(const char *text, const char *const *names)
{
    struct study s;
    struct err e;
    assert_ok(read_grid(&s, text, &e), &e);
    for (size_t i = 0; i < s.grid.count && names[i]; i++)
        assert_string_equal(s.grid.cells[i].name, names[i]);
    size_t count = 0;
    while (names[count])
        count++;
    assert_int_equal(s.grid.count, count);
    release(&s);
}

#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})

static void plain_keys_are_one_sweep(void **state)
{
    (void)state;
    names_are(BASE, NAMES("normal-lr0.0002-r16-s0"));
    names_are(
        BASE "learning-rate: [1e-3, 0.01]\nseed: [4, 5]\nlora_rank: 8\n",
        NAMES("normal-lr0.001-r8-s4", "normal-lr0.001-r8-s5", "normal-lr0.01-r8-s4", "normal-lr0.01-r8-s5"));
}

/* All of them learn from pairs. */
static void objectives_may_vary(void **state)
{
    (void)state;
    names_are(BASE "objective: [dpo, ipo]\nbeta: [0.1, 0.5]\n",
              NAMES("normal-lr0.0002-r16-s0-objectivedpo", "normal-lr0.0002-r16-s0-objectivedpo-beta0.5",
                    "normal-lr0.0002-r16-s0-objectiveipo", "normal-lr0.0002-r16-s0-objectiveipo-beta0.5"));
    names_are(BASE "objective: simpo\na.simpo-margin: [0.5, 1]\nb.objective: orpo\n",
              NAMES("normal-lr0.0002-r16-s0", "normal-lr0.0002-r16-s0-simpo-margin1",
                    "normal-lr0.0002-r16-s0-objectiveorpo"));
    struct study s;
    struct err e;
    assert_ok(read_grid(&s, BASE "objective: simpo\n", &e), &e);
    assert_true(s.grid.pairs);
    release(&s);
    assert_ok(read_grid(&s, BASE, &e), &e);
    assert_false(s.grid.pairs);
    release(&s);
}

static void sweeps_replace_plain_keys_and_share_cells(void **state)
{
    (void)state;
    names_are(BASE "seed: [0, 1]\nlora-rank: 8\n"
                   "rate.learning-rate: [1e-4, 1e-3]\n"
                   "rate.seed: 1\n"
                   "long.max-steps: [0, 40]\n"
                   "long.learning-rate: 1e-3\n",
              NAMES("normal-lr0.0001-r8-s1", "normal-lr0.001-r8-s1", "normal-lr0.001-r8-s0",
                    "normal-lr0.001-r8-s0-max-steps40", "normal-lr0.001-r8-s1-max-steps40"));
}

static void names_tell_odd_values_apart(void **state)
{
    (void)state;
    struct study s;
    struct err e;
    assert_ok(read_grid(&s,
                        BASE "target-modules: ['.*\\.1\\..*_proj', '.*\\.2\\..*_proj', '.*_1_..*_proj']\n"
                             "shuffle: [true, false]\n",
                        &e),
              &e);
    assert_int_equal(s.grid.count, 6);
    for (size_t i = 0; i < s.grid.count; i++) {
        const char *name = s.grid.cells[i].name;
        assert_null(strpbrk(name, "/\\* "));
        assert_int_equal(strstr(name, "-no-shuffle") != NULL, i % 2 == 1);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(name, s.grid.cells[k].name);
    }
    release(&s);
}

static void cells_have_the_options_of_train(void **state)
{
    (void)state;
    struct study s;
    struct options o;
    struct err e;
    assert_ok(
        read_grid(
            &s, BASE "threads: 7\nmax-steps: 12\na.lora-alpha: [4, 8]\na.lora-rank: [2, 3]\nb.seed: 9\n", &e),
        &e);
    assert_int_equal(s.grid.count, 5);
    assert_ok(study_grid_options(&s.grid, &s.grid.cells[2], &o, &e), &e);
    assert_true(o.lora_alpha == 8 && o.lora_rank == 2 && o.max_steps == 12 && o.seed == 0);
    assert_int_equal(o.threads, 3); /* the command line's */
    assert_string_equal(o.output, "out/cells/normal-lr0.0002-r2-s0-lora-alpha8");
    assert_string_equal(o.data.items[0], "d.jsonl");
    assert_string_equal(o.set.command->name, "train");
    options_release(&o);
    assert_ok(study_grid_options(&s.grid, &s.grid.cells[4], &o, &e), &e);
    assert_true(o.lora_alpha == 32 && o.lora_rank == 16 && o.seed == 9);
    options_release(&o);
    release(&s);
}

/* What is written gives the same cells when it is read. */
static void resolved_study_is_the_same_study(void **state)
{
    (void)state;
    static const char *const texts[] = {
        BASE "seed: [0, 1]\nlora-init: [normal]\n",
        BASE "seed: [0, 1]\nx.learning-rate: [1e-4, 1e-3]\ny.shuffle: false\ny.target-modules: "
             "'model\\.layers\\.1\\..*'\n",
    };
    for (size_t t = 0; t < 2; t++) {
        struct study first, second;
        struct str text = {0};
        struct err e;
        assert_ok(read_grid(&first, texts[t], &e), &e);
        assert_ok(study_grid_write_yaml(&first.grid, &text, &e), &e);
        assert_ok(read_grid(&second, text.data, &e), &e);
        assert_int_equal(first.grid.count, second.grid.count);
        for (size_t i = 0; i < first.grid.count; i++) {
            struct options a, b;
            struct str x = {0}, y = {0};
            assert_ok(study_grid_options(&first.grid, &first.grid.cells[i], &a, &e), &e);
            assert_ok(study_grid_options(&second.grid, &second.grid.cells[i], &b, &e), &e);
            assert_ok(options_write_yaml(&a, &x, &e), &e);
            assert_ok(options_write_yaml(&b, &y, &e), &e);
            assert_string_equal(x.data, y.data);
            str_release(&x);
            str_release(&y);
            options_release(&a);
            options_release(&b);
        }
        str_release(&text);
        release(&first);
        release(&second);
    }
}

static void mistakes_name_the_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {BASE "lerning-rate: 1\n", "study.yaml:4: unknown option lerning-rate; did you mean learning-rate?"},
        {BASE "a.learning-rate: [1e-4, fast]\n", "study.yaml:4: a.learning-rate"},
        {BASE "seed: []\n", "study.yaml:4: seed has no values"},
        {BASE "a.seed: 1\nseed: 1\na.seed: 2\n", "study.yaml:6: a.seed is given twice, first in line 4"},
        {BASE "a.model: x\n", "study.yaml:4: all cells share one model"},
        {BASE "max-length: [1, 2]\n", "study.yaml:4: all cells share one max-length"},
        {BASE "objective: [dpo, sft]\n", "study.yaml: objective: all cells share the data, and sft does not learn"},
        {BASE "a.seed: 1\nb.objective: ipo\n", "study.yaml: objective: all cells share the data, and sft does not"},
        {BASE "a b.seed: 1\n", "study.yaml:4: 'a b' is no name of a sweep"},
        {BASE ".seed: 1\n", "study.yaml:4: '' is no name of a sweep"},
        {BASE "config: x\n", "study.yaml:4: a configuration cannot name another one"},
        {BASE "resume: never\n", "a study always goes on"},
        {"model: m\ndata: [d]\n", "--output"},
        {BASE "seed: [0, 1\n", "study.yaml:5: not valid YAML"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct study s;
        struct err e;
        assert_error(read_grid(&s, cases[i].text, &e), &e, ERR_USAGE, cases[i].message);
        release(&s);
    }
}

static void too_many_cells_are_refused(void **state)
{
    (void)state;
    struct study s;
    struct str text = {0};
    struct err e;
    assert_ok(str_appendf(&text, &e, BASE), &e);
    static const char *const keys[] = {"seed",         "lora-rank",  "max-steps",
                                       "warmup-steps", "batch-size", "save-every"};
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
        assert_ok(str_appendf(&text, &e, "%s: [", keys[k]), &e);
        for (int i = 1; i <= 100; i++)
            assert_ok(str_appendf(&text, &e, "%d,", i), &e);
        assert_ok(str_appendf(&text, &e, "]\n"), &e);
    }
    assert_error(read_grid(&s, text.data, &e), &e, ERR_USAGE, "more than");
    release(&s);

    str_clear(&text); /* and of many sweeps that are none too large */
    assert_ok(str_appendf(&text, &e, BASE), &e);
    for (int sweep = 0; sweep < 3; sweep++) {
        assert_ok(str_appendf(&text, &e, "s%d.seed: [", sweep), &e);
        for (int i = 0; i < 4000; i++)
            assert_ok(str_appendf(&text, &e, "%d,", sweep * 4000 + i), &e);
        assert_ok(str_appendf(&text, &e, "]\n"), &e);
    }
    assert_error(read_grid(&s, text.data, &e), &e, ERR_USAGE, "study.yaml: more than 10000 cells");
    str_release(&text);
    release(&s);
}

static void shares_are_read(void **state)
{
    (void)state;
    static const char *const bad[] = {"0/2",  "3/2",   "1",    "1/",   "/2",   "a/2",
                                      "1/2x", "1/2/3", "-1/2", " 1/2", "1 /2", "1/0"};
    struct err e;
    size_t part, parts;
    assert_ok(study_parse_share(&part, &parts, "", &e), &e);
    assert_true(part == 1 && parts == 1);
    assert_ok(study_parse_share(&part, &parts, "3/12", &e), &e);
    assert_true(part == 3 && parts == 12);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(study_parse_share(&part, &parts, bad[i], &e), ERR_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_keys_are_one_sweep),
        cmocka_unit_test(objectives_may_vary), cmocka_unit_test(sweeps_replace_plain_keys_and_share_cells),
        cmocka_unit_test(names_tell_odd_values_apart),
        cmocka_unit_test(cells_have_the_options_of_train),
        cmocka_unit_test(resolved_study_is_the_same_study),
        cmocka_unit_test(mistakes_name_the_line),
        cmocka_unit_test(too_many_cells_are_refused),
        cmocka_unit_test(shares_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
