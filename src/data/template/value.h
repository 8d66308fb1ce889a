/*
 * The internals of values, and Python's operations on them.
 *
 * A string is an immutable range of bytes. The origin of its bytes is in the value itself; a string with bytes of
 * several origins has marks:
 *
 *     '<|user|>' + content         origin 0 | origin 5        text -> bytes "<|user|>Hello"
 *                                                                      marks {8, 0} {13, 5}
 * A slice refers to the bytes of its string. Only the code that makes a list or a dict changes it, before it is
 * used elsewhere; a namespace is a dict that the template may change.
 */
#ifndef MPILORA_DATA_TEMPLATE_VALUE_H
#define MPILORA_DATA_TEMPLATE_VALUE_H

#include "data/template/jinja.h"

struct jinja_text {
    const char *bytes;
    size_t length;
    const struct jinja_mark *marks; /* NULL: all bytes have the value's origin */
    size_t mark_count;
};

struct jinja_list {
    struct jinja_value *items;
    size_t count, capacity;
    bool is_group; /* a tuple made by groupby: it has .grouper and .list */
};

struct jinja_pair {
    struct jinja_value key, value;
};

struct jinja_dict {
    struct jinja_pair *pairs; /* in the order of insertion */
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

/* Iterates over a value. A filter's iterator, whose `next` computes the items, has its own data in `state`. */
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

/* For a parameter that may be None or omitted. */
static inline bool jinja_is_given(struct jinja_value v)
{
    return !jinja_is(v, JINJA_MISSING) && !jinja_is(v, JINJA_NONE);
}

/* Makes an undefined value; the text is the message for when it is used: "'x' is undefined". */
enum err_code jinja_undefined(struct jinja *j, struct jinja_value *out, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The value of an integer, or of a bool as 0 or 1 (or, as a double, also of a float); false if it is none. */
bool jinja_as_int(struct jinja_value v, int64_t *out);
bool jinja_as_real(struct jinja_value v, double *out);

const char *jinja_type_name(struct jinja_value v); /* "str", "int", ... */
bool jinja_truth(struct jinja_value v);

/* The comparisons. == works on any two values. The order is -1, 0 or 1, or 2 if one value is NaN; an error that
 * names `op` if the values have no order. And the operator `in`. */
enum err_code jinja_equal(struct jinja *j, struct jinja_value a, struct jinja_value b, bool *out);
enum err_code jinja_order(struct jinja *j, struct jinja_value a, struct jinja_value b, const char *op,
                          int *out);
enum err_code jinja_contains(struct jinja *j, struct jinja_value container, struct jinja_value item,
                             bool *out);

/* len(); an error if the value has no length. */
enum err_code jinja_length(struct jinja *j, struct jinja_value v, size_t *out);

/* iter(), an error if the value is not iterable; and next(). */
bool jinja_is_iterable(struct jinja_value v);
enum err_code jinja_iterate(struct jinja *j, struct jinja_value v, struct jinja_iterator *it);
static inline enum err_code jinja_next(struct jinja *j, struct jinja_iterator *it, struct jinja_value *out,
                                       bool *more)
{
    return it->next(j, it, out, more);
}
/* A new list with all items of a value; and the value for an iterator of the caller. */
enum err_code jinja_to_list(struct jinja *j, struct jinja_value v, struct jinja_value *out);
enum err_code jinja_new_iterator(struct jinja *j, struct jinja_value *out, const struct jinja_iterator *it);
/* Makes an iterator with the given `next`, whose `source` is an iterator over `v`. */
enum err_code jinja_iterate_over(struct jinja *j, struct jinja_value v,
                                 enum err_code (*next)(struct jinja *j, struct jinja_iterator *it,
                                                       struct jinja_value *out, bool *more),
                                 void *state, struct jinja_value *out);
enum err_code jinja_new_tuple(struct jinja *j, struct jinja_value *out, size_t count);

/* *out is NULL if there is no such key; an error if the value cannot be a key (a list). */
enum err_code jinja_dict_find(struct jinja *j, const struct jinja_dict *d, struct jinja_value key,
                              struct jinja_pair **out);
struct jinja_pair *jinja_dict_find_text(const struct jinja_dict *d, const char *key, size_t length);
enum err_code jinja_dict_put_value(struct jinja *j, struct jinja_dict *d, struct jinja_value key,
                                   struct jinja_value value);

/* Python's slice of a sequence of `count` items: bounds[0] and [1] are the start and the end, *items the number of
 * items in the slice. */
void jinja_slice_range(int64_t bounds[2], int64_t *items, int64_t count, const int64_t *start,
                       const int64_t *stop, int64_t step);

#endif
