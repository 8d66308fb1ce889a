#include "io/store/gguf.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/format.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "GGUF and safetensors files are read in place");

#define DEFAULT_ALIGNMENT 32

/* Fewest bytes that one entry takes: they bound the counts, and so the memory, by the size of the file. */
#define KEY_BYTES_MIN    (8 + 4 + 1)
#define TENSOR_BYTES_MIN (8 + 4 + 4 + 8)
#define STRING_BYTES_MIN 8

static const struct {
    const char *name;
    size_t bytes; /* 0: not a plain number */
} types[GGUF_TYPE_COUNT] = {
    [GGUF_U8] = {"u8", 1},       [GGUF_I8] = {"i8", 1},     [GGUF_U16] = {"u16", 2},
    [GGUF_I16] = {"i16", 2},     [GGUF_U32] = {"u32", 4},   [GGUF_I32] = {"i32", 4},
    [GGUF_F32] = {"f32", 4},     [GGUF_BOOL] = {"bool", 1}, [GGUF_STRING] = {"string", 0},
    [GGUF_ARRAY] = {"array", 0}, [GGUF_U64] = {"u64", 8},   [GGUF_I64] = {"i64", 8},
    [GGUF_F64] = {"f64", 8},
};

/* A place in the file that only moves forward; every read is checked against the end. */
struct cursor {
    const unsigned char *data;
    size_t at, size;
    const char *path;
    const char *what; /* what is being read, for messages */
};

/* The next `length` bytes, or NULL. */
static const unsigned char *cursor_take(struct cursor *c, uint64_t length, struct err *e)
{
    const unsigned char *bytes = c->data + c->at;
    if (length > c->size - c->at) {
        err_set(e, ERR_FORMAT,
                "%s: %s at byte %zu needs %" PRIu64 " bytes, the file has %zu more: truncated or damaged",
                c->path, c->what, c->at, length, c->size - c->at);
        return NULL;
    }
    c->at += length;
    return bytes;
}

static enum err_code cursor_number(void *out, size_t size, struct cursor *c, struct err *e)
{
    const unsigned char *bytes = cursor_take(c, size, e);
    if (!bytes)
        return e->code;
    memcpy(out, bytes, size);
    return ERR_OK;
}

static enum err_code cursor_string(struct gguf_string *out, struct cursor *c, struct err *e)
{
    uint64_t length = 0;
    if (cursor_number(&length, sizeof length, c, e))
        return e->code;
    out->length = (size_t)length;
    out->data = (const char *)cursor_take(c, length, e);
    return out->data ? ERR_OK : e->code;
}

/* A name: a string without zeros, copied. */
static enum err_code cursor_name(const char **out, struct cursor *c, struct arena *a, struct err *e)
{
    struct gguf_string name = {0};
    size_t at = c->at;
    if (cursor_string(&name, c, e))
        return e->code;
    if (name.length == 0 || name.length > LIMIT_NAME || memchr(name.data, '\0', name.length))
        return err_set(e, ERR_FORMAT,
                       "%s: the name at byte %zu is empty, longer than %d bytes or holds a zero byte",
                       c->path, at, LIMIT_NAME);
    *out = arena_strndup(a, name.data, name.length, e);
    return *out ? ERR_OK : e->code;
}

static enum err_code cursor_type(enum gguf_type *out, struct cursor *c, struct err *e)
{
    uint32_t type = 0;
    if (cursor_number(&type, sizeof type, c, e))
        return e->code;
    if (type >= GGUF_TYPE_COUNT)
        return err_set(e, ERR_FORMAT, "%s: %s at byte %zu has the unknown type number %" PRIu32, c->path,
                       c->what, c->at - sizeof type, type);
    *out = (enum gguf_type)type;
    return ERR_OK;
}

static enum err_code read_strings(struct gguf_key *key, struct cursor *c, struct arena *a, struct err *e)
{
    if (key->count > (c->size - c->at) / STRING_BYTES_MIN)
        return err_set(e, ERR_FORMAT,
                       "%s: %s at byte %zu claims %" PRIu64 " strings, more than the file can hold", c->path,
                       c->what, c->at, key->count);
    struct gguf_string *strings = arena_alloc(a, (size_t)key->count, sizeof *strings, key->name, e);
    if (!strings)
        return e->code;
    for (uint64_t i = 0; i < key->count; i++)
        if (cursor_string(&strings[i], c, e))
            return e->code;
    key->strings = strings;
    return ERR_OK;
}

