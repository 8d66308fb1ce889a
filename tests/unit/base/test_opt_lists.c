#include "unit.h"

#include "base/opt.h"

enum { A = 1, B = 2, D = 4 };

static const struct opt_spec spec = {.name = "file",
                                     .type = OPT_LIST,
                                     .initial = "",
                                     .value_name = "FILE",
                                     .range = "",
                                     .commands = A | B,
                                     .single = B,
                                     .help = "help of file"};
static const struct opt_command commands[] = {{A, "alpha", "", false, "Does alpha.", ""},
                                              {B, "beta", "", false, "Does beta.", ""},
                                              {D, "delta", "DIR...", false, "Does delta.", ""}};
static const struct opt_table table = {"prog", &spec, 1, NULL, 0, commands, 3};

static enum err_code read_config(struct opt_set *set, const char *text, struct err *e)
{
    return opt_read_config(set, "run.yaml", text, strlen(text), e);
}

/* A list of which one command takes one value. */
static void a_list_may_be_one_value_of_a_command(void **state)
{
    (void)state;
    static const struct {
        const char *command, *arguments[2], *config;
        size_t count;
        const char *last, *written;
    } cases[] = {{"alpha", {"--file=a", "--file=b"}, "", 2, "b", "file:\n  - a\n  - b\n"},
                 {"beta", {"--file=a", "--file=b"}, "", 1, "b", "file: b\n"},
                 {"alpha", {0}, "file: [x, z]\n", 2, "z", "file:\n  - x\n  - z\n"},
                 {"alpha", {0}, "file: \"\"\n", 0, NULL, "file: []\n"},
                 {"beta", {0}, "file: x\n", 1, "x", "file: x\n"},
                 {"beta", {0}, "file: \"\"\n", 0, NULL, "file: \"\"\n"}};
    struct err e;
    struct opt_list v;
    struct opt_set set;
    assert_ok(opt_check_table(&table, &e), &e);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct str out = {0};
        char *argv[2];
        int argc = 0;
        for (; argc < 2 && cases[i].arguments[argc]; argc++)
            argv[argc] = (char *)(uintptr_t)cases[i].arguments[argc];
        assert_ok(opt_init(&set, &table, &v, cases[i].command, &e), &e);
        assert_ok(opt_read_arguments(&set, argc, argv, &e), &e);
        assert_ok(read_config(&set, cases[i].config, &e), &e);
        assert_int_equal(v.count, cases[i].count);
        if (cases[i].last)
            assert_string_equal(v.items[v.count - 1], cases[i].last);
        assert_ok(opt_append_config(&set, NULL, &out, &e), &e);
        assert_string_equal(out.data, cases[i].written);
        str_release(&out);
        opt_release(&set);
    }
    char empty[] = "--file=", *const argv[] = {empty};
    assert_ok(opt_init(&set, &table, &v, "alpha", &e), &e);
    assert_error(opt_read_arguments(&set, 1, argv, &e), &e, ERR_USAGE,
                 "--file: the value is empty: give a FILE, or leave the option out");
    opt_release(&set);
    assert_ok(opt_init(&set, &table, &v, "beta", &e), &e);
    assert_error(read_config(&set, "file: [x, y]\n", &e), &e, ERR_USAGE, "file takes one value, not a list");
    opt_release(&set);
}

static void a_command_may_take_several_arguments(void **state)
{
    (void)state;
    char x[] = "x", y[] = "--file=y", z[] = "z", *const argv[] = {x, z}, *const wrong[] = {x, y};
    struct err e;
    struct opt_list v;
    struct opt_set set;
    struct str out = {0};
    assert_ok(opt_init(&set, &table, &v, "delta", &e), &e);
    assert_error(opt_check_required(&set, set.command, &e), &e, ERR_USAGE, "delta needs a DIR: prog delta DIR...");
    assert_ok(opt_read_arguments(&set, 2, argv, &e), &e);
    assert_ok(opt_check_required(&set, set.command, &e), &e);
    assert_int_equal(set.arguments.count, 2);
    assert_string_equal(set.argument, "x");
    assert_string_equal(set.arguments.items[1], "z");
    assert_error(opt_read_arguments(&set, 2, wrong, &e), &e, ERR_USAGE, "--file");
    opt_release(&set);
    assert_ok(opt_append_completion(&table, "zsh", &out, &e), &e);
    assert_non_null(strstr(out.data, "'*:DIR...:_files'"));
    str_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_may_be_one_value_of_a_command),
        cmocka_unit_test(a_command_may_take_several_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
