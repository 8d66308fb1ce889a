/*
 * Converts tokens to nodes: parser.c parses statements, parse_expr.c expressions. The grammar is that of jinja2's
 * parser, including its precedences: ~ binds tighter than +, ** is left-associative, and -x|f is (-x)|f.
 */
#ifndef MPILORA_DATA_TEMPLATE_PARSER_H
#define MPILORA_DATA_TEMPLATE_PARSER_H

#include "ast.h"

/* A growing list of nodes. */
struct jinja_node_list {
    struct jinja_nodes nodes;
    size_t capacity;
};
struct jinja_parser {
    struct jinja_template *t;
    const struct jinja_token *tokens;
    size_t at;
    struct err *e;
    int depth;
    size_t begin; /* of the innermost block, for messages */
    size_t name_capacity;
    int loops; /* number of `for` loops around this place, up to the nearest macro: break and continue need one */
    bool soft; /* inside an if: unknown filters and tests are errors only when they are evaluated */
    const struct jinja_node *unknown; /* the first such filter or test since the last statement */
    bool stores_loop;                 /* something assigned to `loop` */
    bool mentions_caller, mentions_varargs, mentions_kwargs; /* in the macro's body */
    struct jinja_node_list blocks;                           /* {% block %}: each name may be used once */
};

/* Parses the whole template. */
enum err_code jinja_parse(struct jinja_parser *p, struct jinja_nodes *body);

enum err_code jinja_parse_add(struct jinja_parser *p, struct jinja_node_list *list, struct jinja_node *n);

static inline const struct jinja_token *jinja_parse_token(const struct jinja_parser *p)
{
    return &p->tokens[p->at];
}

bool jinja_parse_is_name(const struct jinja_token *t, const char *name);
bool jinja_parse_skip(struct jinja_parser *p, enum jinja_token_kind kind);
bool jinja_parse_skip_name(struct jinja_parser *p, const char *name);
enum err_code jinja_parse_expect(struct jinja_parser *p, enum jinja_token_kind kind);
enum err_code jinja_parse_expect_name(struct jinja_parser *p, const char **name, size_t *length); /* a copy */
enum err_code jinja_parse_fail(struct jinja_parser *p, size_t offset, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
enum err_code jinja_parse_unexpected(struct jinja_parser *p, const char *expected);

/* NULL with an error. */
struct jinja_node *jinja_parse_node(struct jinja_parser *p, enum jinja_node_kind kind, size_t offset);
const char *jinja_parse_copy(struct jinja_parser *p, const char *bytes, size_t length);
enum err_code jinja_parse_name_id(struct jinja_parser *p, const char *bytes, size_t length, uint32_t *id);

/* An expression; with `condition` also x if y else z. */
enum err_code jinja_parse_expression(struct jinja_parser *p, bool condition, struct jinja_node **out);
/* An expression, or a tuple without parentheses; `end`: a name that ends it ("in"). */
enum err_code jinja_parse_tuple(struct jinja_parser *p, bool condition, const char *end,
                                struct jinja_node **out);
enum err_code jinja_parse_target(struct jinja_parser *p, const char *end, bool namespaces,
                                 struct jinja_node **out);

/* In this order: a name, a constant, or an expression in brackets; what may follow it (.name, [index], calls);
 * filters and tests. */
enum err_code jinja_parse_primary(struct jinja_parser *p, struct jinja_node **out);
enum err_code jinja_parse_postfix(struct jinja_parser *p, struct jinja_node **n);
enum err_code jinja_parse_applied(struct jinja_parser *p, struct jinja_node **n);

/* Filters |filter(...)|... applied to `operand` (NULL: the body of a block); `at_name`: without the first |. */
enum err_code jinja_parse_filters(struct jinja_parser *p, bool at_name, struct jinja_node *operand,
                                  struct jinja_node **out);

#endif
