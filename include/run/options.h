/*
 * The options of all commands, from options.def and commands.def.
 *
 * Fields have the names of options.def. STRING is `const char *` ("" when not set), LIST struct opt_list, INT
 * int64_t, REAL double, FLAG bool. A command's options are read from its arguments and its configuration
 * file; all others have their defaults.
 */
#ifndef MPILORA_RUN_OPTIONS_H
#define MPILORA_RUN_OPTIONS_H

#include "base/opt.h"

#define OPTIONS_FIELD_STRING const char *
#define OPTIONS_FIELD_LIST   struct opt_list
#define OPTIONS_FIELD_INT    int64_t
#define OPTIONS_FIELD_REAL   double
#define OPTIONS_FIELD_FLAG   bool

struct options {
    struct opt_set set; /* set.command, set.argument and set.help_wanted are of use to the caller */
#define HEADING(text)
#define OPTION(field, name, type, ...) OPTIONS_FIELD_##type field;
#include "run/options.def"
#undef OPTION
#undef HEADING
};

extern const struct opt_table options_table;

/* Reads the options of `command` ("train") from the arguments behind its name. ERR_USAGE on any mistake. With
 * o->set.help_wanted nothing else is to be used. `o` may be released whatever this returns, and must not
 * move: `set` points into it. */
enum err_code options_parse(struct options *o, const char *command, int argc, char *const *argv,
                            struct err *e);
void options_release(struct options *o);

/* The resolved options of the command as YAML: the run's config.yaml and the record in a checkpoint. */
enum err_code options_write_yaml(const struct options *o, struct str *out, struct err *e);

/* Reads it back; `name` is for messages. `o` as after options_parse(). */
enum err_code options_read_yaml(struct options *o, const char *command, const char *name, const char *text,
                                size_t length, struct err *e);

/* Was the option given, on the command line or in the file? */
bool options_given(const struct options *o, const char *name);

/* Holds the options that a resumed run must share against those that a checkpoint recorded
 * (options_write_yaml() of the same command). ERR_MISMATCH names every one that differs with both values.
 * Options that the record does not have (it is of an older version) count as recorded with their defaults. */
enum err_code options_compare_for_resume(const struct options *now, const char *recorded_yaml, struct err *e);

/* The program's own help: its commands. */
enum err_code options_help_overview(struct str *out, struct err *e);

/* Help of a command; ERR_USAGE if there is none of that name. */
enum err_code options_help(const char *command, struct str *out, struct err *e);

/* All options as a table in Markdown, for the README. */
enum err_code options_markdown(struct str *out, struct err *e);

#endif
