/*
 * Options of a program that has commands. One table of specs serves the parser of the command line, the reader and
 * the writer of configuration files, the help and the documentation.
 *
 * The values are stored in a struct of the caller, each at the offset of its spec:
 *
 *   STRING  const char *, never NULL; "" is "not set"
 *   LIST    struct opt_list; some commands may take one value only
 *   INT     int64_t; a word of the spec stands for a number
 *   REAL    double
 *   AMOUNT  double: 0, a share below 1, or a whole number
 *   FLAG    bool
 *   CHOICE  an enum as wide as int: only the words of the spec
 *   TEXT    struct opt_text: one of the spec's words, or any other text
 *   NAMES   as TEXT; names separated by commas, which may be a list in a configuration
 *   TIME    struct opt_time: one of the spec's words, or a time
 *
 * The command line overrides the configuration file, which overrides the default; a list replaces the list of lower
 * precedence. All mistakes are ERR_USAGE. The message names the option, or file and line, and for an unknown name
 * the most similar known one.
 */
#ifndef MPILORA_BASE_OPT_H
#define MPILORA_BASE_OPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

enum opt_type {
    OPT_HEADING,
    OPT_STRING,
    OPT_LIST,
    OPT_INT,
    OPT_REAL,
    OPT_AMOUNT,
    OPT_FLAG,
    OPT_CHOICE,
    OPT_TEXT,
    OPT_NAMES,
    OPT_TIME
};

/* A word that an option takes, and its value in the program: a constant of an enum, or a number. */
struct opt_word {
    const char *text;
    int value;
};

#define OPT_NO_WORD (-1) /* no word has this value */

struct opt_text {
    int word;         /* the value of the word, or OPT_NO_WORD if it is another text */
    const char *text; /* as it was given; "" is "not set" */
};

struct opt_time {
    int word;       /* as in opt_text */
    double seconds; /* if it is none of the words */
};

struct opt_list {
    const char *const *items;
    size_t count;
};

struct opt_spec {
    const char *name; /* "lora-rank"; NULL for a heading */
    enum opt_type type;
    const char *initial; /* the default, as a user would write it; "" is "not set" */
    const struct opt_word *words; /* the last one has no text; NULL: no words */
    const char *value_name;       /* name of any other value in the help: "N"; "" if it takes no other */
    const char *range;            /* of numbers: "[0, 1)", "(0, inf)"; "" is any number */
    unsigned commands;            /* bits of the commands that take it */
    unsigned required;            /* bits of the commands that require it */
    unsigned single;              /* of a LIST: bits of the commands that take one value of it. "" then is no value */
    const char *help;             /* for a heading, its text; lines, of which one that begins with "@NAME,NAME " is of
                                   * these commands alone */
    bool unrecorded;      /* opt_append_config() leaves it out */
    size_t offset;
};

/* Ends the name of a positional argument that may be given several times. */
#define OPT_SEVERAL "..."

struct opt_command {
    unsigned bit; /* in a spec's `commands` and `required` */
    const char *name;
    const char *argument; /* name of its positional argument; "DIR..." if it takes several, "" if it takes none */
    bool own_config; /* the command reads the file of --config itself: opt_read_all() does not */
    const char *help;
    const char *example; /* a command line that shows it; "": none */
};

/* The option with this name, if there is one, names the configuration file. It is itself not written to or read
 * from a configuration file. */
#define OPT_CONFIG "config"

/* Other programs' name for an option, to suggest ours in the error message. */
struct opt_peer {
    const char *name;   /* with - for _ */
    const char *option; /* "": there is none */
    const char *note;   /* a sentence on how the value translates, or why there is no such option; or "" */
};

struct opt_table {
    const char *program;
    const struct opt_spec *specs;
    size_t spec_count;
    const struct opt_peer *peers;
    size_t peer_count;
    const struct opt_command *commands;
    size_t command_count;
};

enum opt_origin { OPT_DEFAULT, OPT_FILE, OPT_COMMAND_LINE };

/* One command's options while and after they are read. `values` stay valid until opt_release(). */
struct opt_set {
    const struct opt_table *table;
    const struct opt_command *command;
    void *values;
    enum opt_origin *origins; /* [spec_count] */
    const char *argument;     /* the first positional argument; "" if not given */
    struct opt_list arguments; /* all of them */
    bool help_wanted;         /* --help or -h was given; later arguments were not read */
    struct arena arena;
};

/* The spec or command of that name, or NULL. */
const struct opt_spec *opt_find(const struct opt_table *table, const char *name);
const struct opt_command *opt_find_command(const struct opt_table *table, const char *name);

/* The option of that name, if the command takes it; else NULL, and an error that suggests another name. `dashes` is
 * "--" or "", for the message. */
const struct opt_spec *opt_require(const struct opt_table *table, const struct opt_command *command,
                                   const char *name, const char *dashes, struct err *e);

/* Replaces each _ in `name` by -. */
void opt_dash(char *name);

/* Sets every option to its default. ERR_USAGE for an unknown command. */
enum err_code opt_init(struct opt_set *set, const struct opt_table *table, void *values, const char *command,
                       struct err *e);
void opt_release(struct opt_set *set);

/* Arguments after the command's name: `--name value`, `--name=value`, `--flag`, `--no-flag`, `--flag=true`;
 * in names, `_` and `-` are the same. A value that itself begins with "--" needs the form with "=". If an option is
 * given twice, the last value counts (scripts append what they change), and a note says so; a list gets both
 * values, unless the command takes one value of it. */
enum err_code opt_read_arguments(struct opt_set *set, int argc, char *const *argv, struct err *e);

