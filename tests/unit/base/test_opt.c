#include "unit.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/opt.h"
#include "base/file.h"
#include "scratch.h"

enum kind { RED, GREEN, DARK_BLUE, ROSE };
enum { MODE_AUTO, MODE_NEVER };
enum { LIMIT_JOB, LIMIT_NONE };

struct values {
    const char *name, *config;
    enum kind kind;
    struct opt_text mode, link, parts;
    struct opt_time limit;
    struct opt_list files;
    int64_t count, size;
    double rate, share, held;
    bool fast, loud;
};

static const struct opt_word kinds[] = {
    {"red", RED}, {"green", GREEN}, {"dark-blue", DARK_BLUE}, {"rose", ROSE}, {NULL, 0}};
static const struct opt_word sizes[] = {{"auto", 0}, {NULL, 0}};
static const struct opt_word modes[] = {{"auto", MODE_AUTO}, {"never", MODE_NEVER}, {NULL, 0}};
static const struct opt_word all[] = {{"all", 0}, {NULL, 0}};
static const struct opt_word links[] = {{"slow", 7}, {NULL, 0}};
static const struct opt_word limits[] = {{"job", LIMIT_JOB}, {"none", LIMIT_NONE}, {NULL, 0}};
static const struct opt_word yeses[] = {{"y", 3}, {"yes", 3}, {NULL, 0}};
static const struct opt_word nones[] = {{"y", OPT_NO_WORD}, {NULL, 0}};

enum { A = 1, B = 2, C = 4 };

#define SPEC(field, name_, type_, initial_, words_, value_, range_, commands_, required_)                    \
    {                                                                                                        \
        .name = name_, .type = type_, .initial = initial_, .words = words_, .value_name = value_,            \
        .range = range_, .commands = commands_, .required = required_, .help = "help of " name_,             \
        .offset = offsetof(struct values, field)                                                             \
    }

static const struct opt_spec specs[] = {
    {.type = OPT_HEADING, .help = "First"},
    SPEC(name, "user-name", OPT_STRING, "", NULL, "TEXT", "", A | B, A),
    SPEC(kind, "kind", OPT_CHOICE, "red", kinds, "", "", A, 0),
    SPEC(size, "size", OPT_INT, "auto", sizes, "N", "[2, 100]", A, 0),
    SPEC(mode, "mode", OPT_TEXT, "auto", modes, "PATH", "", A, 0),
    SPEC(link, "link", OPT_TEXT, "", links, "RATE", "", A, 0),
    SPEC(limit, "limit", OPT_TIME, "job", limits, "TIME", "", A, 0),
    SPEC(parts, "parts", OPT_NAMES, "all", all, "NAMES", "", A, 0),
    SPEC(config, "config", OPT_STRING, "", NULL, "FILE", "", A | B, 0),
    {.type = OPT_HEADING, .help = "Only of other"},
    SPEC(fast, "fast", OPT_FLAG, "true", NULL, "", "", B, 0),
    {.type = OPT_HEADING, .help = "Last"},
    SPEC(files, "file", OPT_LIST, "", NULL, "FILE", "", A, 0),
    SPEC(count, "count", OPT_INT, "3", NULL, "N", "[1, 10]", A | B, 0),
    SPEC(rate, "learning-rate", OPT_REAL, "2e-4", NULL, "X", "(0, inf)", A, 0),
    SPEC(share, "share", OPT_REAL, "0", NULL, "P", "[0, 1)", A, 0),
    SPEC(held, "held", OPT_AMOUNT, "0", NULL, "X", "[0, 100]", A, 0),
    SPEC(loud, "loud", OPT_FLAG, "false", NULL, "", "", A, 0),
};

static const struct opt_command commands[] = {{A, "alpha", "", false, "Does alpha.", ""},
                                              {B, "beta", "PATH", false, "Does beta.", "prog beta file --count 2"}};

static const struct opt_peer peers[] = {
    {"lr", "learning-rate", ""},   {"amount", "share", "It takes a part of 1."},
    {"place", "fast", "Of beta."}, {"place", "mode", ""},
    {"fast", "count", ""},         {"optimizer", "", "There is one only."}};

