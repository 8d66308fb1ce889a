/*
 * Refuses keys of a line, or of a message in it, that would change what is trained but that the form of the line
 * does not support. Such keys are never ignored silently.
 */
#ifndef MPILORA_DATA_EXAMPLES_EXAMPLE_KEYS_H
#define MPILORA_DATA_EXAMPLES_EXAMPLE_KEYS_H

#include "data/examples/example.h"

/* Check a line of this form, or one of its messages. ERR_DATA names the first such key whose value has an effect.
 * Values without effect are accepted: null, empty values ([], {}, "") and the value that would hold without the key
 * (a weight of 1). */
enum err_code example_check_line_keys(const struct line *l, enum example_form form, struct err *e);
enum err_code example_check_message_keys(const struct json_value *message, enum example_form form, struct err *e);

#endif
