/*
 * Options of a program with commands: one table of specs makes the parser of the command line, the reader and
 * the writer of configuration files, help and documentation.
 *
 * Values live in a struct of the caller's, each at its spec's offset:
 *
 *   STRING  const char *, never NULL; "" is "not set"
 *   LIST    struct opt_list
 *   INT     int64_t; a word of the spec is the number that stands for it
 *   REAL    double
 *   AMOUNT  double: 0, a share below 1, or a whole number
 *   FLAG    bool
 *   CHOICE  an enum as wide as int: one of the spec's words, and nothing else
 *   TEXT    struct opt_text: one of the spec's words, or any other text
 *   NAMES   the same; names with commas between them, which a configuration may have as a list
 *   TIME    struct opt_time: one of the spec's words, or a time
 *
 * Precedence: command line over configuration file over default; a list that is given replaces the lesser
 * one. All mistakes are ERR_USAGE and name the option or file and line, and the nearest name for an unknown
 * one.
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

/* A word that an option takes, and what stands for it in the program: a constant of an enum, or a number. */
struct opt_word {
    const char *text;
    int value;
};

#define OPT_NO_WORD (-1) /* no word has this value */

struct opt_text {
    int word;         /* of one of the words its value, else OPT_NO_WORD */
    const char *text; /* as it was given; "" is "not set" */
};

struct opt_time {
    int word;       /* likewise */
    double seconds; /* when it is none of the words */
};

struct opt_list {
    const char *const *items;
    size_t count;
};

struct opt_spec {
    const char *name; /* "lora-rank"; NULL for a heading */
    enum opt_type type;
    const char *initial; /* the default, as a user would write it; "" is "not set" */
    const struct opt_word *words; /* ended by one without a text; NULL: none */
    const char *value_name;       /* what stands in help for any other value: "N"; "" when there is none */
    const char *range;            /* of numbers: "[0, 1)", "(0, inf)"; "" is any */
    unsigned commands;            /* bits of the commands that take it */
    unsigned required;            /* bits of those that cannot do without */
    const char *help;             /* or the text of the heading */
    bool unrecorded;      /* opt_append_config() leaves it out */
    size_t offset;
};

struct opt_command {
    unsigned bit; /* in a spec's `commands` and `required` */
    const char *name;
    const char *argument; /* name of its one positional argument, "" if it takes none */
    bool own_config; /* the file that --config names is the command's to read: opt_read_all() leaves it */
    const char *help;
};

/* The option of this name, if there is one, is the configuration file: it is not written to one, nor read
 * from one. */
#define OPT_CONFIG "config"

/* What other programs call an option: for a hint at what somebody meant. */
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
    const char *argument;     /* the positional one; "" if not given */
    bool help_wanted;         /* --help or -h was met; what follows it was not looked at */
    struct arena arena;
};

/* The spec or command of that name, or NULL. */
const struct opt_spec *opt_find(const struct opt_table *table, const char *name);
const struct opt_command *opt_find_command(const struct opt_table *table, const char *name);

/* The option of that name, if the command takes it; else NULL, and an error with what may have been meant. `dashes` is
 * "--" or "", for the message. */
const struct opt_spec *opt_require(const struct opt_table *table, const struct opt_command *command,
                                   const char *name, const char *dashes, struct err *e);

/* `name` with - for each _. */
void opt_dash(char *name);

/* Every option at its default. ERR_USAGE for an unknown command. */
enum err_code opt_init(struct opt_set *set, const struct opt_table *table, void *values, const char *command,
                       struct err *e);
void opt_release(struct opt_set *set);

/* Arguments after the command's name: `--name value`, `--name=value`, `--flag`, `--no-flag`, `--flag=true`;
 * `_` and `-` alike in names. A value that itself begins with "--" needs the form with "=". Of an option given
 * twice the last value counts, since scripts append what they change, and a note says so; a list has both. */
enum err_code opt_read_arguments(struct opt_set *set, int argc, char *const *argv, struct err *e);

/* A configuration with the same names, `_` and `-` alike; a list for an option of NAMES is one text with commas.
 * Call after opt_read_arguments(): what that has set
 * stays, but the file's values are checked all the same. `name` is the file in messages. */
enum err_code opt_read_config(struct opt_set *set, const char *name, const void *bytes, size_t length,
                              struct err *e);

/* One value from a configuration that the caller reads; a list grows by it. "" leaves an option unset that is so
 * by default. The message has no place in it. */
enum err_code opt_set_value(struct opt_set *set, const struct opt_spec *spec, const char *text,
                            struct err *e);

/* Takes over what `from`, a set over the same table, was given on the command line and `set` takes as well.
 * The texts stay those of `from`. */
void opt_copy_arguments(struct opt_set *set, const struct opt_set *from);

/* Is all there that the command requires? */
enum err_code opt_check_required(const struct opt_set *set, struct err *e);

/* Arguments, then the file that --config names, then: is all there that the command requires? With
 * help_wanted only the arguments up to --help are looked at. */
enum err_code opt_read_all(struct opt_set *set, int argc, char *const *argv, struct err *e);

/* The value of an option as text that gives the same value when read; items of a list with ", " between them.
 */
enum err_code opt_append_value(const struct opt_set *set, const struct opt_spec *spec, struct str *out,
                               struct err *e);

/* The text of a spec's word; NULL when no word has that value. */
const char *opt_word_text(const struct opt_spec *spec, int value);

/* Does a configuration write the option's values as text, in quotes where YAML needs them? Else they are numbers
 * or true or false. */
bool opt_is_text(const struct opt_spec *spec);

/* Equal values (2e-4 and 0.0002 are) of two sets over one table. */
bool opt_values_equal(const struct opt_set *a, const struct opt_set *b, const struct opt_spec *spec);

/* The command's options, but for unrecorded ones, as a configuration that opt_read_config() reads back to the
 * same values. */
enum err_code opt_append_config(const struct opt_set *set, struct str *out, struct err *e);

/* Help for one command, 100 columns wide; and all options of all commands as a table in Markdown. */
enum err_code opt_append_help(const struct opt_table *table, const struct opt_command *command,
                              struct str *out, struct err *e);
enum err_code opt_append_markdown(const struct opt_table *table, struct str *out, struct err *e);

/* Is a table sound (unique names, defaults that pass their own checks, ranges that parse)? For its unit test.
 */
enum err_code opt_check_table(const struct opt_table *table, struct err *e);

/* Shared by the files of this module: reads one value's text. The message has no place in it. */
struct opt_value {
    int word; /* value of the word that the text is, or OPT_NO_WORD */
    const char *text;
    int64_t integer;
    double real; /* or a time's seconds */
    bool flag;
};
enum err_code opt_parse_value(struct opt_value *value, const struct opt_spec *spec, const char *text,
                              struct err *e);

/* All that stands for a value in help: "auto|N". */
#define OPT_LABEL_SIZE 256
void opt_value_label(char label[OPT_LABEL_SIZE], const struct opt_spec *spec);
/* How many of `whole` an AMOUNT is: a share is rounded up, what is beyond a rounding of the decimal fraction. */
uint64_t opt_amount(double amount, uint64_t whole);
bool opt_takes(const struct opt_command *command, const struct opt_spec *spec);

#endif
