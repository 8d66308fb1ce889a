/* Manual pages and completion scripts, of a small table. */
#include "unit.h"

#include "base/opt.h"

static const struct opt_word kinds[] = {{"dark-red", 0}, {"auto", 1}, {NULL, 0}};

enum { PAINT = 1, LIST = 2 };

static const struct opt_spec specs[] = {
    {.type = OPT_HEADING, .help = "What to paint"},
    {.name = "file", .type = OPT_LIST, .initial = "", .value_name = "FILE", .commands = PAINT,
     .required = PAINT, .help = ".png files, several; \\ is no separator"},
    {.name = "kind", .type = OPT_TEXT, .initial = "auto", .words = kinds, .value_name = "NAME",
     .commands = PAINT | LIST, .help = "colour of A [r, in]"},
    {.name = "fast", .type = OPT_FLAG, .initial = "true", .commands = LIST, .help = "don't wait: go"},
};
static const struct opt_command commands[] = {
    {PAINT, "paint", "", false, "Paint it.", "prog paint --file a \\\n  --kind auto"},
    {LIST, "list", "DIR", false, "List all.", ""}};
static const struct opt_table table = {.program = "prog",
                                       .specs = specs,
                                       .spec_count = sizeof specs / sizeof *specs,
                                       .commands = commands,
                                       .command_count = 2};

static const struct opt_word many[] = {{"a-word-of-some-length", 0}, {"another-such-word", 1}, {"a-third-long-word", 2},
                                       {"the-fourth-one", 3},        {"the-fifth-of-them", 4}, {NULL, 0}};

static const struct opt_spec lines_of_help[] = {
    {.name = "to", .type = OPT_FLAG, .value_name = "", .range = "", .initial = "false", .commands = PAINT | LIST,
     .help = "of both\n@paint of paint\n@paint,list of these\n@list of list"},
    {.name = "each", .type = OPT_FLAG, .value_name = "", .range = "", .initial = "false", .commands = PAINT | LIST,
     .help = "@paint this\n@list that"},
    {.name = "choice", .type = OPT_CHOICE, .initial = "the-fourth-one", .words = many, .value_name = "",
     .range = "", .commands = LIST,
     .help = "one of many words that are all too long for a line, and a help that is so, too"},
};

static const struct opt_word statuses[] = {
    {"done", 0},
    {"failed", 1},
    {"wrong usage", 2},
    {"stopped by a signal, a time limit or a lost rank: the same command goes on from the last checkpoint", 75},
    {"ended at once by a second Ctrl-C, without saving", 130},
    {NULL, 0}};
static const struct opt_page page = {"1.2", "paint on many walls", statuses};

static void man_of_a_command(void **state)
{
    (void)state;
    struct err e;
    struct str text = {0};
    assert_ok(opt_append_man(&table, &commands[0], &page, &text, &e), &e);
    assert_string_equal(text.data,
                        ".TH \"prog\\-paint\" 1 \"\" \"prog 1.2\" \"User Commands\"\n"
                        ".SH NAME\nprog\\-paint \\- Paint it.\n"
                        ".SH SYNOPSIS\n.B prog paint\n[\\fIoptions\\fR]\n"
                        ".SH DESCRIPTION\nPaint it.\n"
                        ".SH OPTIONS\n.SS \"What to paint\"\n"
                        ".TP\n\\fB\\-\\-file\\fR \\fIFILE\\fR\n"
                        "\\&.png files, several; \\e is no separator (required)\n"
                        ".TP\n\\fB\\-\\-kind\\fR \\fBdark\\-red\\fR\\fR|\\fR\\fBauto\\fR\\fR|\\fR\\fINAME\\fR\n"
                        "colour of A [r, in] (default: auto)\n"
                        ".SH EXAMPLE\n.nf\nprog paint \\-\\-file a \\e\n  \\-\\-kind auto\n.fi\n"
                        ".SH \"EXIT STATUS\"\n.TP\n.B 0\ndone\n.TP\n.B 1\nfailed\n.TP\n.B 2\nwrong usage\n"
                        ".TP\n.B 75\nstopped by a signal, a time limit or a lost rank: the same command goes on "
                        "from the last checkpoint\n"
                        ".TP\n.B 130\nended at once by a second Ctrl\\-C, without saving\n"
                        ".SH \"SEE ALSO\"\n.BR prog (1)\n");
    str_release(&text);
}

