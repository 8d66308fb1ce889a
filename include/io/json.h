/*
 * JSON values, over jansson. Errors name the file (or `where`) and the line; duplicate keys are refused.
 * A value borrowed from a document lives as long as the document. Strings are UTF-8; U+0000 is refused.
 */
#ifndef MPILORA_IO_JSON_H
#define MPILORA_IO_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct json;       /* an owned document */
struct json_value; /* a value inside one; never freed by its user */

enum json_type { JSON_NONE, JSON_NULL, JSON_BOOL, JSON_INT, JSON_REAL, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

enum err_code json_open_file(struct json **doc, const char *path, size_t limit, struct err *e);
enum err_code json_open_bytes(struct json **doc, const char *bytes, size_t length, const char *where, struct err *e);
void json_close(struct json *doc); /* NULL is fine */
const struct json_value *json_root(const struct json *doc);

/* Reading. All accept v == NULL and answer JSON_NONE / NULL / 0 / the given default. */
enum json_type json_type(const struct json_value *v);
const char *json_type_name(const struct json_value *v); /* "object", ..., "nothing" */
const struct json_value *json_get(const struct json_value *object, const char *key);
size_t json_count(const struct json_value *array_or_object);
const struct json_value *json_at(const struct json_value *array, size_t index);
const char *json_key_at(const struct json_value *object, size_t index, const struct json_value **value);
bool json_bool(const struct json_value *v, bool otherwise);
int64_t json_int(const struct json_value *v, int64_t otherwise);
double json_real(const struct json_value *v, double otherwise); /* integers too */
const char *json_string(const struct json_value *v);            /* NULL if not a string */
size_t json_string_length(const struct json_value *v);

/* Writing: appends one JSON string, quoted and escaped, and a number that reads back as the same double
 * (non-finite numbers become null). */
enum err_code json_append_string(struct str *out, const char *text, size_t length, struct err *e);
enum err_code json_append_real(struct str *out, double x, struct err *e);

#endif
