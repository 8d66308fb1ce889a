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

/* Copies a document with "e0" behind each integer that does not fit 64 bits, which makes it a real. */
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

/* ---- the plain case ----
 *
 * Most of JSON is plain: objects, arrays, strings, short integers. Such a document is read here, in a fraction of the
 * time that jansson takes for its text. Whatever else there is, a mistake above all, is left to jansson.
 */

#define PLAIN_DEPTH 64
#define PLAIN_KEY   64 /* bytes of a key, with its end */

struct plain {
    const char *at, *end;
    struct str text; /* a string without its escapes */
};

static json_t *read_plain(struct plain *p, int depth);

static void skip_blanks(struct plain *p)
{
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\n' || *p->at == '\t' || *p->at == '\r'))
        p->at++;
}

static bool take(struct plain *p, char c)
{
    skip_blanks(p);
    bool there = p->at < p->end && *p->at == c;
    p->at += there;
    return there;
}

static bool is_plain(char c)
{
    return c != '"' && c != '\\' && (unsigned char)c >= 0x20;
}

/* The four digits of \u; -1: they are none. */
static int32_t read_unit(struct plain *p)
{
    int32_t unit = 0;
    if (p->end - p->at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        const char c = *p->at++;
        const int digit = c >= '0' && c <= '9'   ? c - '0'
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                 : -1;
        if (digit < 0)
            return -1;
        unit = unit << 4 | digit;
    }
    return unit;
}

/* Appends the character of \u, or of a pair of them. */
static bool read_character(struct plain *p)
{
    struct err ignored;
    int32_t c = read_unit(p);
    if (c >= 0xD800 && c <= 0xDBFF && p->end - p->at >= 2 && p->at[0] == '\\' && p->at[1] == 'u') {
        p->at += 2;
        const int32_t low = read_unit(p);
        c = low >= 0xDC00 && low <= 0xDFFF ? 0x10000 + ((c - 0xD800) << 10 | (low - 0xDC00)) : -1;
    }
    if (c <= 0 || (c >= 0xD800 && c <= 0xDFFF))
        return false;
    char bytes[4];
    size_t count = 0;
    if (c < 0x80) {
        bytes[count++] = (char)c;
    } else {
        const int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
        static const unsigned char first[] = {0, 0xC0, 0xE0, 0xF0};
        bytes[count++] = (char)(first[more] | c >> 6 * more);
        for (int i = more - 1; i >= 0; i--)
            bytes[count++] = (char)(0x80 | (c >> 6 * i & 0x3F));
    }
    return !str_append(&p->text, bytes, count, &ignored);
}

static bool read_escape(struct plain *p)
{
    static const char letters[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
    struct err ignored;
    const char *letter = p->at < p->end && *p->at ? strchr(letters, *p->at) : NULL;
    if (letter) {
        p->at++;
        return !str_append(&p->text, &bytes[letter - letters], 1, &ignored);
    }
    if (p->at == p->end || *p->at++ != 'u')
        return false;
    return read_character(p);
}

/* A string after its opening quote: where it lies, or p->text. */
static bool read_string(const char **text, size_t *length, struct plain *p)
{
    struct err ignored;
    const char *from = p->at;
    str_clear(&p->text);
    while (p->at < p->end && is_plain(*p->at))
        p->at++;
    if (p->at < p->end && *p->at == '"') {
        *text = from;
        *length = (size_t)(p->at++ - from);
        return true;
    }
    while (p->at < p->end && *p->at == '\\') {
        if (str_append(&p->text, from, (size_t)(p->at - from), &ignored))
            return false;
        p->at++;
        if (!read_escape(p))
            return false;
        from = p->at;
        while (p->at < p->end && is_plain(*p->at))
            p->at++;
    }
    if (p->at == p->end || *p->at != '"' || str_append(&p->text, from, (size_t)(p->at - from), &ignored))
        return false;
    p->at++;
    *text = p->text.data;
    *length = p->text.length;
    return true;
}

static json_t *read_object(struct plain *p, int depth)
{
    json_t *object = json_object();
    if (take(p, '}'))
        return object;
    do {
        const char *text = NULL;
        char key[PLAIN_KEY];
        size_t length = 0;
        if (!object || !take(p, '"') || !read_string(&text, &length, p) || length >= sizeof key || !take(p, ':'))
            goto fail;
        memcpy(key, text, length);
        key[length] = '\0';
        json_t *value = json_object_get(object, key) ? NULL : read_plain(p, depth + 1);
        if (json_object_set_new_nocheck(object, key, value))
            goto fail;
    } while (take(p, ','));
    if (take(p, '}'))
        return object;
fail:
    json_decref(object);
    return NULL;
}

static json_t *read_array(struct plain *p, int depth)
{
    json_t *array = json_array();
    if (take(p, ']'))
        return array;
    do
        if (!array || json_array_append_new(array, read_plain(p, depth + 1)))
            goto fail;
    while (take(p, ','));
    if (take(p, ']'))
        return array;
fail:
    json_decref(array);
    return NULL;
}

static json_t *read_integer(struct plain *p)
{
    const bool negative = *p->at == '-';
    const char *first = p->at += negative;
    json_int_t x = 0;
    while (p->at < p->end && *p->at >= '0' && *p->at <= '9' && p->at - first < INTEGER_DIGITS_SAFE)
        x = 10 * x + (*p->at++ - '0');
    const bool ends = p->at == p->end || (*p->at && strchr(" \n\t\r,]}", *p->at));
    if (p->at == first || !ends || (*first == '0' && p->at - first > 1) || (negative && x == 0))
        return NULL;
    return json_integer(negative ? -x : x);
}

static json_t *read_word(struct plain *p)
{
    const size_t left = (size_t)(p->end - p->at);
    if (left >= 4 && !memcmp(p->at, "true", 4))
        return p->at += 4, json_true();
    if (left >= 4 && !memcmp(p->at, "null", 4))
        return p->at += 4, json_null();
    if (left >= 5 && !memcmp(p->at, "false", 5))
        return p->at += 5, json_false();
    return NULL;
}

/* The next value; NULL: not plain. */
static json_t *read_plain(struct plain *p, int depth)
{
    const char *text = NULL;
    size_t length = 0;
    skip_blanks(p);
    if (p->at == p->end || depth > PLAIN_DEPTH)
        return NULL;
    switch (*p->at) {
    case '{':
        p->at++;
        return read_object(p, depth);
    case '[':
        p->at++;
        return read_array(p, depth);
    case '"':
        p->at++;
        return read_string(&text, &length, p) ? json_stringn_nocheck(text, length) : NULL;
    case 't':
    case 'f':
    case 'n':
        return read_word(p);
    default:
        return read_integer(p);
    }
}

static json_t *read_plain_document(const char *bytes, size_t length)
{
    struct plain p = {.at = bytes, .end = bytes + length};
    if (!length || str_utf8_valid_prefix(bytes, length) < length)
        return NULL;
    json_t *root = read_plain(&p, 0);
    skip_blanks(&p);
    if (p.at != p.end) {
        json_decref(root);
        root = NULL;
    }
    str_release(&p.text);
    return root;
}

enum err_code json_open_bytes(struct json **doc, const char *bytes, size_t length, const char *where,
                              struct err *e)
{
    const size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY;
    json_error_t error;
    *doc = NULL;
    json_t *root = read_plain_document(bytes, length);
    if (!root)
        root = json_loadb(length ? bytes : "", length, flags, &error);
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