static const struct opt_table table = {
    "prog", specs, sizeof specs / sizeof *specs, peers, sizeof peers / sizeof *peers, commands, 2};

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
    /* Each beside a sound one. */
    static const struct opt_spec sound = SPEC(count, "b", OPT_INT, "3", NULL, "N", "", A, 0);
    static const struct opt_spec bad[] = {
        SPEC(count, "a", OPT_INT, "3", NULL, "N", "[4, 5]", A, 0),
        SPEC(count, "a", OPT_INT, "3", NULL, "N", "1..5", A, 0),
        SPEC(count, "b", OPT_INT, "3", NULL, "N", "", A, 0),
        SPEC(count, "a", OPT_INT, "3", NULL, "N", "", A, B),
        SPEC(count, "a", OPT_INT, "3", NULL, "N", "", C, 0),
        SPEC(count, "a", OPT_INT, "", NULL, "N", "", A, 0),
        SPEC(kind, "a", OPT_CHOICE, "x", kinds, "", "", A, 0),
        SPEC(kind, "a", OPT_CHOICE, "red", NULL, "", "", A, 0),
        SPEC(kind, "a", OPT_CHOICE, "y", yeses, "", "", A, 0),
        SPEC(mode, "a", OPT_TEXT, "y", nones, "PATH", "", A, 0),
        SPEC(limit, "a", OPT_TIME, "", limits, "TIME", "", A, 0),
        {.name = "a", .type = OPT_FLAG, .initial = "false", .commands = A, .help = "@alpha,beta of both"},
        {.name = "a", .type = OPT_FLAG, .initial = "false", .commands = A, .help = "of all\n@alpah of one"},
        {.name = "a", .type = OPT_FLAG, .initial = "false", .commands = A | B, .help = "@alpha of one"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const struct opt_spec pair[] = {bad[i], sound};
        struct opt_table damaged = table;
        damaged.specs = pair;
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
    assert_int_equal(v.kind, RED);
    assert_int_equal(v.size, 0);
    assert_int_equal(v.mode.word, MODE_AUTO);
    assert_string_equal(v.mode.text, "auto");
    assert_int_equal(v.link.word, OPT_NO_WORD);
    assert_string_equal(v.link.text, "");
    assert_int_equal(v.limit.word, LIMIT_JOB);
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
                    "--user-name=--odd=x --kind dark-blue --size 100 --mode /some/where --link slow "
                    "--limit 1:30:00 --file a --file=b "
                    "--count 10 --learning-rate 1e-5 --share=.5 --held 0.25 --loud",
                    &e),
              &e);
    assert_string_equal(v.name, "--odd=x");
    assert_int_equal(v.kind, DARK_BLUE);
    assert_int_equal(v.size, 100);
    assert_int_equal(v.mode.word, OPT_NO_WORD);
    assert_string_equal(v.mode.text, "/some/where");
    assert_int_equal(v.link.word, 7);
    assert_int_equal(v.limit.word, OPT_NO_WORD);
    assert_true(v.limit.seconds == 5400);
    assert_int_equal(v.files.count, 2);
    assert_string_equal(v.files.items[0], "a");
    assert_string_equal(v.files.items[1], "b");
    assert_int_equal(v.count, 10);
    assert_true(v.rate == 1e-5 && v.share == 0.5 && v.held == 0.25 && v.loud);
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
        {"alpha", "--user_nam x", "unknown option --user-nam; did you mean --user-name?"},
        {"alpha", "--lr 1", "unknown option --lr; did you mean --learning-rate?"},
        {"alpha", "--amount 1", "unknown option --amount; did you mean --share? It takes a part of 1."},
        {"alpha", "--place x", "unknown option --place; did you mean --mode?"},
        {"beta", "--place x", "unknown option --place; did you mean --fast? Of beta."},
        {"alpha", "--optimizer x", "unknown option --optimizer. There is one only."},
        {"alpha", "--rate 1", "did you mean --learning-rate?"},
        {"alpha", "--banana 1", "unknown option --banana; see prog alpha --help"},
        {"alpha", "--", "unknown option --;"},
        {"alpha", "--=x", "unknown option --;"},
        {"alpha", "-c 1", "unknown option -c"},
        {"beta", "--loud", "--loud is not an option of beta; it belongs to alpha"},
        {"alpha", "--fast", "unknown option --fast; did you mean --count?"},
        {"alpha", "--no-fast", "no-fast"},
        {"beta x", "", "unknown command"},
        {"alpah", "", "did you mean alpha?"},
        {"alpha", "--user-name --count 3",
         "--count follows; a value that starts with -- is written --user-name=--count"},
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
        {"alpha", "--held 1.5", "--held: 1.5 is neither a share below 1 nor a whole number"},
        {"alpha", "--held 101", "--held: 101 is out of range"},
        {"alpha", "--kind blue", "--kind: 'blue' is not one of red|green|dark-blue|rose"},
        {"alpha", "--kind re", "not one of"},
        {"alpha", "--kind=", "not one of"},
        {"alpha", "--count", "--count needs a value: --count N"},
        {"alpha", "--size", "--size needs a value: --size auto|N"},
        {"alpha", "--limit 12x", "--limit: '12x' is not a time"},
        {"alpha", "--size some", "--size: 'some' is not one of auto|N"},
        {"alpha", "--size 1", "--size: 1 is out of range"},
        {"alpha", "--file=", "--file: the value is empty"},
        {"alpha", "--loud=truer", "--loud: 'truer' is neither true nor false"},
        {"alpha", "--loud=yes", "--loud: 'yes' is neither true nor false"},
        {"alpha", "--no-count", "unknown option --no-count"},
        {"alpha", "--user-name \xFF", "--user-name: byte 0 of the value is not UTF-8"},
        {"alpha", "word", "unexpected argument 'word'"},
        {"beta", "one two", "unexpected argument 'two': beta takes one PATH and that is one"},
        {"beta", "", "beta needs a PATH"},
        {"alpha", "--count 3", "alpha needs --user-name TEXT: prog alpha --user-name TEXT; see prog alpha --help"},
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
    static const char config[] = "user_name: from file\ncount: 5\nfile: [x, y]\nshare: 0.25\nloud: True\n";
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
    assert_int_equal(v.kind, RED);
    opt_release(&set);
    snprintf(line, sizeof line, "--config=%s", path);
    assert_ok(parse(&set, &v, "alpha", line, &e), &e);
    assert_int_equal(v.files.count, 2);
    assert_string_equal(v.files.items[1], "y");
    assert_true(v.loud);
    opt_release(&set);
    scratch_close(&scratch);
}