static enum err_code read_key(struct gguf_key *key, struct cursor *c, struct arena *a, struct err *e)
{
    c->what = "a key";
    if (cursor_name(&key->name, c, a, e))
        return e->code;
    c->what = key->name;
    if (cursor_type(&key->type, c, e))
        return e->code;
    key->element_type = key->type;
    key->count = 1;
    if (key->type == GGUF_ARRAY) {
        if (cursor_type(&key->element_type, c, e) || cursor_number(&key->count, sizeof key->count, c, e))
            return e->code;
        if (key->element_type == GGUF_ARRAY)
            return err_set(e, ERR_UNSUPPORTED, "%s: key %s is an array of arrays, which is not read here",
                           c->path, key->name);
    }
    if (key->element_type == GGUF_STRING)
        return read_strings(key, c, a, e);
    uint64_t bytes;
    if (__builtin_mul_overflow(key->count, types[key->element_type].bytes, &bytes))
        return err_set(e, ERR_FORMAT, "%s: key %s claims %" PRIu64 " elements, more than the file can hold",
                       c->path, key->name, key->count);
    key->value = cursor_take(c, bytes, e);
    return key->value ? ERR_OK : e->code;
}

static enum err_code read_tensor(struct gguf_tensor *t, struct cursor *c, struct arena *a, struct err *e)
{
    c->what = "a tensor's name";
    if (cursor_name(&t->name, c, a, e))
        return e->code;
    c->what = t->name;
    if (cursor_number(&t->dims, sizeof t->dims, c, e))
        return e->code;
    if (t->dims < 1 || t->dims > LIMIT_GGUF_DIMS)
        return err_set(e, ERR_FORMAT, "%s: tensor %s has %" PRIu32 " dimensions; 1 to %d are possible",
                       c->path, t->name, t->dims, LIMIT_GGUF_DIMS);
    for (uint32_t i = 0; i < LIMIT_GGUF_DIMS; i++)
        t->ne[i] = 1;
    uint64_t elements = 1;
    for (uint32_t i = 0; i < t->dims; i++) {
        if (cursor_number(&t->ne[i], sizeof t->ne[i], c, e))
            return e->code;
        if (t->ne[i] == 0 || __builtin_mul_overflow(elements, t->ne[i], &elements))
            return err_set(e, ERR_FORMAT, "%s: tensor %s: dimension %" PRIu32 " of %" PRIu64 " is impossible",
                           c->path, t->name, i, t->ne[i]);
    }
    if (cursor_number(&t->type, sizeof t->type, c, e) || cursor_number(&t->offset, sizeof t->offset, c, e))
        return e->code;
    return ERR_OK;
}

static enum err_code read_counts(struct gguf *g, struct cursor *c, struct err *e)
{
    uint64_t tensors = 0, keys = 0;
    c->what = "the header";
    const unsigned char *magic = cursor_take(c, 4, e);
    if (!magic)
        return e->code;
    if (format_expect(FORMAT_GGUF, c->data, c->size, c->path, e))
        return e->code;
    if (memcmp(magic, "GGUF", 4) != 0)
        return err_set(e, ERR_FORMAT, "%s: not a GGUF file: it does not begin with \"GGUF\"", c->path);
    if (cursor_number(&g->version, sizeof g->version, c, e))
        return e->code;
    if ((g->version & 0xffff) == 0)
        return err_set(e, ERR_UNSUPPORTED, "%s: a big-endian GGUF file; convert it to little-endian",
                       c->path);
    if (g->version != 2 && g->version != 3)
        return err_set(e, ERR_UNSUPPORTED, "%s: GGUF version %" PRIu32 "; versions 2 and 3 are read here",
                       c->path, g->version);
    if (cursor_number(&tensors, sizeof tensors, c, e) || cursor_number(&keys, sizeof keys, c, e))
        return e->code;
    if (tensors > c->size / TENSOR_BYTES_MIN || keys > c->size / KEY_BYTES_MIN)
        return err_set(e, ERR_FORMAT,
                       "%s: claims %" PRIu64 " tensors and %" PRIu64 " keys in %zu bytes: damaged", c->path,
                       tensors, keys, c->size);
    if (tensors > LIMIT_TENSORS || keys > LIMIT_GGUF_KEYS)
        return err_set(e, ERR_FORMAT,
                       "%s: %" PRIu64 " tensors and %" PRIu64 " keys; at most %d and %d are read", c->path,
                       tensors, keys, LIMIT_TENSORS, LIMIT_GGUF_KEYS);
    g->tensor_count = (size_t)tensors;
    g->key_count = (size_t)keys;
    return ERR_OK;
}

