#include "io/json.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/format.h"

#define INTEGER_DIGITS_SAFE 18 /* so many digits always fit 64 bits */

struct json {
    json_t *root;
};

static const json_t *value_of(const struct json_value *v)
{
    return (const json_t *)v;
}

/* jansson asks for a mutable object even to walk over it. */
static json_t *object_of(const struct json_value *v)
{
    return (json_t *)(uintptr_t)v;
}

static bool is_overlong(const char *digits, size_t count)
{
    char number[64];
    if (count <= INTEGER_DIGITS_SAFE)
        return false;
    if (count >= sizeof number)
        return true;
    memcpy(number, digits, count);
    number[count] = '\0';
    errno = 0;
    (void)strtoll(number, NULL, 10);
    return errno == ERANGE;
}

/* Copies a document with "e0" after each integer that does not fit 64 bits, which makes it a real. */
static enum err_code relax_integers(struct str *out, const char *bytes, size_t length, struct err *e)
{
    size_t copied = 0, i = 0;
    while (i < length) {
        if (bytes[i] == '"') {
            for (i++; i < length && bytes[i] != '"'; i++)
                i += bytes[i] == '\\';
            i++;
            continue;
        }
        size_t start = i;
        while (i < length && strchr("+-.0123456789eE", bytes[i]) && bytes[i])
            i++;
        bool integer = i > start && !memchr(bytes + start, '.', i - start) &&
                       !memchr(bytes + start, 'e', i - start) && !memchr(bytes + start, 'E', i - start);
        if (integer && is_overlong(bytes + start, i - start)) {
            if (str_append(out, bytes + copied, i - copied, e) || str_append(out, "e0", 2, e))
                return e->code;
            copied = i;
        }
        i += i == start;
    }
    return str_append(out, bytes + copied, length - copied, e);
}

enum err_code json_open_bytes(struct json **doc, const char *bytes, size_t length, const char *where,
                              struct err *e)
{
    const size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY;
    json_error_t error;
    *doc = NULL;
    json_t *root = json_loadb(length ? bytes : "", length, flags, &error);
    if (!root && json_error_code(&error) == json_error_numeric_overflow) {
        struct str relaxed = {0};
        if (relax_integers(&relaxed, bytes, length, e)) {
            str_release(&relaxed);
            return e->code;
        }
        root = json_loadb(relaxed.data, relaxed.length, flags, &error);
        str_release(&relaxed);
    }
    if (!root && json_error_code(&error) == json_error_out_of_memory)
        return err_set(e, ERR_MEMORY, "%s: not enough memory for its JSON values", where ? where : "line");
    if (!root && !where)
        return err_set(e, ERR_FORMAT, "column %d: not valid JSON: %s", error.column, error.text);
    if (!root)
        return err_set(e, ERR_FORMAT, "%s: line %d, column %d: not valid JSON: %s", where, error.line,
                       error.column, error.text);
    struct json *made = malloc(sizeof *made);
    if (!made) {
        json_decref(root);
        return err_set(e, ERR_MEMORY, "%s: not enough memory for its JSON values", where ? where : "line");
    }
    made->root = root;
    *doc = made;
    return ERR_OK;
}

enum err_code json_open_map(struct json **doc, const struct file_map *map, const char *path, size_t limit,
                            struct err *e)
{
    *doc = NULL;
    if (map->size > limit)
        return err_set(e, ERR_FORMAT, "%s: %zu bytes; such a file has at most %zu", path, map->size, limit);
    if (format_expect(FORMAT_JSON, map->data, map->size, path, e))
        return e->code;
    return json_open_bytes(doc, (const char *)map->data, map->size, path, e);
}

enum err_code json_open_file(struct json **doc, const char *path, size_t limit, struct err *e)
{
    struct file_map map;
    *doc = NULL;
    if (file_map_open(&map, path, e))
        return e->code;
    enum err_code code = json_open_map(doc, &map, path, limit, e);
    file_map_close(&map);
    return code;
}