static void man_of_the_program(void **state)
{
    (void)state;
    struct err e;
    struct str text = {0};
    assert_ok(opt_append_man(&table, NULL, &page, &text, &e), &e);
    assert_non_null(strstr(text.data, "\nprog \\- paint on many walls\n"));
    assert_non_null(strstr(text.data, "\n.BR prog\\-list (1)\nList all.\n"));
    str_release(&text);
}

static void check_completion(const char *shell, const char *const *parts, size_t count)
{
    struct err e;
    struct str text = {0};
    assert_ok(opt_append_completion(&table, shell, &text, &e), &e);
    for (size_t i = 0; i < count; i++)
        if (!strstr(text.data, parts[i]))
            fail_msg("%s: no '%s' in:\n%s", shell, parts[i], text.data);
    str_release(&text);
}

static void completions(void **state)
{
    (void)state;
    static const char *const bash[] = {
        "compgen -W ' paint list --help --version'", "    --file) words='' files=1 ;;\n",
        "    --kind) words=' dark-red auto' files= ;;\n", "        paint) files= words=' --file --kind --help' ;;\n",
        "        list) files=1 words=' --kind --fast --no-fast --help' ;;\n", "complete -F _prog prog\n"};
    static const char *const zsh[] = {
        "#compdef prog\n",
        "'paint:Paint it.'\n",
        "'*--file[.png files, several]:FILE:_files' \\\n",
        "'--kind[colour of A (r, in)]:NAME:( dark-red auto)' \\\n",
        "'--no-fast[not: dont wait]' \\\n",
        "'1:DIR:_files' \\\n"};
    static const char *const fish[] = {
        "complete -c prog -n __fish_use_subcommand -a list -d 'List all.'\n",
        "complete -c prog -n '__fish_seen_subcommand_from paint' -l file -rF -d '.png files, several'\n",
        "_seen_subcommand_from list' -l kind -a ' dark-red auto' -x -d 'colour of A (r, in)'\n",
        "complete -c prog -n '__fish_seen_subcommand_from list' -F\n"};
    check_completion("bash", bash, sizeof bash / sizeof *bash);
    check_completion("zsh", zsh, sizeof zsh / sizeof *zsh);
    check_completion("fish", fish, sizeof fish / sizeof *fish);
    struct err e;
    struct str text = {0};
    assert_error(opt_append_completion(&table, "tcsh", &text, &e), &e, ERR_USAGE,
                 "bash, zsh and fish, not for 'tcsh'");
}

/* A command's help says what is its own, in lines of a terminal's width. */
static void help_is_of_the_command(void **state)
{
    (void)state;
    struct opt_table narrow = table;
    struct err e;
    struct str text = {0};
    narrow.specs = lines_of_help;
    narrow.spec_count = sizeof lines_of_help / sizeof *lines_of_help;
    assert_ok(opt_check_table(&narrow, &e), &e);
    assert_ok(opt_append_help(&narrow, &commands[0], &text, &e), &e);
    assert_non_null(strstr(text.data, "  --[no-]to    of both; of paint; of these\n"
                                      "  --[no-]each  this\n"));
    str_clear(&text);
    assert_ok(opt_append_help(&narrow, &commands[1], &text, &e), &e);
    assert_non_null(strstr(text.data, "  --[no-]to    of both; of these; of list\n"
                                      "  --[no-]each  that\n"
                                      "  --choice a-word-of-some-length|another-such-word|a-third-long-word|\n"
                                      "      the-fourth-one|the-fifth-of-them\n"
                                      "               one of many words that are all too long for a line, and a help\n"
                                      "               that is so, too (default: the-fourth-one)\n"));
    str_clear(&text);
    assert_ok(opt_append_markdown(&narrow, &text, &e), &e);
    assert_non_null(strstr(text.data, "| of both; paint: of paint; paint, list: of these; list: of list |\n"));
    assert_non_null(strstr(text.data, "| paint: this; list: that |\n"));
    str_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(help_is_of_the_command),
        cmocka_unit_test(man_of_a_command),
        cmocka_unit_test(man_of_the_program),
        cmocka_unit_test(completions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