/* The data section begins after the table, aligned. */
static enum err_code find_data(struct gguf *g, const struct cursor *c, struct err *e)
{
    if (gguf_get_u64(&g->alignment, g, "general.alignment", DEFAULT_ALIGNMENT, e))
        return e->code;
    if (g->alignment < 8 || g->alignment > LIMIT_GGUF_ALIGNMENT || (g->alignment & (g->alignment - 1)) != 0)
        return err_set(e, ERR_FORMAT, "%s: general.alignment is %" PRIu64 ", not a power of two from 8 to %d",
                       g->path, g->alignment, LIMIT_GGUF_ALIGNMENT);
    g->data_offset = (c->at + g->alignment - 1) & ~(g->alignment - 1);
    return ERR_OK;
}

static int compare_names(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    return strcmp(*x, *y);
}

static enum err_code check_keys_distinct(const struct gguf *g, struct arena *a, struct err *e)
{
    const char **names = arena_alloc(a, g->key_count, sizeof *names, "GGUF keys", e);
    if (!names)
        return e->code;
    for (size_t i = 0; i < g->key_count; i++)
        names[i] = g->keys[i].name;
    qsort(names, g->key_count, sizeof *names, compare_names);
    for (size_t i = 1; i < g->key_count; i++)
        if (strcmp(names[i - 1], names[i]) == 0)
            return err_set(e, ERR_FORMAT, "%s: key %s is there twice", g->path, names[i]);
    return ERR_OK;
}

enum err_code gguf_parse(struct gguf **out, const struct file_map *map, const char *path, struct arena *a,
                         struct err *e)
{
    struct cursor c = {.data = map->data, .size = map->size, .path = path};
    struct gguf *g = arena_alloc(a, 1, sizeof *g, path, e);
    if (!g)
        return e->code;
    g->path = path;
    if (read_counts(g, &c, e))
        return e->code;
    g->keys = arena_alloc(a, g->key_count, sizeof *g->keys, "GGUF keys", e);
    g->tensors = g->keys ? arena_alloc(a, g->tensor_count, sizeof *g->tensors, "GGUF tensors", e) : NULL;
    if (!g->tensors)
        return e->code;
    for (size_t i = 0; i < g->key_count; i++)
        if (read_key(&g->keys[i], &c, a, e))
            return e->code;
    if (check_keys_distinct(g, a, e))
        return e->code;
    g->tensors_at = c.at;
    for (size_t i = 0; i < g->tensor_count; i++)
        if (read_tensor(&g->tensors[i], &c, a, e))
            return e->code;
    if (find_data(g, &c, e))
        return e->code;
    *out = g;
    return ERR_OK;
}

const struct gguf_key *gguf_find(const struct gguf *g, const char *name)
{
    for (size_t i = 0; i < g->key_count; i++)
        if (strcmp(g->keys[i].name, name) == 0)
            return &g->keys[i];
    return NULL;
}

static enum err_code wrong_type(const struct gguf *g, const struct gguf_key *key, const char *wanted,
                                struct err *e)
{
    return err_set(e, ERR_FORMAT, "%s: key %s has type %s; it must be %s", g->path, key->name,
                   types[key->type].name, wanted);
}

/* The integer at `value`; false if `type` is not an integer type. Sets *negative for values below zero. */
static bool load_integer(uint64_t *out, bool *negative, enum gguf_type type, const unsigned char *value)
{
    uint64_t bits = 0;
    size_t size = types[type].bytes;
    switch (type) {
    case GGUF_U8:
    case GGUF_U16:
    case GGUF_U32:
    case GGUF_U64:
        memcpy(&bits, value, size);
        *negative = false;
        break;
    case GGUF_I8:
    case GGUF_I16:
    case GGUF_I32:
    case GGUF_I64:
        memcpy(&bits, value, size);
        *negative = bits >> (8 * size - 1) & 1;
        if (*negative && size < sizeof bits)
            bits |= UINT64_MAX << (8 * size);
        break;
    default:
        return false;
    }
    *out = bits;
    return true;
}