void json_close(struct json *doc)
{
    if (!doc)
        return;
    json_decref(doc->root);
    free(doc);
}

const struct json_value *json_root(const struct json *doc)
{
    return doc ? (const struct json_value *)doc->root : NULL;
}

enum json_kind json_kind(const struct json_value *v)
{
    if (!v)
        return JSON_KIND_NONE;
    switch (json_typeof(value_of(v))) {
    case JSON_OBJECT:
        return JSON_KIND_OBJECT;
    case JSON_ARRAY:
        return JSON_KIND_ARRAY;
    case JSON_STRING:
        return JSON_KIND_STRING;
    case JSON_INTEGER:
        return JSON_KIND_INT;
    case JSON_REAL:
        return JSON_KIND_REAL;
    case JSON_TRUE:
    case JSON_FALSE:
        return JSON_KIND_BOOL;
    case JSON_NULL:
        return JSON_KIND_NULL;
    }
    return JSON_KIND_NONE;
}

bool json_is_absent(const struct json_value *v)
{
    return json_kind(v) == JSON_KIND_NONE || json_kind(v) == JSON_KIND_NULL;
}

const char *json_kind_name(const struct json_value *v)
{
    static const char *const names[] = {
        [JSON_KIND_NONE] = "nothing",       [JSON_KIND_NULL] = "null",
        [JSON_KIND_BOOL] = "true or false", [JSON_KIND_INT] = "an integer",
        [JSON_KIND_REAL] = "a real number", [JSON_KIND_STRING] = "a string",
        [JSON_KIND_ARRAY] = "an array",     [JSON_KIND_OBJECT] = "an object",
    };
    return names[json_kind(v)];
}

const struct json_value *json_get(const struct json_value *object, const char *key)
{
    return (const struct json_value *)json_object_get(value_of(object), key);
}

size_t json_count(const struct json_value *array_or_object)
{
    const json_t *v = value_of(array_or_object);
    return json_is_array(v) ? json_array_size(v) : json_object_size(v);
}

const struct json_value *json_at(const struct json_value *array, size_t index)
{
    return (const struct json_value *)json_array_get(value_of(array), index);
}

bool json_bool(const struct json_value *v, bool otherwise)
{
    return json_kind(v) == JSON_KIND_BOOL ? json_is_true(value_of(v)) : otherwise;
}

int64_t json_int(const struct json_value *v, int64_t otherwise)
{
    return json_kind(v) == JSON_KIND_INT ? json_integer_value(value_of(v)) : otherwise;
}

double json_number(const struct json_value *v, double otherwise)
{
    return json_is_number(value_of(v)) ? json_number_value(value_of(v)) : otherwise;
}

const char *json_text(const struct json_value *v)
{
    return json_string_value(value_of(v));
}

size_t json_text_length(const struct json_value *v)
{
    return json_string_length(value_of(v));
}

/* ---- typed fields ---- */

static enum err_code refuse_field(const struct json_fields *f, const char *key, struct err *e,
                                  const char *why, const char *found)
{
    return err_set(e, f->code ? f->code : ERR_FORMAT, "%s%s%s%s\"%s\" %s%s", f->file ? f->file : "",
                   f->file ? ": " : "", f->part ? f->part : "", f->part ? ": " : "", key, why, found);
}

/* The value of a field, NULL when it is missing or null and need not be there. */
static enum err_code find_field(const struct json_value **out, const struct json_fields *f, const char *key,
                                enum json_kind kind, bool needed, struct err *e)
{
    static const char *const wanted[] = {
        [JSON_KIND_BOOL] = "must be true or false, not ", [JSON_KIND_INT] = "must be a whole number, not ",
        [JSON_KIND_REAL] = "must be a number, not ",      [JSON_KIND_STRING] = "must be a string, not ",
        [JSON_KIND_ARRAY] = "must be an array, not ",     [JSON_KIND_OBJECT] = "must be an object, not "};
    const struct json_value *v = json_get(f->object, key);
    *out = json_is_absent(v) ? NULL : v;
    bool fits =
        *out ? json_kind(v) == kind || (kind == JSON_KIND_REAL && json_kind(v) == JSON_KIND_INT) : !needed;
    return fits ? ERR_OK : refuse_field(f, key, e, wanted[kind], json_kind_name(v));
}

