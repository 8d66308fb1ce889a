/*
 * Keys of a line, or of a message in it, that would change what is trained and that the line's form does not take:
 * nothing of the kind is ignored in silence.
 */
#ifndef MPILORA_DATA_EXAMPLES_EXAMPLE_KEYS_H
#define MPILORA_DATA_EXAMPLES_EXAMPLE_KEYS_H

#include "data/examples/example.h"

/* ERR_DATA that names the first such key whose value says something: null, nothing at all ([], {}, "") and what is so
 * without the key (a weight of 1) are passed over. Of a line of this form; of one of its messages. */
enum err_code example_check_line_keys(const struct line *l, enum example_form form, struct err *e);
enum err_code example_check_message_keys(const struct json_value *message, enum example_form form, struct err *e);

#endif
