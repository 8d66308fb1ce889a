#include "unit.h"

#include <stdlib.h>

#include "base/opt.h"
#include "base/file.h"
#include "scratch.h"

struct values {
    const char *name, *kind, *size, *mode, *config;
    struct opt_list files;
    int64_t count;
    double rate, share;
    bool fast, loud;
};

#define SPEC(field, name_, type_, initial_, value_, range_, commands_, required_)                            \
    {                                                                                                        \
        .name = name_, .type = type_, .initial = initial_, .value_name = value_, .range = range_,            \
        .commands = commands_, .required = required_, .help = "help of " name_,                              \
        .offset = offsetof(struct values, field)                                                             \
    }

static const struct opt_spec specs[] = {
    {.type = OPT_HEADING, .help = "First"},
    SPEC(name, "user-name", OPT_STRING, "", "TEXT", "", "AB", "A"),
    SPEC(kind, "kind", OPT_STRING, "red", "red|green|dark-blue|rose", "", "A", ""),
    SPEC(size, "size", OPT_STRING, "auto", "auto|N", "[2, 100]", "A", ""),
    SPEC(mode, "mode", OPT_STRING, "auto", "auto|never|PATH", "", "A", ""),
    SPEC(config, "config", OPT_STRING, "", "FILE", "", "AB", ""),
    {.type = OPT_HEADING, .help = "Only of other"},
    SPEC(fast, "fast", OPT_FLAG, "true", "", "", "B", ""),
    {.type = OPT_HEADING, .help = "Last"},
    SPEC(files, "file", OPT_LIST, "", "FILE", "", "A", ""),
    SPEC(count, "count", OPT_INT, "3", "N", "[1, 10]", "AB", ""),
    SPEC(rate, "learning-rate", OPT_REAL, "2e-4", "X", "(0, inf)", "A", ""),
    SPEC(share, "share", OPT_REAL, "0", "P", "[0, 1)", "A", ""),
    SPEC(loud, "loud", OPT_FLAG, "false", "", "", "A", ""),
};

static const struct opt_command commands[] = {{'A', "alpha", "", false, "Does alpha."},
                                              {'B', "beta", "PATH", false, "Does beta."}};

static const struct opt_table table = {"prog", specs, sizeof specs / sizeof *specs, commands, 2};

/* Parses the words of `line` (split at blanks) for `command`; the caller releases the set. */
static enum err_code parse(struct opt_set *set, struct values *v, const char *command, const char *line,
                           struct err *e)
{
    static char copy[1024];
    char *argv[64];
    int argc = 0;
    snprintf(copy, sizeof copy, "%s", line);
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
        argv[argc++] = word;
    if (opt_init(set, &table, v, command, e))
        return e->code;
    return opt_read_all(set, argc, argv, e);
}

static void check_error(const char *command, const char *line, const char *expected)
{
    struct opt_set set;
    struct values v;
    struct err e;
    assert_error(parse(&set, &v, command, line, &e), &e, ERR_USAGE, expected);
    opt_release(&set);
}

static enum err_code read_config(struct opt_set *set, const char *text, struct err *e)
{
    return opt_read_config(set, "run.yaml", text, strlen(text), e);
}

