/*
 * Strings with marks: slices of them, and the builder that joins them. The output of a template is a builder, too.
 */
#ifndef MPILORA_DATA_TEMPLATE_TEXT_H
#define MPILORA_DATA_TEMPLATE_TEXT_H

#include <string.h>

#include "builtin.h"
#include "value.h"

struct jinja_builder {
    char *bytes;
    size_t length, capacity;
    struct jinja_mark *marks;
    size_t mark_count, mark_capacity;
    bool is_output; /* output of the template or of a part of it: new marks get the current scope */
};

enum err_code jinja_build(struct jinja *j, struct jinja_builder *b, const char *bytes, size_t length,
                          uint32_t origin);
enum err_code jinja_build_char(struct jinja *j, struct jinja_builder *b, uint32_t c, uint32_t origin);
enum err_code jinja_build_format(struct jinja *j, struct jinja_builder *b, uint32_t origin,
                                 const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Append a string value, or its bytes from..to-1, with its marks. */
enum err_code jinja_build_text(struct jinja *j, struct jinja_builder *b, struct jinja_value text);
enum err_code jinja_build_slice(struct jinja *j, struct jinja_builder *b, struct jinja_value text,
                                size_t from, size_t to);

/* Returns the string that was built, a plain one; and as Markup if `markup`. */
enum err_code jinja_build_end(struct jinja *j, struct jinja_builder *b, struct jinja_value *out);
enum err_code jinja_build_end_as(struct jinja *j, struct jinja_builder *b, bool markup, struct jinja_value *out);

/* Returns the bytes from..to-1 of a string. */
enum err_code jinja_cut(struct jinja *j, struct jinja_value text, size_t from, size_t to,
                        struct jinja_value *out);

/* The origin of byte `at`. */
uint32_t jinja_origin_at(struct jinja_value text, size_t at);

/* The first, or last, place of `part` in from..to; SIZE_MAX if there is none. */
size_t jinja_find(const struct jinja_text *text, size_t from, size_t to, const struct jinja_text *part);
size_t jinja_find_last(const struct jinja_text *text, size_t from, size_t to, const struct jinja_text *part);

static inline bool jinja_same_bytes(const struct jinja_text *a, const struct jinja_text *b)
{
    return a->length == b->length && !memcmp(a->bytes, b->bytes, a->length);
}

/* A zero-terminated copy. */
const char *jinja_c_string(struct jinja *j, struct jinja_value text);

/* Appends a string as a part of Markup, which escapes & < > " and apostrophes of what is no Markup itself; or, with
 * `markup` false, as it is. And what Markup makes of any value before it uses it: Markup of its str(), escaped. */
enum err_code jinja_build_part(struct jinja *j, struct jinja_builder *b, struct jinja_value text, bool markup);
enum err_code jinja_escape(struct jinja *j, struct jinja_value v, struct jinja_value *out);

/* str(), repr(), and JSON as transformers' tojson writes it. */
enum err_code jinja_build_str(struct jinja *j, struct jinja_builder *b, struct jinja_value v);
enum err_code jinja_build_repr(struct jinja *j, struct jinja_builder *b, struct jinja_value v);
enum err_code jinja_to_text(struct jinja *j, struct jinja_value v, struct jinja_value *out);
size_t jinja_real_text(char out[40], double x); /* as repr(x) */

struct jinja_json_style {
    bool ascii, sort;
    bool indented;
    struct jinja_value indent, item_separator, key_separator; /* strings */
};
enum err_code jinja_build_json(struct jinja *j, struct jinja_builder *b, struct jinja_value v,
                               const struct jinja_json_style *style, int level);

/* Shared by filters and methods. A mark stays with its character when the character changes. */
enum jinja_recase {
    JINJA_RE_UPPER,
    JINJA_RE_LOWER,
    JINJA_RE_CAPITALIZE,
    JINJA_RE_TITLE,
    JINJA_RE_WORDS,
    JINJA_RE_SWAP,
    JINJA_RE_FOLD
}; /* TITLE is str.title, WORDS the filter title */
enum err_code jinja_recase(struct jinja *j, struct jinja_value v, enum jinja_recase how,
                           struct jinja_value *out);
/* Removes characters at the ends; `chars` NULL: whitespace. */
enum err_code jinja_strip(struct jinja *j, struct jinja_value v, const struct jinja_text *chars, bool left,
                          bool right, struct jinja_value *out);
/* Replaces at most `count` times; `count` below 0: everywhere. `new` is used as it is, in Markup too. */
enum err_code jinja_replace(struct jinja *j, struct jinja_value v, struct jinja_value old,
                            struct jinja_value new, int64_t count, struct jinja_value *out);
/* Pads to `width` characters; if both sides cannot get the same number, as Python's str.center. */
enum err_code jinja_pad(struct jinja *j, struct jinja_value v, int64_t width, struct jinja_value fill,
                        bool left, bool right, struct jinja_value *out);
/* The value at a path of attributes, "a.b.0", or at a key that is not a string; with the path None, the value
 * itself. If a step of the path is undefined, its value is `otherwise`, unless that is None. */
enum err_code jinja_get_path(struct jinja *j, struct jinja_value v, struct jinja_value path,
                             struct jinja_value otherwise, struct jinja_value *out);
/* isupper() or islower(). */
enum err_code jinja_is_case(struct jinja *j, struct jinja_value v, bool upper, struct jinja_value *out);
enum err_code jinja_lines(struct jinja *j, struct jinja_value v, bool keep_ends, struct jinja_value *out);

/* '%s' % values, and '{}'.format(...). */
enum err_code jinja_format_percent(struct jinja *j, struct jinja_value format, struct jinja_value values,
                                   struct jinja_value *out);
enum err_code jinja_format_braces(struct jinja *j, struct jinja_value format, const struct jinja_args *args,
                                  struct jinja_value *out);

#endif