/* Reads a configuration, with the same names; in names, `_` and `-` are the same; a list for an option of type
 * NAMES is joined by commas. Call it after opt_read_arguments(): values from the command line stay, but the values
 * of the file are still checked. `name` is the file in messages. */
enum err_code opt_read_config(struct opt_set *set, const char *name, const void *bytes, size_t length,
                              struct err *e);

/* Sets one value, for a caller that reads a configuration itself; a list gets one more item. "" leaves an option
 * unset if that is its default. The message does not say where the value is from. */
enum err_code opt_set_value(struct opt_set *set, const struct opt_spec *spec, const char *text,
                            struct err *e);

/* Copies to `set` the values that `from`, a set over the same table, got from the command line, for the options
 * that the command of `set` takes, too. The texts still belong to `from`. */
void opt_copy_arguments(struct opt_set *set, const struct opt_set *from);

/* ERR_USAGE if an option that the command requires is missing. `spoken`: the command that the user gave, which may be
 * another one that reads options of this one. */
enum err_code opt_check_required(const struct opt_set *set, const struct opt_command *spoken, struct err *e);

/* Reads the arguments, then the file that --config names, then checks for required options. With help_wanted only
 * the arguments before --help are read. */
enum err_code opt_read_all(struct opt_set *set, int argc, char *const *argv, struct err *e);

/* Appends the value of an option as text that gives the same value when it is read; the items of a list are
 * separated by ", ". */
enum err_code opt_append_value(const struct opt_set *set, const struct opt_spec *spec, struct str *out,
                               struct err *e);

/* The text of a spec's word; NULL if no word has that value. */
const char *opt_word_text(const struct opt_spec *spec, int value);

/* Are the option's values text in a configuration, with quotes where YAML needs them? Otherwise they are numbers,
 * true or false. */
bool opt_is_text(const struct opt_spec *spec);

/* Do two sets over the same table have the same value of this option? (2e-4 and 0.0002 are the same.) */
bool opt_values_equal(const struct opt_set *a, const struct opt_set *b, const struct opt_spec *spec);

/* Appends the command's options, except unrecorded ones and those for which `without` (unless NULL) returns true, as a
 * configuration from which opt_read_config() reads the same values. */
enum err_code opt_append_config(const struct opt_set *set, bool (*without)(const struct opt_spec *spec),
                                struct str *out, struct err *e);

/* Appends the help of one command, OPT_WIDTH columns wide; or all options of all commands as a Markdown table. */
#define OPT_WIDTH 80
enum err_code opt_append_help(const struct opt_table *table, const struct opt_command *command,
                              struct str *out, struct err *e);
/* Appends a text of which no line is longer, unless a word is, and a line end; the lines after the first begin at
 * column `indent`, and the first has been begun up to `column`. */
enum err_code opt_append_wrapped(struct str *out, const char *text, size_t column, size_t indent, struct err *e);
enum err_code opt_append_markdown(const struct opt_table *table, struct str *out, struct err *e);

/* Appends the manual page, in the language of man(7), of one command, or of the program if `command` is NULL. */
struct opt_page {
    const char *version;
    const char *purpose;             /* the line of NAME on the program's page */
    const struct opt_word *statuses; /* exit statuses and what they mean; the last one has no text */
};
enum err_code opt_append_man(const struct opt_table *table, const struct opt_command *command,
                             const struct opt_page *page, struct str *out, struct err *e);

/* Appends the completion script for a shell: "bash", "zsh" or "fish"; ERR_USAGE for another one. Words and files are
 * completed, numbers and free text are not. */
enum err_code opt_append_completion(const struct opt_table *table, const char *shell, struct str *out, struct err *e);

/* Checks a table, for its unit test: unique names, defaults that pass their own checks, ranges that parse. */
enum err_code opt_check_table(const struct opt_table *table, struct err *e);

/* Shared by the files of this module: reads the text of one value. The message does not say where it is from. */
struct opt_value {
    int word; /* value of the word, or OPT_NO_WORD if the text is no word */
    const char *text;
    int64_t integer;
    double real; /* or the seconds of a time */
    bool flag;
};
enum err_code opt_parse_value(struct opt_value *value, const struct opt_spec *spec, const char *text,
                              struct err *e);

/* The value of an option as the help shows it: "auto|N". */
#define OPT_LABEL_SIZE 256
void opt_value_label(char label[OPT_LABEL_SIZE], const struct opt_spec *spec);
/* Number that an AMOUNT stands for: a whole number itself, or that share of `whole`, rounded up; a remainder that
 * comes only from rounding the decimal fraction does not count. */
uint64_t opt_amount(double amount, uint64_t whole);
bool opt_takes(const struct opt_command *command, const struct opt_spec *spec);
/* Do the lines of its help name commands that take it? */
enum err_code opt_check_help(const struct opt_table *table, const struct opt_spec *spec, struct err *e);
/* Is it a list of which the command takes any number of values? */
bool opt_takes_several(const struct opt_command *command, const struct opt_spec *spec);
/* Is this the name, in help texts, of the path of a file or folder? */
bool opt_names_path(const char *value_name);
/* The help text of an option as one line: what it says to one command or, if that is NULL, to all, with their names
 * before what is theirs. And the first with what the table knows besides: is it required, what is the default? */
enum err_code opt_append_statement(struct str *out, const struct opt_spec *spec, const struct opt_command *command,
                                   struct err *e);
enum err_code opt_append_meaning(struct str *out, const struct opt_spec *spec, const struct opt_command *command,
                                 struct err *e);

#endif
