/*
 * The options of all commands, from options.def and commands.def.
 *
 * Fields have the names and types of options.def. A command's options are read from its arguments and its
 * configuration file; all others have their defaults.
 *
 * An option that is one of a few words is an enum: nobody compares it with a string. For `reduce`, say, the row
 * makes
 *
 *     enum option_reduce { REDUCE_EXACT, REDUCE_FAST };     and     enum option_reduce reduce;
 *
 * Where words stand beside other values, `word` says which it is: o->resume.word == RESUME_NEVER; with
 * OPT_NO_WORD the value is in o->resume.text.
 */
#ifndef MPILORA_RUN_OPTIONS_H
#define MPILORA_RUN_OPTIONS_H

#include "base/opt.h"
#include "data/examples/example.h"
#include "math/dtype.h"
#include "math/gemm.h"
#include "model/lora_init.h"
#include "model/model.h"

/* The enums of the rows whose words have none elsewhere. */
#define OPTIONS_MAKE_ENUM(field, ...) enum option_##field{__VA_ARGS__};
#define OPTIONS_NO_ENUM(field, ...)
#define OPTIONS_ENUM_STRING   OPTIONS_NO_ENUM
#define OPTIONS_ENUM_LIST     OPTIONS_NO_ENUM
#define OPTIONS_ENUM_INT      OPTIONS_NO_ENUM
#define OPTIONS_ENUM_REAL     OPTIONS_NO_ENUM
#define OPTIONS_ENUM_AMOUNT   OPTIONS_NO_ENUM
#define OPTIONS_ENUM_FLAG     OPTIONS_NO_ENUM
#define OPTIONS_ENUM_OF(type) OPTIONS_NO_ENUM
#define OPTIONS_ENUM_CHOICE   OPTIONS_MAKE_ENUM
#define OPTIONS_ENUM_TEXT     OPTIONS_MAKE_ENUM
#define OPTIONS_ENUM_NAMES    OPTIONS_MAKE_ENUM
#define OPTIONS_ENUM_TIME     OPTIONS_MAKE_ENUM

#define HEADING(text)
#define WORD(value, text, ...) value,
#define ANY(text)
#define OPTION(field, name, type, default, values, ...) OPTIONS_ENUM_##type(field, values)
#include "run/options.def"
#undef OPTION
#undef ANY
#undef WORD
#undef HEADING

#define OPTIONS_NAMED(field)        field
#define OPTIONS_FIELD_STRING(field) const char *field
#define OPTIONS_FIELD_LIST(field)   struct opt_list field
#define OPTIONS_FIELD_INT(field)    int64_t field
#define OPTIONS_FIELD_REAL(field)   double field
#define OPTIONS_FIELD_AMOUNT(field) double field
#define OPTIONS_FIELD_FLAG(field)   bool field
#define OPTIONS_FIELD_OF(type)      type OPTIONS_NAMED
#define OPTIONS_FIELD_CHOICE(field) enum option_##field field
#define OPTIONS_FIELD_TEXT(field)   struct opt_text field
#define OPTIONS_FIELD_NAMES(field)  struct opt_text field
#define OPTIONS_FIELD_TIME(field)   struct opt_time field

struct options {
    struct opt_set set; /* set.command, set.argument and set.help_wanted are of use to the caller */
#define HEADING(text)
#define OPTION(field, name, type, ...) OPTIONS_FIELD_##type(field);
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

/* The word that an option which is a choice has: "exact" for "reduce". */
const char *options_word(const struct options *o, const char *name);

/* Is the option part of what a run computes, so that runs with different values of it are different experiments? */
bool options_fixes_result(const struct opt_spec *spec);

/* Does what the run leaves depend on its evaluations (--keep-best, --early-stop)? */
bool options_go_by_evaluations(const struct options *o);

/* Was the option given, on the command line or in the file? */
bool options_given(const struct options *o, const char *name);

/* Holds the options that a resumed run must share against those that a checkpoint recorded
 * (options_write_yaml() of the same command). ERR_MISMATCH names every one that differs with both values.
 * Options that the record does not have (it is of an older version) count as recorded with their defaults.
 * `finished`: the checkpoint is a run's end; where its learning rate fell, steps after it may have a
 * constant one of their own. */
enum err_code options_compare_for_resume(const struct options *now, const char *recorded_yaml, bool finished,
                                         struct err *e);

/* The program's own help: its commands. */
enum err_code options_help_overview(struct str *out, struct err *e);

/* Help of a command; ERR_USAGE if there is none of that name. */
enum err_code options_help(const char *command, struct str *out, struct err *e);

/* All options as a table in Markdown, for the README. */
enum err_code options_markdown(struct str *out, struct err *e);

#endif