static void table_is_sound(void **state)
{
    (void)state;
    struct err e;
    assert_ok(opt_check_table(&table, &e), &e);
    static const struct opt_spec bad[][2] = {
        {SPEC(count, "a", OPT_INT, "3", "N", "[4, 5]", "A", ""),
         SPEC(count, "b", OPT_INT, "3", "N", "", "A", "")},
        {SPEC(count, "a", OPT_INT, "3", "N", "1..5", "A", ""),
         SPEC(count, "b", OPT_INT, "3", "N", "", "A", "")},
        {SPEC(count, "a", OPT_INT, "3", "N", "", "A", ""), SPEC(count, "a", OPT_INT, "3", "N", "", "A", "")},
        {SPEC(count, "a", OPT_INT, "3", "N", "", "A", "B"), SPEC(count, "b", OPT_INT, "3", "N", "", "A", "")},
        {SPEC(count, "a", OPT_INT, "3", "N", "", "C", ""), SPEC(count, "b", OPT_INT, "3", "N", "", "A", "")},
        {SPEC(kind, "a", OPT_STRING, "x", "y|z", "", "A", ""),
         SPEC(count, "b", OPT_INT, "3", "N", "", "A", "")},
        {SPEC(count, "a", OPT_INT, "", "N", "", "A", ""), SPEC(count, "b", OPT_INT, "3", "N", "", "A", "")},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct opt_table damaged = table;
        damaged.specs = bad[i];
        damaged.spec_count = 2;
        assert_int_equal(opt_check_table(&damaged, &e), ERR_USAGE);
    }
}

static void defaults_hold(void **state)
{
    (void)state;
    struct opt_set set;
    struct values v;
    struct err e;
    assert_ok(parse(&set, &v, "alpha", "--user-name x", &e), &e);
    assert_string_equal(v.kind, "red");
    assert_string_equal(v.config, "");
    assert_int_equal(v.files.count, 0);
    assert_int_equal(v.count, 3);
    assert_true(v.rate == 2e-4);
    assert_true(v.fast);
    assert_false(v.loud);
    assert_false(set.help_wanted);
    assert_string_equal(set.command->name, "alpha");
    opt_release(&set);
}

static void reads_every_form(void **state)
{
    (void)state;
    struct opt_set set;
    struct values v;
    struct err e;
    assert_ok(parse(&set, &v, "alpha",
                    "--user-name=--odd=x --kind dark-blue --size 100 --mode /some/where --file a --file=b "
                    "--count 10 --learning-rate 1e-5 --share=.5 --loud",
                    &e),
              &e);
    assert_string_equal(v.name, "--odd=x");
    assert_string_equal(v.kind, "dark-blue");
    assert_string_equal(v.size, "100");
    assert_string_equal(v.mode, "/some/where");
    assert_int_equal(v.files.count, 2);
    assert_string_equal(v.files.items[0], "a");
    assert_string_equal(v.files.items[1], "b");
    assert_int_equal(v.count, 10);
    assert_true(v.rate == 1e-5 && v.share == 0.5 && v.loud);
    opt_release(&set);
    assert_ok(parse(&set, &v, "beta", "--no-fast some/path --count=1", &e), &e);
    assert_false(v.fast);
    assert_string_equal(set.argument, "some/path");
    opt_release(&set);
    assert_ok(parse(&set, &v, "beta", "--fast=false -", &e), &e);
    assert_false(v.fast);
    assert_string_equal(set.argument, "-");
    opt_release(&set);
    assert_ok(parse(&set, &v, "beta", "--count 2 -h --nonsense", &e), &e);
    assert_true(set.help_wanted); /* although PATH is missing */
    opt_release(&set);
}

