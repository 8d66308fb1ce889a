/*
 * Jinja templates: parsed once, rendered many times, byte for byte as Python's jinja2 renders them in its immutable
 * sandbox with trim_blocks and lstrip_blocks. It knows nothing about conversations or tokens (chat_template.h
 * does). It needs only base/, the JSON reader and utf8proc: see src/data/template/README.md.
 *
 *     struct jinja_template *t;                  the parsed source; constant, shared by threads
 *     struct jinja *j;                           the renderer: memory and output of one thread
 *     jinja_template_open(&t, source, length, "chat_template.jinja", &e);
 *     jinja_open(&j, &e);
 *     for each example {
 *         jinja_begin(j, t, &e);                 discards the values and the output of the last rendering
 *         jinja_from_json(j, &value, json, origin);
 *         jinja_set(j, "messages", value);
 *         jinja_render(j);                       -> jinja_output(j)
 *     }
 *
 * Marks. The caller may give each input value an *origin*, a number other than 0. A string keeps its origin through
 * slices, concatenation, strip, replace, split, filters and macros. So for each byte of the output the origin says
 * which value it came from, or that the template itself printed it (origin 0). Each byte also has a *scope*: the
 * origin of the current item of the innermost `for` loop when the byte was printed (in a loop over numbers: the
 * origin of the first dict with an origin to which the body sets a variable). And each byte says whether it is
 * inside a {% generation %} block.
 *
 * Errors name the template, the line and the column. ERR_FORMAT: the source cannot be parsed. ERR_UNSUPPORTED: it
 * uses a feature of jinja2 that is not supported (include, import, extends). ERR_DATA: rendering fails, because the
 * template raises an exception, Python would raise one, or a limit is exceeded (base/limits.def: TEMPLATE_...).
 */
#ifndef MPILORA_DATA_TEMPLATE_JINJA_H
#define MPILORA_DATA_TEMPLATE_JINJA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/err.h"
#include "io/json.h"

struct jinja;
struct jinja_template;

/* Values, as in Python, but integers have 64 bits: an overflow is an error. */
enum jinja_kind {
    JINJA_MISSING, /* no value: an argument that was not given */
    JINJA_UNDEFINED,
    JINJA_NONE,
    JINJA_BOOL,
    JINJA_INT,
    JINJA_FLOAT,
    JINJA_STRING,
    JINJA_LIST,
    JINJA_TUPLE,
    JINJA_DICT,
    JINJA_NAMESPACE,
    JINJA_VIEW, /* keys(), values(), items() of a dict */
    JINJA_RANGE,
    JINJA_ITERATOR, /* result of map, select, items, reverse, ...: can be iterated once */
    JINJA_LOOP,
    JINJA_MACRO,
    JINJA_FUNCTION,
    JINJA_METHOD, /* a bound method: 'abc'.upper */
};

struct jinja_text;
struct jinja_list;
struct jinja_dict;

struct jinja_value {
    uint8_t kind;    /* enum jinja_kind */
    bool safe;       /* a string of type Markup, from the filters safe and escape */
    uint32_t origin; /* 0: made by the template */
    union {
        bool boolean;
        int64_t integer;
        double real;
        const char *hint; /* UNDEFINED: the message for when the value is used */
        const struct jinja_text *text;
        struct jinja_list *list; /* LIST, TUPLE */
        struct jinja_dict *dict; /* DICT, NAMESPACE */
        const struct jinja_view *view;
        const struct jinja_range *range;
        struct jinja_iterator *iterator;
        struct jinja_loop *loop;
        const struct jinja_macro *macro;
        const struct jinja_function *function;
        const struct jinja_method *method;
    };
};

/* Describes the bytes from the end of the previous mark up to `end`. */
struct jinja_mark {
    size_t end;
    uint32_t origin, scope;
    bool generation;
};

struct jinja_output {
    const char *bytes; /* zero-terminated UTF-8; valid until the next jinja_begin() */
    size_t length;
    const struct jinja_mark *marks; /* neighbours differ; the end of the last one is `length` */
    size_t mark_count;
};

/* Parses a template. `name` is used in messages; name and source are copied. */
enum err_code jinja_template_open(struct jinja_template **t, const char *source, size_t length,
                                  const char *name, struct err *e);
void jinja_template_close(struct jinja_template *t); /* NULL is fine */

/* Does the source have {% generation %} blocks? */
bool jinja_template_has_generation(const struct jinja_template *t);

/* Whether it mentions a variable of this name. */
bool jinja_template_mentions(const struct jinja_template *t, const char *name);

enum err_code jinja_open(struct jinja **j, struct err *e);
void jinja_close(struct jinja *j); /* NULL is fine */

/* Sets the time for `strftime_now`; default: 1 January 1970. */
void jinja_set_time(struct jinja *j, const struct tm *now);

/* Starts a rendering of `t`; values made before are no longer valid. All later calls on `j` put their errors into
 * `e`. */
void jinja_begin(struct jinja *j, const struct jinja_template *t, struct err *e);

/* Make values. Bytes and JSON are not copied and must stay valid until the next jinja_begin(). `origin` also
 * applies to everything inside the value. */
enum err_code jinja_from_json(struct jinja *j, struct jinja_value *out, const struct json_value *json,
                              uint32_t origin);
enum err_code jinja_from_text(struct jinja *j, struct jinja_value *out, const char *bytes, size_t length,
                              uint32_t origin);
enum err_code jinja_new_list(struct jinja *j, struct jinja_value *out, size_t capacity);
enum err_code jinja_new_dict(struct jinja *j, struct jinja_value *out, size_t capacity);
enum err_code jinja_list_add(struct jinja *j, struct jinja_list *list, struct jinja_value item);
/* A key that already exists keeps its place and gets the new value. */
enum err_code jinja_dict_put(struct jinja *j, struct jinja_dict *dict, const char *key,
                             struct jinja_value value);
struct jinja_value jinja_bool(bool x);
struct jinja_value jinja_int(int64_t x);
struct jinja_value jinja_none(void);

/* Sets a variable of the template; has no effect if the template does not mention it. */
void jinja_set(struct jinja *j, const char *name, struct jinja_value value);

enum err_code jinja_render(struct jinja *j);
struct jinja_output jinja_output(const struct jinja *j);

#endif
