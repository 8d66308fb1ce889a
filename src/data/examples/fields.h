/*
 * Which form a line has, judged by its fields, and what to do about a line that has none: which of its fields may be
 * meant, and the option that reads them. Internal to examples/.
 */
#ifndef MPILORA_DATA_EXAMPLES_FIELDS_H
#define MPILORA_DATA_EXAMPLES_FIELDS_H

#include "data/examples/example.h"

/* A line must have the fields of exactly one form. The writer of a table may give every line all of its columns, null
 * where they do not apply. ERR_DATA: no form, or more than one. */
enum err_code fields_find_form(enum example_form *form, const struct line *l, struct err *e);

/* Appends how to write the elements of a list, which is a field of one object, each on a line of its own. */
enum err_code fields_advise_to_unwrap(struct str *out, const char *key, struct err *e);

/* The name of the text that a line has in the place of a "prompt"; NULL: none. */
const char *fields_find_question(const struct line *l);

/* Is a list of objects under this name part of an example? */
bool fields_reads_list(const char *key);

/* A message of the list of this name must have "role" and "content", or "from" and "value" (sharegpt). ERR_DATA if it
 * has them under other names, with the command that renames them; whatever else is wrong is left to the caller. */
enum err_code fields_check_message(const struct json_value *message, const char *list, enum example_form form,
                                   struct err *e);

#endif