enum err_code gguf_get_u64(uint64_t *out, const struct gguf *g, const char *name, uint64_t otherwise,
                           struct err *e)
{
    const struct gguf_key *key = gguf_find(g, name);
    bool negative;
    if (!key) {
        *out = otherwise;
        return ERR_OK;
    }
    if (!load_integer(out, &negative, key->type, key->value) || negative)
        return wrong_type(g, key, "a non-negative integer", e);
    return ERR_OK;
}

enum err_code gguf_get_f64(double *out, const struct gguf *g, const char *name, double otherwise,
                           struct err *e)
{
    const struct gguf_key *key = gguf_find(g, name);
    if (!key) {
        *out = otherwise;
        return ERR_OK;
    }
    if (key->type == GGUF_BOOL || types[key->type].bytes == 0)
        return wrong_type(g, key, "a number", e);
    *out = gguf_array_real(key, 0);
    return ERR_OK;
}

enum err_code gguf_get_bool(bool *out, const struct gguf *g, const char *name, bool otherwise, struct err *e)
{
    const struct gguf_key *key = gguf_find(g, name);
    if (key && key->type != GGUF_BOOL)
        return wrong_type(g, key, "true or false", e);
    *out = key ? *key->value != 0 : otherwise;
    return ERR_OK;
}

enum err_code gguf_get_string(struct gguf_string *out, const struct gguf *g, const char *name, struct err *e)
{
    const struct gguf_key *key = gguf_find(g, name);
    *out = (struct gguf_string){0};
    if (key && key->type != GGUF_STRING)
        return wrong_type(g, key, "a string", e);
    if (key)
        *out = key->strings[0];
    return ERR_OK;
}

bool gguf_string_is(const struct gguf_string *s, const char *text)
{
    return s->length == strlen(text) && memcmp(s->data, text, s->length) == 0;
}

enum err_code gguf_get_array(const struct gguf_key **out, const struct gguf *g, const char *name,
                             enum gguf_elements elements, struct err *e)
{
    static const char *const wanted[] = {[GGUF_STRINGS] = "strings",
                                         [GGUF_INTEGERS] = "integers",
                                         [GGUF_NUMBERS] = "numbers",
                                         [GGUF_FLAGS] = "booleans"};
    const struct gguf_key *key = gguf_find(g, name);
    *out = key;
    if (!key)
        return ERR_OK;
    enum gguf_type type = key->element_type;
    bool integers = types[type].bytes && type != GGUF_BOOL && type != GGUF_F32 && type != GGUF_F64;
    bool numbers = integers || type == GGUF_F32 || type == GGUF_F64;
    bool fits = elements == GGUF_STRINGS    ? type == GGUF_STRING
                : elements == GGUF_FLAGS    ? type == GGUF_BOOL
                : elements == GGUF_INTEGERS ? integers
                                            : numbers;
    if (key->type != GGUF_ARRAY || !fits)
        return err_set(e, ERR_FORMAT, "%s: key %s is %s %s; it must be an array of %s", g->path, name,
                       key->type == GGUF_ARRAY ? "an array of" : "a single", types[type].name,
                       wanted[elements]);
    return ERR_OK;
}

int64_t gguf_array_int(const struct gguf_key *key, uint64_t index)
{
    uint64_t bits = 0;
    bool negative;
    assert(index < key->count);
    bool integer = load_integer(&bits, &negative, key->element_type,
                                key->value + index * types[key->element_type].bytes);
    assert(integer);
    (void)integer;
    return (int64_t)bits;
}

bool gguf_array_flag(const struct gguf_key *key, uint64_t index)
{
    assert(index < key->count && key->element_type == GGUF_BOOL);
    return key->value[index] != 0;
}

double gguf_array_real(const struct gguf_key *key, uint64_t index)
{
    uint64_t bits;
    bool negative;
    assert(index < key->count);
    const unsigned char *value = key->value + index * types[key->element_type].bytes;
    if (load_integer(&bits, &negative, key->element_type, value))
        return negative ? (double)(int64_t)bits : (double)bits;
    if (key->element_type == GGUF_F32) {
        float x;
        memcpy(&x, value, sizeof x);
        return x;
    }
    double x;
    assert(key->element_type == GGUF_F64);
    memcpy(&x, value, sizeof x);
    return x;
}