static void refuses_with_advice(void **state)
{
    (void)state;
    static const struct {
        const char *command, *line, *message;
    } cases[] = {
        {"alpha", "--lerning-rate 1", "unknown option --lerning-rate; did you mean --learning-rate?"},
        {"alpha", "--user_name x", "did you mean --user-name?"},
        {"alpha", "--rate 1", "did you mean --learning-rate?"},
        {"alpha", "--banana 1", "unknown option --banana; see prog alpha --help"},
        {"alpha", "--", "unknown option --;"},
        {"alpha", "--=x", "unknown option --;"},
        {"alpha", "-c 1", "unknown option -c"},
        {"alpha", "--fast", "--fast is not an option of alpha; it belongs to beta"},
        {"alpha", "--no-fast", "no-fast"},
        {"beta x", "", "unknown command"},
        {"alpah", "", "did you mean alpha?"},
        {"alpha", "--count", "--count needs a value: --count N"},
        {"alpha", "--user-name --count 3",
         "--count follows; a value that begins so is written --user-name=--count"},
        {"alpha", "--count 3 --count 3", "--count is given twice"},
        {"alpha", "--loud --no-loud", "--loud is given twice"},
        {"alpha", "--count 0", "--count: 0 is out of range, it must be at least 1 and at most 10"},
        {"alpha", "--count 11", "--count: 11 is out of range"},
        {"alpha", "--count 3.5", "--count: '3.5' is not a whole number"},
        {"alpha", "--count 0x3", "not a whole number"},
        {"alpha", "--count=", "--count: '' is not a whole number"},
        {"alpha", "--count 99999999999999999999", "64 bits"},
        {"alpha", "--learning-rate -1", "--learning-rate: -1 is too small, it must be greater than 0"},
        {"alpha", "--learning-rate 0", "greater than 0"},
        {"alpha", "--learning-rate nan", "'nan' is not a number"},
        {"alpha", "--learning-rate inf", "'inf' is not a number"},
        {"alpha", "--learning-rate 1e999", "double"},
        {"alpha", "--learning-rate 1e-4x", "not a number"},
        {"alpha", "--learning-rate=", "not a number"},
        {"alpha", "--share 1", "--share: 1 is out of range, it must be at least 0 and less than 1"},
        {"alpha", "--kind blue", "--kind: 'blue' is not one of red|green|dark-blue|rose"},
        {"alpha", "--kind re", "not one of"},
        {"alpha", "--kind=", "not one of"},
        {"alpha", "--size some", "--size: 'some' is not one of auto|N"},
        {"alpha", "--size 1", "--size: 1 is out of range"},
        {"alpha", "--file=", "--file: the value is empty"},
        {"alpha", "--loud=yes", "--loud: 'yes' is neither true nor false"},
        {"alpha", "--no-count", "unknown option --no-count"},
        {"alpha", "--user-name \xFF", "--user-name: byte 0 of the value is not UTF-8"},
        {"alpha", "word", "unexpected argument 'word'"},
        {"beta", "one two", "unexpected argument 'two': beta takes one PATH and that is one"},
        {"beta", "", "beta needs a PATH"},
        {"alpha", "--count 3", "alpha needs --user-name TEXT"},
        {"alpha", "--user-name=", "alpha needs --user-name TEXT"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_error(cases[i].command, cases[i].line, cases[i].message);
}

static void command_line_wins_over_file_over_default(void **state)
{
    (void)state;
    struct opt_set set;
    struct values v;
    struct err e;
    char line[512];
    struct scratch scratch;
    static const char config[] = "user_name: from file\ncount: 5\nfile: [x, y]\nshare: 0.25\nloud: true\n";
    assert_true(scratch_open(&scratch));
    const char *path = scratch_path(&scratch, "run.yaml");
    assert_ok(file_write_atomic(path, config, strlen(config), &e), &e);
    snprintf(line, sizeof line, "--config %s --count 7 --file z --no-loud", path);
    assert_ok(parse(&set, &v, "alpha", line, &e), &e);
    assert_string_equal(v.name, "from file");
    assert_int_equal(v.count, 7);
    assert_int_equal(v.files.count, 1); /* replaced, not joined */
    assert_string_equal(v.files.items[0], "z");
    assert_true(v.share == 0.25);
    assert_false(v.loud);
    assert_string_equal(v.kind, "red");
    opt_release(&set);
    snprintf(line, sizeof line, "--config=%s", path);
    assert_ok(parse(&set, &v, "alpha", line, &e), &e);
    assert_int_equal(v.files.count, 2);
    assert_string_equal(v.files.items[1], "y");
    assert_true(v.loud);
    opt_release(&set);
    scratch_close(&scratch);
}

static void config_errors_name_file_and_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"count: 2\nlerning-rate: 1\n",
         "run.yaml:2: unknown option lerning-rate; did you mean learning-rate?"},
        {"\ncount: 20\n", "run.yaml:2: count: 20 is out of range"},
        {"count:\n", "run.yaml:1: count: '' is not a whole number"},
        {"count: [1]\n", "run.yaml:1: count takes one value, not a list"},
        {"file:\n  - a\n  - ''\n", "run.yaml:3: file: the value is empty"},
        {"user-name: a\nuser_name: b\n", "run.yaml:2: user-name is given twice, first in line 1"},
        {"fast: true\n", "run.yaml:1: fast is not an option of alpha; it belongs to beta"},
        {"config: other.yaml\n", "run.yaml:1: a configuration cannot name another"},
        {"kind: blue\n", "run.yaml:1: kind: 'blue' is not one of"},
        {"loud: yes\n", "run.yaml:1: loud: 'yes' is neither"},
        {"a:\n  b: 1\n", "run.yaml:"},
        {"\"\": 1\n", "run.yaml:1: unknown option ;"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct opt_set set;
        struct values v;
        struct err e;
        assert_ok(opt_init(&set, &table, &v, "alpha", &e), &e);
        assert_error(read_config(&set, cases[i].text, &e), &e, ERR_USAGE, cases[i].message);
        opt_release(&set);
    }
    struct opt_set set; /* also where the command line has the last word */
    struct values v;
    struct err e;
    assert_ok(parse(&set, &v, "alpha", "--user-name x --count 2", &e), &e);
    assert_error(read_config(&set, "count: none\n", &e), &e, ERR_USAGE, "run.yaml:1: count");
    opt_release(&set);
    struct scratch scratch;
    char line[512];
    assert_true(scratch_open(&scratch));
    const char *absent = scratch_path(&scratch, "absent.yaml");
    snprintf(line, sizeof line, "--user-name x --config %s", absent);
    check_error("alpha", line, absent);
    scratch_close(&scratch);
}