static enum err_code find_size(size_t *out, const struct json_fields *f, const char *key, size_t otherwise,
                               bool needed, struct err *e)
{
    const struct json_value *v;
    if (find_field(&v, f, key, JSON_KIND_INT, needed, e))
        return e->code;
    if (json_int(v, 0) < 0)
        return refuse_field(f, key, e, "must not be negative", "");
    *out = v ? (size_t)json_int(v, 0) : otherwise;
    return ERR_OK;
}

enum err_code json_get_size(size_t *out, const struct json_fields *f, const char *key, size_t otherwise,
                            struct err *e)
{
    return find_size(out, f, key, otherwise, false, e);
}

enum err_code json_need_size(size_t *out, const struct json_fields *f, const char *key, struct err *e)
{
    return find_size(out, f, key, 0, true, e);
}

enum err_code json_get_number(double *out, const struct json_fields *f, const char *key, double otherwise,
                              struct err *e)
{
    const struct json_value *v;
    if (find_field(&v, f, key, JSON_KIND_REAL, false, e))
        return e->code;
    *out = json_number(v, otherwise);
    return ERR_OK;
}

enum err_code json_get_flag(bool *out, const struct json_fields *f, const char *key, bool otherwise,
                            struct err *e)
{
    const struct json_value *v;
    if (find_field(&v, f, key, JSON_KIND_BOOL, false, e))
        return e->code;
    *out = json_bool(v, otherwise);
    return ERR_OK;
}

enum err_code json_get_text(const char **out, const struct json_fields *f, const char *key,
                            const char *otherwise, struct err *e)
{
    const struct json_value *v;
    if (find_field(&v, f, key, JSON_KIND_STRING, false, e))
        return e->code;
    *out = v ? json_text(v) : otherwise;
    return ERR_OK;
}

enum err_code json_need_text(const char **out, const struct json_fields *f, const char *key, struct err *e)
{
    const struct json_value *v;
    if (find_field(&v, f, key, JSON_KIND_STRING, true, e))
        return e->code;
    *out = json_text(v);
    return ERR_OK;
}

enum err_code json_get_value(const struct json_value **out, const struct json_fields *f, const char *key,
                             enum json_kind kind, struct err *e)
{
    return find_field(out, f, key, kind, false, e);
}

enum err_code json_need_value(const struct json_value **out, const struct json_fields *f, const char *key,
                              enum json_kind kind, struct err *e)
{
    return find_field(out, f, key, kind, true, e);
}

/* ---- members ---- */

static struct json_member member_at(const struct json_value *object, void *iterator)
{
    return (struct json_member){json_object_iter_key(iterator),
                                (const struct json_value *)json_object_iter_value(iterator), object};
}

struct json_member json_first(const struct json_value *object)
{
    return member_at(object, json_object_iter(object_of(object)));
}

struct json_member json_next(struct json_member m)
{
    return member_at(m.object, json_object_iter_next(object_of(m.object), json_object_key_to_iter(m.key)));
}

struct dump {
    struct str *out;
    struct err *e;
};

static int append_dump(const char *bytes, size_t length, void *context)
{
    struct dump *d = context;
    return str_append(d->out, bytes, length, d->e) ? -1 : 0;
}

enum err_code json_append_value(struct str *out, const struct json_value *v, struct err *e)
{
    struct dump d = {out, e};
    e->code = ERR_OK;
    if (json_dump_callback(value_of(v), append_dump, &d, JSON_ENCODE_ANY) && !e->code)
        return err_set(e, ERR_MEMORY, "not enough memory to write a JSON value");
    return e->code;
}
