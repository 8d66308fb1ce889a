/*
 * JSON values, with jansson. Errors name the file (or `where`) and the line; duplicate keys are refused. A value
 * belongs to its document and is valid until the document is closed. Strings are UTF-8; U+0000 is refused. Integers
 * have 64 bits; a larger one ("model_max_length": 1000000000000000019884624838656) is read as a real.
 *
 * jansson's functions also have the prefix json_, and a function of ours with the same name would replace jansson's
 * inside the library. This is why the names are json_kind, json_text and json_number and not json_type, json_string
 * and json_real.
 */
#ifndef MPILORA_IO_JSON_H
#define MPILORA_IO_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/file.h"
#include "base/str.h"

struct json;       /* a document; its owner calls json_close() */
struct json_value; /* a value in a document; never freed by its user */

enum json_kind {
    JSON_KIND_NONE, /* no value: the kind of a NULL pointer */
    JSON_KIND_NULL,
    JSON_KIND_BOOL,
    JSON_KIND_INT,
    JSON_KIND_REAL,
    JSON_KIND_STRING,
    JSON_KIND_ARRAY,
    JSON_KIND_OBJECT
};

/* Opens a document. ERR_IO if the file cannot be read; ERR_FORMAT if it has more than `limit` bytes or is not JSON.
 * `where` (a path, or "data.jsonl:17") is put before messages; NULL is for a single line whose place the caller
 * adds. The root may be any value. Several threads may call these functions at the same time. */
enum err_code json_open_file(struct json **doc, const char *path, size_t limit, struct err *e);
enum err_code json_open_map(struct json **doc, const struct file_map *map, const char *path, size_t limit,
                            struct err *e);
enum err_code json_open_bytes(struct json **doc, const char *bytes, size_t length, const char *where,
                              struct err *e);
void json_close(struct json *doc); /* NULL is fine */
const struct json_value *json_root(const struct json *doc);

/* Reading. All functions accept v == NULL and then return JSON_KIND_NONE, NULL, 0 or the given default. */
enum json_kind json_kind(const struct json_value *v);
bool json_is_absent(const struct json_value *v);        /* missing, or null */
const char *json_kind_name(const struct json_value *v); /* "an object", ..., "nothing" */
const struct json_value *json_get(const struct json_value *object, const char *key);
size_t json_count(const struct json_value *array_or_object);
const struct json_value *json_at(const struct json_value *array, size_t index);
bool json_bool(const struct json_value *v, bool otherwise);
int64_t json_int(const struct json_value *v, int64_t otherwise);
double json_number(const struct json_value *v, double otherwise); /* real or integer */
const char *json_text(const struct json_value *v);                /* NULL if not a string */
size_t json_text_length(const struct json_value *v);

/* Typed fields of an object. If a key is missing or null, json_get_...() returns `otherwise`, and json_need_...()
 * returns an error. A field of another kind is always an error; the message names the file and the key:
 *     config.json: rope_scaling: "factor" must be a number, not a string
 * `json_get_value` returns an array or an object, or NULL if there is none. */
struct json_fields {
    const struct json_value *object; /* NULL, or not an object: it has no fields */
    const char *file;                /* put before messages; NULL: the caller adds it */
    const char *part;                /* name of the object in the file, for messages; NULL: the root */
    enum err_code code;              /* error code for a wrong field; 0: ERR_FORMAT */
};
enum err_code json_get_size(size_t *out, const struct json_fields *f, const char *key, size_t otherwise,
                            struct err *e);
enum err_code json_get_number(double *out, const struct json_fields *f, const char *key, double otherwise,
                              struct err *e);
enum err_code json_get_flag(bool *out, const struct json_fields *f, const char *key, bool otherwise,
                            struct err *e);
enum err_code json_get_text(const char **out, const struct json_fields *f, const char *key,
                            const char *otherwise, struct err *e);
enum err_code json_get_value(const struct json_value **out, const struct json_fields *f, const char *key,
                             enum json_kind kind, struct err *e);
enum err_code json_need_size(size_t *out, const struct json_fields *f, const char *key, struct err *e);
enum err_code json_need_text(const char **out, const struct json_fields *f, const char *key, struct err *e);
enum err_code json_need_value(const struct json_value **out, const struct json_fields *f, const char *key,
                              enum json_kind kind, struct err *e);

/* Iterates over the members of an object in the order of the file, in constant time per member:
 *     for (struct json_member m = json_first(object); m.key; m = json_next(m))
 * No members (and no error) if the value is not an object. */
struct json_member {
    const char *key; /* NULL after the last */
    const struct json_value *value;
    const struct json_value *object;
};
struct json_member json_first(const struct json_value *object);
struct json_member json_next(struct json_member m);

/* Writing. Append a JSON string, quoted and escaped; a number that reads back as the same double (non-finite
 * numbers become null); and any value, which reads back as an equal value. */
enum err_code json_append_string(struct str *out, const char *text, size_t length, struct err *e);
enum err_code json_append_real(struct str *out, double x, struct err *e);
enum err_code json_append_value(struct str *out, const struct json_value *v, struct err *e);

/* Appends a value in one of the many ways in which it may be written, to be hashed or compared: members in the order of
 * their names, numbers as they count (10000 is 1e4). `enters` says which members do; NULL: all that are not null. */
typedef bool json_enters(const struct json_member *m);
enum err_code json_append_canonical(struct str *out, const struct json_value *v, json_enters *enters, struct err *e);

#endif
