/*
 * The insides of values, and what Python's operators ask of them.
 *
 * A string is a range of bytes that nobody changes, with the origin of all of them in the value itself, or, when a
 * string is put together from several origins, with marks:
 *
 *     '<|user|>' + content         origin 0 | origin 5        text -> bytes "<|user|>Hello"
 *                                                                      marks {8, 0} {13, 5}
 * A slice borrows the bytes. Lists and dicts are changed by those who make them only, before anybody else sees them;
 * a namespace is a dict that the template may change.
 */
#ifndef MPILORA_DATA_TEMPLATE_VALUE_H
#define MPILORA_DATA_TEMPLATE_VALUE_H

#include "data/template/jinja.h"

struct jinja_text {
    const char *bytes;
    size_t length;
    const struct jinja_mark *marks; /* NULL: the value's origin is that of all bytes */
    size_t mark_count;
};

struct jinja_list {
    struct jinja_value *items;
    size_t count, capacity;
    bool is_group; /* the tuple that groupby gives: has .grouper and .list */
};

struct jinja_pair {
    struct jinja_value key, value;
};

struct jinja_dict {
    struct jinja_pair *pairs; /* in the order of their making */
    size_t count, capacity;
};

enum jinja_view_of { JINJA_KEYS, JINJA_VALUES, JINJA_ITEMS };

struct jinja_view {
    const struct jinja_dict *dict;
    enum jinja_view_of of;
};

struct jinja_range {
    int64_t start, stop, step, count;
};

/* Goes through a value. One that `next` makes up (a filter's) keeps what it needs in `state`. */
struct jinja_iterator {
    enum err_code (*next)(struct jinja *j, struct jinja_iterator *it, struct jinja_value *out, bool *more);
    struct jinja_value source;
    size_t at;
    void *state;
};

struct jinja_method {
    struct jinja_value self;
    const struct jinja_function *function;
};

static inline struct jinja_value jinja_make(enum jinja_kind kind, uint32_t origin)
{
    return (struct jinja_value){.kind = (uint8_t)kind, .origin = origin};
}

static inline bool jinja_is(struct jinja_value v, enum jinja_kind kind)
{
    return v.kind == kind;
}

/* Of a parameter that may be None or left out. */
static inline bool jinja_is_given(struct jinja_value v)
{
    return !jinja_is(v, JINJA_MISSING) && !jinja_is(v, JINJA_NONE);
}

/* An undefined value; the hint says what is, when somebody uses it: "'x' is undefined". */
enum err_code jinja_undefined(struct jinja *j, struct jinja_value *out, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* An integer, or a bool as 0 or 1; false if it is none. */
bool jinja_as_int(struct jinja_value v, int64_t *out);
bool jinja_as_real(struct jinja_value v, double *out);

const char *jinja_type_name(struct jinja_value v); /* "str", "int", ... */
bool jinja_truth(struct jinja_value v);

/* == of any two; -1, 0, 1 of two that have an order, 2 if one is not a number (NaN), else an error that names `op`. */
enum err_code jinja_equal(struct jinja *j, struct jinja_value a, struct jinja_value b, bool *out);
enum err_code jinja_order(struct jinja *j, struct jinja_value a, struct jinja_value b, const char *op,
                          int *out);
enum err_code jinja_contains(struct jinja *j, struct jinja_value container, struct jinja_value item,
                             bool *out);

/* len(): an error for what has none. */
enum err_code jinja_length(struct jinja *j, struct jinja_value v, size_t *out);

/* iter(): an error for what is not iterable; next(). */
bool jinja_is_iterable(struct jinja_value v);
enum err_code jinja_iterate(struct jinja *j, struct jinja_value v, struct jinja_iterator *it);
static inline enum err_code jinja_next(struct jinja *j, struct jinja_iterator *it, struct jinja_value *out,
                                       bool *more)
{
    return it->next(j, it, out, more);
}
/* All items, in a new list; and a value for an iterator of one's own. */
enum err_code jinja_to_list(struct jinja *j, struct jinja_value v, struct jinja_value *out);
enum err_code jinja_new_iterator(struct jinja *j, struct jinja_value *out, const struct jinja_iterator *it);
/* An iterator whose `next` asks one over `v`, its source. */
enum err_code jinja_iterate_over(struct jinja *j, struct jinja_value v,
                                 enum err_code (*next)(struct jinja *j, struct jinja_iterator *it,
                                                       struct jinja_value *out, bool *more),
                                 void *state, struct jinja_value *out);
enum err_code jinja_new_tuple(struct jinja *j, struct jinja_value *out, size_t count);

/* NULL if there is no such key; what cannot be a key (a list) is an error. */
enum err_code jinja_dict_find(struct jinja *j, const struct jinja_dict *d, struct jinja_value key,
                              struct jinja_pair **out);
struct jinja_pair *jinja_dict_find_text(const struct jinja_dict *d, const char *key, size_t length);
enum err_code jinja_dict_put_value(struct jinja *j, struct jinja_dict *d, struct jinja_value key,
                                   struct jinja_value value);

/* A slice of `count` items: the first and the end as numbers of items, and how many there are. */
void jinja_slice_range(int64_t bounds[2], int64_t *items, int64_t count, const int64_t *start,
                       const int64_t *stop, int64_t step);

#endif
