/*
 * The evaluator, which renders a template, and the functions that its parts share.
 */
#ifndef MPILORA_DATA_TEMPLATE_EVAL_H
#define MPILORA_DATA_TEMPLATE_EVAL_H

#include "ast.h"
#include "base/limits.h"
#include "heap.h"
#include "text.h"

/* The variables of a scope: the body of a loop, a macro, ... A name that is in no frame is global. */
struct jinja_frame {
    struct jinja_frame *outer;
    struct jinja_binding {
        uint32_t name;
        struct jinja_value value;
    } * bindings;
    uint32_t count, capacity;
};

enum jinja_flow { JINJA_FLOW_ON, JINJA_FLOW_BREAK, JINJA_FLOW_CONTINUE };

struct jinja {
    struct jinja_heap heap;
    const struct jinja_template *template;
    struct err *e;
    struct jinja_builder *out;   /* target of print statements */
    struct jinja_builder output; /* the output of the template */
    const struct jinja_node *at; /* the node that is being evaluated, for messages */
    struct jinja_value *globals; /* by the id of the name */
    struct jinja_frame *frame;   /* the innermost one; NULL at the top */
    enum jinja_flow flow;
    size_t steps;
    int depth, macros;
    uint32_t scope; /* of the bytes that are printed now */
    bool generation;
    struct tm now;
};

struct jinja_macro {
    const struct jinja_node *node;
    struct jinja_frame *frame; /* where it was defined */
};

/* The state of a loop, which templates see as the variable `loop`. */
struct jinja_loop {
    const struct jinja_node *node;
    struct jinja_frame *outer, *frame; /* the frame around the loop, and that of its body */
    struct jinja_value *items;         /* [count] */
    size_t count, next;
    bool filtered; /* the condition of `for ... if` has not been evaluated for the remaining items */
    bool has_after;
    size_t index; /* 1 in the first iteration */
    struct jinja_value before, current, after;
    int depth;
    bool has_changed;
    struct jinja_value changed;
};

/* Sets and returns ERR_DATA, with the place of j->at in the message. */
enum err_code jinja_fail(struct jinja *j, const char *format, ...) __attribute__((format(printf, 2, 3)));
enum err_code jinja_fail_undefined(struct jinja *j, struct jinja_value v);

/* Memory that is valid for this rendering; NULL with an error. */
void *jinja_take(struct jinja *j, size_t count, size_t size);

/* Counts steps, so that no template runs for ever. */
enum err_code jinja_spend(struct jinja *j, size_t steps);
static inline enum err_code jinja_enter(struct jinja *j)
{
    return ++j->depth > LIMIT_TEMPLATE_DEPTH
               ? jinja_fail(j, "more than %d values or calls inside of each other", LIMIT_TEMPLATE_DEPTH)
               : ERR_OK;
}
static inline void jinja_leave(struct jinja *j)
{
    j->depth--;
}

enum err_code jinja_eval(struct jinja *j, const struct jinja_node *n, struct jinja_value *out);
/* Applies a filter or a test to a value. */
enum err_code jinja_apply(struct jinja *j, const struct jinja_node *n, struct jinja_value operand,
                          struct jinja_value *out);
enum err_code jinja_run(struct jinja *j, const struct jinja_nodes *body);
enum err_code jinja_run_for(struct jinja *j, const struct jinja_node *n);
enum err_code jinja_assign(struct jinja *j, const struct jinja_node *target, struct jinja_value value);

/* Runs a body with a separate output, which becomes a string. */
enum err_code jinja_capture(struct jinja *j, const struct jinja_nodes *body, struct jinja_value *out);

/* Frames. */
struct jinja_frame *jinja_push_frame(struct jinja *j, struct jinja_frame *outer); /* NULL with an error */
enum err_code jinja_store(struct jinja *j, uint32_t name, struct jinja_value value);
enum err_code jinja_store_in(struct jinja *j, struct jinja_frame *f, uint32_t name, struct jinja_value value);

/* x.name and x[index]. If there is no such item, the result is undefined, not an error; but if x is undefined, it
 * is an error. */
enum err_code jinja_attribute(struct jinja *j, struct jinja_value x, const char *name, size_t length,
                              const struct jinja_methods *methods, struct jinja_value *out);
enum err_code jinja_item(struct jinja *j, struct jinja_value x, struct jinja_value index,
                         struct jinja_value *out);
enum err_code jinja_slice(struct jinja *j, struct jinja_value x, const struct jinja_value bounds[3],
                          struct jinja_value *out);
enum err_code jinja_loop_attribute(struct jinja *j, struct jinja_loop *loop, const char *name, size_t length,
                                   struct jinja_value *out);
enum err_code jinja_loop_call(struct jinja *j, struct jinja_loop *loop, struct jinja_value iterable,
                              struct jinja_value *out);

enum err_code jinja_binary(struct jinja *j, enum jinja_binary op, struct jinja_value a, struct jinja_value b,
                           struct jinja_value *out);
/* int() and float() of a string; false: it is not a number. */
bool jinja_parse_int(const struct jinja_text *text, int base, int64_t *out);
bool jinja_parse_real(const struct jinja_text *text, double *out);

/* Calls a macro, function or method. */
enum err_code jinja_call_value(struct jinja *j, struct jinja_value f, const struct jinja_args *args,
                               struct jinja_value *out);

/* The value of a built-in's parameter, which must have this type; `otherwise` if it was not given. */
enum err_code jinja_want_int(struct jinja *j, struct jinja_value v, const char *what, int64_t otherwise,
                             int64_t *out);
enum err_code jinja_want_text(struct jinja *j, struct jinja_value v, const char *what);

#endif
