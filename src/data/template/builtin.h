/*
 * The tables of filters, tests, methods and global functions: a row is a name, its parameters, and a function.
 *
 * Parameters are names with spaces between, the first `required` of which must be given. The first one of a filter, a
 * test or a method is the value that it is applied to. "/" in front: they can be given by place alone, as those of most
 * of Python's own methods. NULL: any arguments, which the function reads itself.
 */
#ifndef MPILORA_DATA_TEMPLATE_BUILTIN_H
#define MPILORA_DATA_TEMPLATE_BUILTIN_H

#include "data/template/jinja.h"

enum { JINJA_MAX_PARAMS = 8 };

struct jinja_named {
    const char *name;
    struct jinja_value value;
};

struct jinja_args {
    struct jinja_value *items; /* the first one of a filter, a test, a method: what it is applied to */
    size_t count;
    struct jinja_named *named;
    size_t named_count;
};

/* a[i]: the i-th parameter, JINJA_MISSING if it was not given; `args` as they came. */
#define JINJA_ARGS                                                                                           \
    struct jinja *j, const struct jinja_value *a, const struct jinja_args *args, struct jinja_value *out

struct jinja_function {
    const char *name;
    const char *params;
    int required;
    enum err_code (*call)(JINJA_ARGS);
};

/* The methods of a name, for each type that has one. */
struct jinja_methods {
    const struct jinja_function *text, *dict, *list, *tuple;
};

/* The function of methods that change a list or a dict: the sandbox lets nobody call them. */
enum err_code jinja_refuse(JINJA_ARGS);

const struct jinja_function *jinja_find_filter(const char *name, size_t length);
const struct jinja_function *jinja_find_test(const char *name, size_t length);
const struct jinja_function *jinja_find_global(const char *name);
struct jinja_methods jinja_find_methods(const char *name, size_t length);

/* The rows of each file; the last has no name. */
extern const struct jinja_function jinja_text_filters[], jinja_list_filters[], jinja_select_filters[],
    jinja_value_filters[], jinja_tests[], jinja_globals[], jinja_text_methods[], jinja_text_methods_more[],
    jinja_dict_methods[], jinja_list_methods[], jinja_tuple_methods[];

/* Binds arguments to parameters and calls. `kind` is "filter", "test", ... in messages. */
enum err_code jinja_call_function(struct jinja *j, const struct jinja_function *f, const char *kind,
                                  const struct jinja_args *args, struct jinja_value *out);

#endif