static void written_config_reads_back(void **state)
{
    (void)state;
    struct opt_set set, again;
    struct values v, w;
    struct err e;
    struct str text = {0}, twice = {0};
    assert_ok(parse(&set, &v, "alpha",
                    "--user-name=null --size 7 --file # --file a:b --file \"\\ --count 9 "
                    "--learning-rate 1e-300 --share 0.1 --loud",
                    &e),
              &e);
    assert_ok(opt_append_config(&set, &text, &e), &e);
    assert_ok(opt_init(&again, &table, &w, "alpha", &e), &e);
    assert_ok(read_config(&again, text.data, &e), &e);
    for (size_t i = 0; i < table.spec_count; i++)
        if (opt_takes(set.command, &specs[i]))
            assert_true(opt_values_equal(&set, &again, &specs[i]));
    assert_ok(opt_append_config(&again, &twice, &e), &e);
    assert_string_equal(text.data, twice.data);
    assert_non_null(
        strstr(text.data, "user-name: \"null\"\nkind: red\nsize: \"7\"\nmode: auto\nfile:\n  - \"#\"\n"));
    assert_non_null(strstr(text.data, "learning-rate: 1.0e-300\nshare: 0.1\nloud: true\n"));
    assert_null(strstr(text.data, "config"));
    assert_null(strstr(text.data, "fast"));
    opt_release(&set);
    opt_release(&again);

    str_clear(&text); /* all defaults: what is not set stays so */
    assert_ok(opt_init(&set, &table, &v, "alpha", &e), &e);
    assert_ok(opt_append_config(&set, &text, &e), &e);
    assert_ok(opt_init(&again, &table, &w, "alpha", &e), &e);
    assert_ok(read_config(&again, text.data, &e), &e);
    assert_string_equal(w.name, "");
    assert_int_equal(w.files.count, 0);
    opt_release(&set);
    opt_release(&again);
    str_release(&text);
    str_release(&twice);
}

