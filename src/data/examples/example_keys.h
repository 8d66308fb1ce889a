/*
 * Keys of a line, or of a message in it, that would change what is trained and that the line's form does not take:
 * nothing of the kind is ignored in silence.
 */
#ifndef MPILORA_DATA_EXAMPLES_EXAMPLE_KEYS_H
#define MPILORA_DATA_EXAMPLES_EXAMPLE_KEYS_H

#include "data/examples/example.h"
#include "io/json.h"

/* ERR_DATA that names the first such key of the object whose value says something: null, nothing at all ([], {}, "")
 * and what is so without the key (a weight of 1) are passed over. `message`: the object is a message, not the line. */
enum err_code example_check_keys(const struct json_value *object, enum example_form form, bool message,
                                 struct err *e);

#endif