static void names_may_be_a_list_in_a_file(void **state)
{
    (void)state;
    static const struct {
        const char *text, *value;
        int word;
    } cases[] = {{"parts: [a, b.c]\n", "a,b.c", OPT_NO_WORD},
                 {"parts:\n  - a\n  - b\n", "a,b", OPT_NO_WORD},
                 {"parts: a,b\n", "a,b", OPT_NO_WORD},
                 {"parts: [all]\n", "all", 0},
                 {"parts: all\n", "all", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct opt_set set;
        struct values v;
        struct err e;
        assert_ok(opt_init(&set, &table, &v, "alpha", &e), &e);
        assert_ok(read_config(&set, cases[i].text, &e), &e);
        assert_string_equal(v.parts.text, cases[i].value);
        assert_int_equal(v.parts.word, cases[i].word);
        opt_release(&set);
    }
}

/* What is written to stderr while `line` is parsed goes to `path`. */
static void parse_aside(struct opt_set *set, struct values *v, const char *line, const char *path)
{
    struct err e;
    fflush(stderr);
    int kept = dup(STDERR_FILENO);
    assert_non_null(freopen(path, "w", stderr));
    enum err_code code = parse(set, v, "alpha", line, &e);
    fflush(stderr);
    dup2(kept, STDERR_FILENO);
    close(kept);
    assert_ok(code, &e);
}

static void the_last_of_two_counts(void **state)
{
    (void)state;
    static const struct {
        const char *line, *note;
    } cases[] = {{"--count 3 --user_name x --count 4",
                  "--count is given twice: the last value, 4, is used, not 3\n"},
                 {"--user-name y --user_name=x --count 4",
                  "--user-name is given twice: the last value, x, is used, not y\n"},
                 {"--user-name x --count=4 --count 4", ""},
                 {"--user-name x --count=4 --no-loud --loud --no-loud",
                  "--loud is given twice: the last value, true, is used, not false\n"
                  "--loud is given twice: the last value, false, is used, not true\n"}};
    struct scratch scratch;
    assert_true(scratch_open(&scratch));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct opt_set set;
        struct values v;
        struct err e;
        struct str said = {0};
        const char *path = scratch_path(&scratch, "said");
        parse_aside(&set, &v, cases[i].line, path);
        assert_int_equal(v.count, 4);
        assert_string_equal(v.name, "x");
        assert_false(v.loud);
        assert_ok(file_read_all(&said, path, 1 << 16, &e), &e);
        assert_string_equal(said.length ? said.data : "", cases[i].note);
        str_release(&said);
        opt_release(&set);
    }
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
        {"fast: true\n", "run.yaml:1: unknown option fast; did you mean count?"},
        {"a: 1\nlr: 1\n", "run.yaml:1: unknown option a; see prog alpha --help"},
        {"lr: 1\n", "run.yaml:1: unknown option lr; did you mean learning-rate?"},
        {"kind: [red]\n", "run.yaml:1: kind takes one value, not a list"},
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

/* Shares are rounded up, but not what is only a decimal fraction's rounding. */
static void amounts_are_of_a_whole(void **state)
{
    (void)state;
    assert_int_equal(opt_amount(0, 10), 0);
    assert_int_equal(opt_amount(0.2, 37), 8);
    assert_int_equal(opt_amount(0.07, 100), 7); /* 0.07 * 100 is above 7 */
    assert_int_equal(opt_amount(0.001, 37), 1);
    assert_int_equal(opt_amount(0.5, 0), 0);
    assert_int_equal(opt_amount(1, 37), 1);
    assert_int_equal(opt_amount(50, 37), 50);
}

static void written_config_reads_back(void **state)
{
    (void)state;
    struct opt_set set, again;
    struct values v, w;
    struct err e;
    struct str text = {0}, twice = {0};
    assert_ok(parse(&set, &v, "alpha",
                    "--user-name=null --size 7 --limit 90m --file # --file a:b --file \"\\ --count 9 "
                    "--learning-rate 1e-300 --share 0.1 --held 12 --loud",
                    &e),
              &e);
    assert_ok(opt_append_config(&set, NULL, &text, &e), &e);
    assert_ok(opt_init(&again, &table, &w, "alpha", &e), &e);
    assert_ok(read_config(&again, text.data, &e), &e);
    for (size_t i = 0; i < table.spec_count; i++)
        if (opt_takes(set.command, &specs[i]))
            assert_true(opt_values_equal(&set, &again, &specs[i]));
    assert_ok(opt_append_config(&again, NULL, &twice, &e), &e);
    assert_string_equal(text.data, twice.data);
    assert_non_null(strstr(text.data, "user-name: \"null\"\nkind: red\nsize: 7\nmode: auto\nlink: "
                                      "\"\"\nlimit: \"5400s\"\nparts: all\nfile:\n"
                                      "  - \"#\"\n"));
    assert_non_null(strstr(text.data, "learning-rate: 1.0e-300\nshare: 0.1\nheld: 12\nloud: true\n"));
    assert_null(strstr(text.data, "config"));
    assert_null(strstr(text.data, "fast"));
    opt_release(&set);
    opt_release(&again);

    str_clear(&text); /* all defaults: what is not set stays so */
    assert_ok(opt_init(&set, &table, &v, "alpha", &e), &e);
    assert_ok(opt_append_config(&set, NULL, &text, &e), &e);
    assert_ok(opt_init(&again, &table, &w, "alpha", &e), &e);
    assert_ok(read_config(&again, text.data, &e), &e);
    assert_string_equal(w.name, "");
    assert_string_equal(w.link.text, "");
    assert_int_equal(w.size, 0);
    assert_int_equal(w.limit.word, LIMIT_JOB);
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

static void times_are_those_of_slurm(void **state)
{
    (void)state;
    struct err e;
    struct opt_value value;
    const struct opt_spec *spec = opt_find(&table, "limit");
    static const struct {
        const char *text;
        double seconds;
    } good[] = {{"30", 1800},    {"90s", 90},       {"2m", 120},           {"3h", 10800},
                {"5:30", 330},   {"1:00:00", 3600}, {"100:00:01", 360001}, {"1-0", 86400},
                {"2-3", 183600}, {"1-2:30", 95400}, {"1-2:30:05", 95405}};
    static const char *const bad[] = {
        "",     "0",    "0s", "-1",    "1-",    "1:", "1::2", "1:2:3:4", "1.5",  "2d",       "999999999999h",
        "1:2s", "1-2m", "x",  "1-2-3", "1:2-3", " 1", "1 ",   "0:00",    "10ss", "1-2:3:4:5"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_ok(opt_parse_value(&value, spec, good[i].text, &e), &e);
        assert_int_equal(value.word, OPT_NO_WORD);
        assert_true(value.real == good[i].seconds);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_error(opt_parse_value(&value, spec, bad[i], &e), &e, ERR_USAGE, "is not a time");
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
                                   "  --link slow|RATE        help of link\n"
                                   "  --limit job|none|TIME   help of limit (default: job)\n"
                                   "  --parts all|NAMES       help of parts (default: all)\n"
                                   "  --config FILE           help of config\n"
                                   "\nLast:\n"
                                   "  --file FILE             help of file\n"
                                   "  --count N               help of count (default: 3)\n"
                                   "  --learning-rate X       help of learning-rate (default: 2e-4)\n"
                                   "  --share P               help of share (default: 0)\n"
                                   "  --held X                help of held (default: 0)\n"
                                   "  --[no-]loud             help of loud\n");
    str_clear(&text);
    assert_ok(opt_append_help(&table, &commands[1], &text, &e), &e);
    assert_true(str_starts_with(text.data, "usage: prog beta PATH [options]\n\nDoes beta.\n\n"
                                           "example:\n  prog beta file --count 2\n"));
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
        cmocka_unit_test(names_may_be_a_list_in_a_file),
        cmocka_unit_test(the_last_of_two_counts),
        cmocka_unit_test(config_errors_name_file_and_line),
        cmocka_unit_test(amounts_are_of_a_whole),
        cmocka_unit_test(written_config_reads_back),
        cmocka_unit_test(values_compare_by_meaning),
        cmocka_unit_test(times_are_those_of_slurm),
        cmocka_unit_test(help_and_markdown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
