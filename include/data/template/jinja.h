/*
 * Jinja templates: parsed once, rendered many times, byte for byte as Python's jinja2 renders them in its immutable
 * sandbox with trim_blocks and lstrip_blocks. It knows nothing of conversations or tokens (chat_template.h does), and
 * beside base and the reader of JSON it needs nothing: see src/data/template/README.md.
 *
 *     struct jinja_template *t;                  what a source says; constant, shared by threads
 *     struct jinja *j;                           what renders: memory and output of one thread
 *     jinja_template_open(&t, source, length, "chat_template.jinja", &e);
 *     jinja_open(&j, &e);
 *     for each example {
 *         jinja_begin(j, t, &e);                 forgets the values and the output of the last one
 *         jinja_from_json(j, &value, json, origin);
 *         jinja_set(j, "messages", value);
 *         jinja_render(j);                       -> jinja_output(j)
 *     }
 *
 * Marks. Each value that goes in may carry an *origin*, a number other than 0 that the caller chooses. A string keeps
 * it through slices, concatenation, strip, replace, split, filters and macros, so that of each byte of the output it
 * is known whether a value printed it, and which, or the template itself (origin 0). Beside it each byte has a
 * *scope*: the origin of the item of the innermost `for` loop that printed it (of a loop over numbers: that of the
 * first dict with one that the body sets a variable to); and whether it stands inside of a {% generation %} block.
 *
 * Errors name the template, the line and the column. ERR_FORMAT: the source cannot be parsed; ERR_UNSUPPORTED: it asks
 * for something of jinja2 that does not exist here (include, import, extends); ERR_DATA: rendering fails, for what the
 * template raises, for what Python would raise, or for a limit (base/limits.def: TEMPLATE_...).
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

/* Values, as Python has them. Integers are of 64 bits: an overflow is an error. */
enum jinja_kind {
    JINJA_MISSING, /* no value at all: an argument that was not given */
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
    JINJA_ITERATOR, /* what map, select, items, reverse, ... give: can be gone through once */
    JINJA_LOOP,
    JINJA_MACRO,
    JINJA_FUNCTION,
    JINJA_METHOD, /* bound: 'abc'.upper */
};

struct jinja_text;
struct jinja_list;
struct jinja_dict;

struct jinja_value {
    uint8_t kind;    /* enum jinja_kind */
    bool safe;       /* a string of the type Markup: the filters safe and escape */
    uint32_t origin; /* 0: made by the template */
    union {
        bool boolean;
        int64_t integer;
        double real;
        const char *hint; /* undefined: what is, for the message when it is used */
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

/* Bytes up to `end`, after those of the mark before. */
struct jinja_mark {
    size_t end;
    uint32_t origin, scope;
    bool generation;
};

struct jinja_output {
    const char *bytes; /* zero-terminated, UTF-8; until the next jinja_begin() */
    size_t length;
    const struct jinja_mark *marks; /* adjacent ones differ; the last one's end is `length` */
    size_t mark_count;
};

/* Parses a template. `name` stands in messages and is copied, as the source is. */
enum err_code jinja_template_open(struct jinja_template **t, const char *source, size_t length,
                                  const char *name, struct err *e);
void jinja_template_close(struct jinja_template *t); /* NULL is fine */

/* Whether the source has {% generation %} blocks. */
bool jinja_template_has_generation(const struct jinja_template *t);

enum err_code jinja_open(struct jinja **j, struct err *e);
void jinja_close(struct jinja *j); /* NULL is fine */

/* What `strftime_now` sees; default: 1 January 1970. */
void jinja_set_time(struct jinja *j, const struct tm *now);

/* Begins a rendering of `t`: values made before are gone. `e` is where all that follows puts its errors. */
void jinja_begin(struct jinja *j, const struct jinja_template *t, struct err *e);

/* Values; bytes and JSON are borrowed until the next jinja_begin(). `origin` marks all that is inside, too. */
enum err_code jinja_from_json(struct jinja *j, struct jinja_value *out, const struct json_value *json,
                              uint32_t origin);
enum err_code jinja_from_text(struct jinja *j, struct jinja_value *out, const char *bytes, size_t length,
                              uint32_t origin);
enum err_code jinja_new_list(struct jinja *j, struct jinja_value *out, size_t capacity);
enum err_code jinja_new_dict(struct jinja *j, struct jinja_value *out, size_t capacity);
enum err_code jinja_list_add(struct jinja *j, struct jinja_list *list, struct jinja_value item);
/* A key that is there already keeps its place and gets the new value. */
enum err_code jinja_dict_put(struct jinja *j, struct jinja_dict *dict, const char *key,
                             struct jinja_value value);
struct jinja_value jinja_bool(bool x);
struct jinja_value jinja_int(int64_t x);
struct jinja_value jinja_none(void);

/* A variable of the template; one that it does not mention is left out. */
void jinja_set(struct jinja *j, const char *name, struct jinja_value value);

enum err_code jinja_render(struct jinja *j);
struct jinja_output jinja_output(const struct jinja *j);

#endif
