/*
 * The tables of filters, tests, methods and global functions: a row is a name, its parameters, and a function.
 *
 * Parameters are names separated by spaces; the first `required` of them must be given. The first parameter of a
 * filter, a test or a method is the value to which it is applied. If the list starts with "/", arguments can only
 * be given by position, as in most of Python's own methods. NULL: any arguments; the function reads them itself.
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
    struct jinja_value *items; /* the first one of a filter, a test or a method is the value to which it is
                                * applied */
    size_t count;
    struct jinja_named *named;
    size_t named_count;
};

/* a[i]: the i-th parameter, JINJA_MISSING if it was not given; `args`: the arguments as given in the call. */
#define JINJA_ARGS                                                                                           \
    struct jinja *j, const struct jinja_value *a, const struct jinja_args *args, struct jinja_value *out

struct jinja_function {
    const char *name;
    const char *params;
    int required;
    enum err_code (*call)(JINJA_ARGS);
};

/* The methods with one name, for each type that has such a method. */
struct jinja_methods {
    const struct jinja_function *text, *dict, *list, *tuple;
};

/* The function of all methods that would change a list or a dict: the sandbox refuses the call. */
enum err_code jinja_refuse(JINJA_ARGS);

const struct jinja_function *jinja_find_filter(const char *name, size_t length);
const struct jinja_function *jinja_find_test(const char *name, size_t length);
const struct jinja_function *jinja_find_global(const char *name);
struct jinja_methods jinja_find_methods(const char *name, size_t length);

/* The table of each file; its last row has no name. */
extern const struct jinja_function jinja_text_filters[], jinja_list_filters[], jinja_select_filters[],
    jinja_value_filters[], jinja_tests[], jinja_globals[], jinja_text_methods[], jinja_text_methods_more[],
    jinja_dict_methods[], jinja_list_methods[], jinja_tuple_methods[];

/* Binds arguments to parameters and calls. `kind` is "filter", "test", ... in messages. */
enum err_code jinja_call_function(struct jinja *j, const struct jinja_function *f, const char *kind,
                                  const struct jinja_args *args, struct jinja_value *out);

#endif
