/*
 * The options of all commands, from options.def and commands.def.
 *
 * The fields of struct options have the names and types of options.def. The options of a command are read from its
 * arguments and its configuration file; all other fields have their defaults.
 *
 * An option that takes one of a few words is an enum, and is never compared with a string. For `reduce`, for
 * example, the row makes
 *
 *     enum option_reduce { REDUCE_EXACT, REDUCE_FAST };     and     enum option_reduce reduce;
 *
 * If an option takes words or other values, `word` says which word it is: o->resume.word == RESUME_NEVER; if it is
 * OPT_NO_WORD, the value is in o->resume.text.
 */
#ifndef MPILORA_RUN_OPTIONS_H
#define MPILORA_RUN_OPTIONS_H

#include "base/opt.h"
#include "data/examples/example.h"
#include "math/dtype.h"
#include "math/gemm.h"
#include "model/lora_init.h"
#include "model/model.h"
#include "model/objective.h"

/* The enums of the rows whose words are not an enum elsewhere. */
#define OPTIONS_MAKE_ENUM(field, ...) enum option_##field{__VA_ARGS__};
#define OPTIONS_NO_ENUM(field, ...)
#define OPTIONS_ENUM_STRING   OPTIONS_NO_ENUM
#define OPTIONS_ENUM_LIST     OPTIONS_NO_ENUM
#define OPTIONS_ENUM_LIST_BUT(commands) OPTIONS_NO_ENUM
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
#define OPTIONS_FIELD_LIST_BUT(commands) struct opt_list OPTIONS_NAMED
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
    struct opt_set set; /* the caller may use set.command, set.argument and set.help_wanted */
#define HEADING(text)
#define OPTION(field, name, type, ...) OPTIONS_FIELD_##type(field);
#include "run/options.def"
#undef OPTION
#undef HEADING
};

extern const struct opt_table options_table;

/* Reads the options of `command` ("train") from the arguments after its name. ERR_USAGE for any mistake. If
 * o->set.help_wanted is true, no other field may be used. The caller calls options_release(), also after an error,
 * and must not move `o`, because `set` points into it. */
enum err_code options_parse(struct options *o, const char *command, int argc, char *const *argv,
                            struct err *e);
void options_release(struct options *o);

/* The resolved options of the command as YAML: the run's config.yaml and the record in a checkpoint. With --adapter,
 * those that say which arrays an adapter has are left out, since they are the adapter's own. */
enum err_code options_write_yaml(const struct options *o, struct str *out, struct err *e);

/* Reads such a text; `name` is for messages. `o` as after options_parse(). */
enum err_code options_read_yaml(struct options *o, const char *command, const char *name, const char *text,
                                size_t length, struct err *e);

/* The word of an option that takes words only: "exact" for "reduce". */
const char *options_word(const struct options *o, const char *name);

/* Does the option affect the result of a run, so that runs with different values are different experiments? */
bool options_fixes_result(const struct opt_spec *spec);

/* Appends a line "--NAME: VALUE" for each of these options of the command. */
enum err_code options_append_values(const struct options *o, const char *const *names, size_t count, struct str *out,
                                    struct err *e);

/* The first of these options in which two sets of options of one command differ; NULL if they do not. Values without
 * effect in both (options_tell_idle()) are no difference. */
const char *options_find_difference(const struct options *a, const struct options *b, const char *const *names,
                                    size_t count);

/* Does the option decide which arrays a new adapter has? With --adapter that one's arrays are used instead. */
bool options_shapes_adapter(const struct opt_spec *spec);

/* Does the result of the run depend on its evaluations (--keep-best, --early-stop)? */
bool options_go_by_evaluations(const struct options *o);

/* --objective with its parameters. */
struct objective options_objective(const struct options *o);

/* Calls `tell` for each option of the command that was given a value other than its default and yet changes nothing,
 * since it acts only together with others: `needs` names these. Both texts are constants, and so few that an array of
 * OPTIONS_IDLE_MOST holds them. */
enum { OPTIONS_IDLE_MOST = 16 };
typedef void options_idle(void *context, const char *option, const char *needs);
enum err_code options_tell_idle(const struct options *o, options_idle *tell, void *context, struct err *e);

/* Calls `tell` for each option that the result depends on, evaluations included, and that has an effect and another
 * value than its default, until that returns an error. None of these values is a path or the name of a host. */
typedef enum err_code options_tell(void *context, const char *option, const char *value, struct err *e);
enum err_code options_tell_changed(const struct options *o, options_tell *tell, void *context, struct err *e);

/* Was the option given on the command line or in the file, and where? */
enum opt_origin options_origin(const struct options *o, const char *name);
bool options_given(const struct options *o, const char *name);

/* Compares the options that must stay the same in a resumed run with those that a checkpoint recorded
 * (options_write_yaml() of the same command). ERR_MISMATCH names each option that differs, with both values; those
 * without effect in both may differ. An option that is missing in the record, because an older version wrote it, counts
 * as recorded with its default.
 * `finished`: the checkpoint is the end of a run; if its learning rate decreased, additional steps may have
 * another, constant one. */
enum err_code options_compare_for_resume(const struct options *now, const char *recorded_yaml, bool finished,
                                         struct err *e);

/* The help of the program: its commands. */
enum err_code options_help_overview(struct str *out, struct err *e);

/* The help of a command; ERR_USAGE if there is no such command. */
enum err_code options_help(const char *command, struct str *out, struct err *e);

/* The manual page of a command, or that of the program for ""; ERR_USAGE if there is no such command. */
enum err_code options_man(const char *command, struct str *out, struct err *e);

/* The completion script of a shell; ERR_USAGE if there is none for it. */
enum err_code options_completion(const char *shell, struct str *out, struct err *e);

/* All options as a Markdown table, for src/cli/README.md. */
enum err_code options_markdown(struct str *out, struct err *e);

#endif