static void values_compare_by_meaning(void **state)
{
    (void)state;
    struct opt_set a, b;
    struct values v, w;
    struct err e;
    struct str text = {0};
    assert_ok(parse(&a, &v, "alpha", "--user-name x --learning-rate 2e-4 --count 2 --file a --file b", &e),
              &e);
    assert_ok(opt_init(&b, &table, &w, "alpha", &e), &e);
    assert_ok(read_config(&b, "user-name: y\nlearning-rate: 0.0002\ncount: 3\nfile: [a]\n", &e), &e);
    assert_true(opt_values_equal(&a, &b, opt_find(&table, "learning-rate")));
    assert_true(opt_values_equal(&a, &b, opt_find(&table, "kind")));
    assert_false(opt_values_equal(&a, &b, opt_find(&table, "user-name")));
    assert_false(opt_values_equal(&a, &b, opt_find(&table, "count")));
    assert_false(opt_values_equal(&a, &b, opt_find(&table, "file")));
    assert_ok(opt_append_value(&a, opt_find(&table, "file"), &text, &e), &e);
    assert_string_equal(text.data, "a, b");
    static const double reals[] = {0.1, 1.0 / 3, 5e-324, 1.7976931348623157e308, 123456789, 1e22, 0};
    for (size_t i = 0; i < sizeof reals / sizeof *reals; i++) {
        v.rate = reals[i];
        str_clear(&text);
        assert_ok(opt_append_value(&a, opt_find(&table, "learning-rate"), &text, &e), &e);
        assert_true(strtod(text.data, NULL) == reals[i]);
    }
    opt_release(&a);
    opt_release(&b);
    str_release(&text);
}

static void help_and_markdown(void **state)
{
    (void)state;
    struct err e;
    struct str text = {0};
    assert_ok(opt_append_help(&table, &commands[0], &text, &e), &e);
    assert_string_equal(text.data, "usage: prog alpha [options]\n\nDoes alpha.\n\n"
                                   "First:\n"
                                   "  --user-name TEXT        help of user-name (required)\n"
                                   "  --kind red|green|dark-blue|rose\n"
                                   "                          help of kind (default: red)\n"
                                   "  --size auto|N           help of size (default: auto)\n"
                                   "  --mode auto|never|PATH  help of mode (default: auto)\n"
                                   "  --config FILE           help of config\n"
                                   "\nLast:\n"
                                   "  --file FILE             help of file\n"
                                   "  --count N               help of count (default: 3)\n"
                                   "  --learning-rate X       help of learning-rate (default: 2e-4)\n"
                                   "  --share P               help of share (default: 0)\n"
                                   "  --[no-]loud             help of loud\n");
    str_clear(&text);
    assert_ok(opt_append_help(&table, &commands[1], &text, &e), &e);
    assert_true(str_starts_with(text.data, "usage: prog beta PATH [options]\n"));
    assert_non_null(strstr(text.data, "  --[no-]fast       help of fast (default: on)\n"));
    str_clear(&text);
    assert_ok(opt_append_markdown(&table, &text, &e), &e);
    assert_true(str_starts_with(
        text.data, "| Option | Default | Commands | Meaning |\n|---|---|---|---|\n"
                   "| **First** | | | |\n"
                   "| `--user-name TEXT` |  | alpha, beta | help of user-name |\n"
                   "| `--kind red\\|green\\|dark-blue\\|rose` | `red` | alpha | help of kind |\n"));
    str_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_is_sound),
        cmocka_unit_test(defaults_hold),
        cmocka_unit_test(reads_every_form),
        cmocka_unit_test(refuses_with_advice),
        cmocka_unit_test(command_line_wins_over_file_over_default),
        cmocka_unit_test(config_errors_name_file_and_line),
        cmocka_unit_test(written_config_reads_back),
        cmocka_unit_test(values_compare_by_meaning),
        cmocka_unit_test(help_and_markdown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
