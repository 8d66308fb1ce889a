/* What operators stand between: names, constants, lists, calls, attributes, filters and tests. */
#include <string.h>

#include "parser.h"
#include "value.h"

static enum err_code parse_argument(struct jinja_parser *p, struct jinja_call *call,
                                    struct jinja_node_list *items, struct jinja_node_list *values)
{
    const struct jinja_token *t = jinja_parse_token(p);
    size_t offset = t->offset;
    if (jinja_parse_skip(p, JINJA_T_MUL)) {
        if (call->star || call->star_star)
            return jinja_parse_fail(p, offset, "invalid syntax for function call expression");
        return jinja_parse_expression(p, true, &call->star);
    }
    if (jinja_parse_skip(p, JINJA_T_POW)) {
        if (call->star_star)
            return jinja_parse_fail(p, offset, "invalid syntax for function call expression");
        return jinja_parse_expression(p, true, &call->star_star);
    }
    struct jinja_node *value = NULL;
    if (t->kind != JINJA_T_NAME || t[1].kind != JINJA_T_ASSIGN) {
        if (call->star || call->star_star || values->nodes.count)
            return jinja_parse_fail(p, offset, "an argument by place follows one by name");
        return jinja_parse_expression(p, true, &value) ? p->e->code : jinja_parse_add(p, items, value);
    }
    if (call->star_star)
        return jinja_parse_fail(p, offset, "invalid syntax for function call expression");
    size_t count = values->nodes.count;
    const char *name = jinja_parse_copy(p, t->bytes, t->length);
    const char **names = arena_alloc(&p->t->arena, count + 1, sizeof *names, "template", p->e);
    if (!name || !names)
        return p->e->code;
    for (size_t i = 0; i < count; i++) {
        names[i] = call->names[i];
        if (!strcmp(names[i], name))
            return jinja_parse_fail(p, offset, "the argument '%s' is given twice", name);
    }
    names[count] = name;
    call->names = names;
    p->at += 2;
    return jinja_parse_expression(p, true, &value) ? p->e->code : jinja_parse_add(p, values, value);
}

/* The arguments in parentheses; the token is the opening one. */
static enum err_code parse_arguments(struct jinja_parser *p, struct jinja_call **out)
{
    struct jinja_call *call = arena_alloc(&p->t->arena, 1, sizeof *call, "template", p->e);
    struct jinja_node_list items = {0}, values = {0};
    if (!call || jinja_parse_expect(p, JINJA_T_LPAREN))
        return p->e->code;
    for (bool first = true; jinja_parse_token(p)->kind != JINJA_T_RPAREN; first = false) {
        if (!first && jinja_parse_expect(p, JINJA_T_COMMA))
            return p->e->code;
        if (jinja_parse_token(p)->kind == JINJA_T_RPAREN)
            break;
        if (parse_argument(p, call, &items, &values))
            return p->e->code;
    }
    p->at++;
    call->positional = items.nodes;
    call->values = values.nodes;
    *out = call;
    return ERR_OK;
}

/* Items up to the closing token; of a dict, pairs. */
static enum err_code parse_items(struct jinja_parser *p, enum jinja_token_kind end, bool pairs,
                                 struct jinja_nodes *out)
{
    struct jinja_node_list list = {0};
    struct jinja_node *n = NULL;
    p->at++;
    for (bool first = true; jinja_parse_token(p)->kind != end; first = false) {
        if (!first && jinja_parse_expect(p, JINJA_T_COMMA))
            return p->e->code;
        if (jinja_parse_token(p)->kind == end)
            break;
        if (jinja_parse_expression(p, true, &n) || jinja_parse_add(p, &list, n))
            return p->e->code;
        if (pairs && (jinja_parse_expect(p, JINJA_T_COLON) || jinja_parse_expression(p, true, &n) ||
                      jinja_parse_add(p, &list, n)))
            return p->e->code;
    }
    p->at++;
    *out = list.nodes;
    return ERR_OK;
}

static enum err_code parse_text_const(struct jinja_parser *p, struct jinja_node *n)
{
    size_t length = 0, used = 0, first = p->at;
    for (; jinja_parse_token(p)->kind == JINJA_T_STRING; p->at++)
        length += jinja_parse_token(p)->length;
    char *bytes = arena_alloc(&p->t->arena, length + 1, 1, "template", p->e);
    struct jinja_text *text = arena_alloc(&p->t->arena, 1, sizeof *text, "template", p->e);
    if (!bytes || !text)
        return p->e->code;
    for (; first < p->at; first++) {
        memcpy(bytes + used, p->tokens[first].bytes, p->tokens[first].length);
        used += p->tokens[first].length;
    }
    *text = (struct jinja_text){.bytes = bytes, .length = length};
    n->value = jinja_make(JINJA_STRING, 0);
    n->value.text = text;
    return ERR_OK;
}

/* A name: a constant, or a variable. */
static enum err_code parse_name(struct jinja_parser *p, struct jinja_node *n)
{
    const struct jinja_token *t = jinja_parse_token(p);
    p->at++;
    n->kind = JINJA_N_CONST;
    if (jinja_parse_is_name(t, "true") || jinja_parse_is_name(t, "True"))
        n->value = jinja_bool(true);
    else if (jinja_parse_is_name(t, "false") || jinja_parse_is_name(t, "False"))
        n->value = jinja_bool(false);
    else if (jinja_parse_is_name(t, "none") || jinja_parse_is_name(t, "None"))
        n->value = jinja_none();
    else {
        n->kind = JINJA_N_NAME;
        p->mentions_caller |= jinja_parse_is_name(t, "caller");
        p->mentions_varargs |= jinja_parse_is_name(t, "varargs");
        p->mentions_kwargs |= jinja_parse_is_name(t, "kwargs");
        return jinja_parse_name_id(p, t->bytes, t->length, &n->name);
    }
    return ERR_OK;
}

static enum err_code parse_parentheses(struct jinja_parser *p, struct jinja_node **out)
{
    size_t offset = jinja_parse_token(p)->offset;
    p->at++;
    if (jinja_parse_skip(p, JINJA_T_RPAREN)) {
        *out = jinja_parse_node(p, JINJA_N_TUPLE, offset);
        return *out ? ERR_OK : p->e->code;
    }
    return jinja_parse_tuple(p, true, NULL, out) ? p->e->code : jinja_parse_expect(p, JINJA_T_RPAREN);
}

enum err_code jinja_parse_primary(struct jinja_parser *p, struct jinja_node **out)
{
    const struct jinja_token *t = jinja_parse_token(p);
    if (t->kind == JINJA_T_LPAREN)
        return parse_parentheses(p, out);
    struct jinja_node *n = *out = jinja_parse_node(p, JINJA_N_CONST, t->offset);
    if (!n)
        return p->e->code;
    switch (t->kind) {
    case JINJA_T_NAME:
        return parse_name(p, n);
    case JINJA_T_STRING:
        return parse_text_const(p, n);
    case JINJA_T_INT:
        n->value = jinja_int(t->integer);
        p->at++;
        return ERR_OK;
    case JINJA_T_FLOAT:
        n->value = jinja_make(JINJA_FLOAT, 0);
        n->value.real = t->real;
        p->at++;
        return ERR_OK;
    case JINJA_T_LBRACKET:
        n->kind = JINJA_N_LIST;
        return parse_items(p, JINJA_T_RBRACKET, false, &n->items);
    case JINJA_T_LBRACE:
        n->kind = JINJA_N_DICT;
        return parse_items(p, JINJA_T_RBRACE, true, &n->items);
    default:
        return jinja_parse_unexpected(p, "an expression");
    }
}

/* What stands in brackets: an index, a slice, or several of the former. */
static enum err_code parse_subscript(struct jinja_parser *p, struct jinja_node *object,
                                     struct jinja_node **out)
{
    size_t offset = jinja_parse_token(p)->offset;
    struct jinja_node *bounds[3] = {NULL, NULL, NULL}, *index, *n;
    p->at++;
    int colons = 0;
    for (;;) {
        enum jinja_token_kind kind = jinja_parse_token(p)->kind;
        if (kind == JINJA_T_COLON && colons < 2) {
            colons++;
            p->at++;
        } else if (kind == JINJA_T_RBRACKET || bounds[colons]) {
            break;
        } else if (jinja_parse_expression(p, true, &bounds[colons])) {
            return p->e->code;
        }
    }
    if (colons) {
        n = jinja_parse_node(p, JINJA_N_SLICE, offset);
        if (!n)
            return p->e->code;
        n->slice.object = object;
        n->slice.start = bounds[0];
        n->slice.stop = bounds[1];
        n->slice.step = bounds[2];
        *out = n;
        return jinja_parse_expect(p, JINJA_T_RBRACKET);
    }
    index = bounds[0];
    struct jinja_node_list list = {0};
    if (!index || jinja_parse_token(p)->kind == JINJA_T_COMMA) { /* x[] and x[1, 2] ask for a tuple */
        struct jinja_node *tuple = jinja_parse_node(p, JINJA_N_TUPLE, offset);
        if (!tuple || (index && jinja_parse_add(p, &list, index)))
            return p->e->code;
        while (jinja_parse_skip(p, JINJA_T_COMMA))
            if (jinja_parse_expression(p, true, &n) || jinja_parse_add(p, &list, n))
                return p->e->code;
        tuple->items = list.nodes;
        index = tuple;
    }
    n = jinja_parse_node(p, JINJA_N_ITEM, offset);
    if (!n)
        return p->e->code;
    n->item.object = object;
    n->item.index = index;
    *out = n;
    return jinja_parse_expect(p, JINJA_T_RBRACKET);
}

static enum err_code parse_dot(struct jinja_parser *p, struct jinja_node *object, struct jinja_node **out)
{
    size_t offset = jinja_parse_token(p)->offset;
    p->at++;
    const struct jinja_token *t = jinja_parse_token(p);
    struct jinja_node *n = *out =
        jinja_parse_node(p, t->kind == JINJA_T_INT ? JINJA_N_ITEM : JINJA_N_ATTRIBUTE, offset);
    if (!n)
        return p->e->code;
    if (t->kind == JINJA_T_INT) {
        n->item.object = object;
        n->item.index = jinja_parse_node(p, JINJA_N_CONST, t->offset);
        if (!n->item.index)
            return p->e->code;
        n->item.index->value = jinja_int(t->integer);
        p->at++;
        return ERR_OK;
    }
    n->attribute.object = object;
    if (t->kind != JINJA_T_NAME)
        return jinja_parse_unexpected(p, "a name or a number");
    if (jinja_parse_expect_name(p, &n->attribute.name, &n->attribute.length))
        return p->e->code;
    n->attribute.methods = jinja_find_methods(n->attribute.name, n->attribute.length);
    return ERR_OK;
}

static enum err_code parse_call(struct jinja_parser *p, struct jinja_node *callee, struct jinja_node **out)
{
    struct jinja_node *n = *out = jinja_parse_node(p, JINJA_N_CALL, jinja_parse_token(p)->offset);
    if (!n)
        return p->e->code;
    n->call.callee = callee;
    return parse_arguments(p, &n->call.args);
}

enum err_code jinja_parse_postfix(struct jinja_parser *p, struct jinja_node **n)
{
    for (;;) {
        switch (jinja_parse_token(p)->kind) {
        case JINJA_T_DOT:
            if (parse_dot(p, *n, n))
                return p->e->code;
            break;
        case JINJA_T_LBRACKET:
            if (parse_subscript(p, *n, n))
                return p->e->code;
            break;
        case JINJA_T_LPAREN:
            if (parse_call(p, *n, n))
                return p->e->code;
            break;
        default:
            return ERR_OK;
        }
    }
}

/* A name with dots, of a filter or a test. */
static enum err_code parse_dotted(struct jinja_parser *p, struct jinja_node *n)
{
    size_t length, more;
    const char *part;
    if (jinja_parse_expect_name(p, &n->apply.name, &length))
        return p->e->code;
    while (jinja_parse_skip(p, JINJA_T_DOT)) {
        if (jinja_parse_expect_name(p, &part, &more))
            return p->e->code;
        char *joined = arena_alloc(&p->t->arena, length + more + 2, 1, "template", p->e);
        if (!joined)
            return p->e->code;
        memcpy(joined, n->apply.name, length);
        joined[length] = '.';
        memcpy(joined + length + 1, part, more);
        n->apply.name = joined;
        length += more + 1;
    }
    bool is_filter = n->kind == JINJA_N_FILTER;
    n->apply.function =
        is_filter ? jinja_find_filter(n->apply.name, length) : jinja_find_test(n->apply.name, length);
    if (!n->apply.function && !p->unknown)
        p->unknown = n;
    return ERR_OK;
}

enum err_code jinja_parse_filters(struct jinja_parser *p, bool at_name, struct jinja_node *operand,
                                  struct jinja_node **out)
{
    *out = operand;
    while (at_name || jinja_parse_token(p)->kind == JINJA_T_PIPE) {
        p->at += !at_name;
        at_name = false;
        struct jinja_node *n = jinja_parse_node(p, JINJA_N_FILTER, jinja_parse_token(p)->offset);
        if (!n || parse_dotted(p, n))
            return p->e->code;
        if (jinja_parse_token(p)->kind == JINJA_T_LPAREN && parse_arguments(p, &n->apply.args))
            return p->e->code;
        n->apply.operand = *out;
        *out = n;
    }
    return ERR_OK;
}

/* The argument of a test without parentheses, if one follows: x is divisibleby 3. */
static enum err_code parse_test_argument(struct jinja_parser *p, struct jinja_node *n)
{
    const struct jinja_token *t = jinja_parse_token(p);
    static const enum jinja_token_kind begins[] = {JINJA_T_NAME,  JINJA_T_STRING,   JINJA_T_INT,
                                                   JINJA_T_FLOAT, JINJA_T_LBRACKET, JINJA_T_LBRACE};
    bool follows = false;
    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++)
        follows |= t->kind == begins[i];
    if (jinja_parse_is_name(t, "else") || jinja_parse_is_name(t, "or") || jinja_parse_is_name(t, "and"))
        follows = false;
    if (!follows)
        return ERR_OK;
    if (jinja_parse_is_name(t, "is"))
        return jinja_parse_fail(p, t->offset, "tests with 'is' cannot follow one another");
    struct jinja_node_list list = {0};
    struct jinja_node *argument = NULL;
    struct jinja_call *call = arena_alloc(&p->t->arena, 1, sizeof *call, "template", p->e);
    if (!call || jinja_parse_primary(p, &argument) || jinja_parse_postfix(p, &argument) ||
        jinja_parse_add(p, &list, argument))
        return p->e->code;
    call->positional = list.nodes;
    n->apply.args = call;
    return ERR_OK;
}

static enum err_code parse_test(struct jinja_parser *p, struct jinja_node **operand)
{
    struct jinja_node *n = jinja_parse_node(p, JINJA_N_TEST, jinja_parse_token(p)->offset);
    if (!n)
        return p->e->code;
    p->at++;
    n->op = jinja_parse_skip_name(p, "not");
    n->apply.operand = *operand;
    if (parse_dotted(p, n))
        return p->e->code;
    *operand = n;
    return jinja_parse_token(p)->kind == JINJA_T_LPAREN ? parse_arguments(p, &n->apply.args)
                                                        : parse_test_argument(p, n);
}

enum err_code jinja_parse_applied(struct jinja_parser *p, struct jinja_node **n)
{
    for (;;) {
        const struct jinja_token *t = jinja_parse_token(p);
        if (t->kind == JINJA_T_PIPE) {
            if (jinja_parse_filters(p, false, *n, n))
                return p->e->code;
        } else if (jinja_parse_is_name(t, "is")) {
            if (parse_test(p, n))
                return p->e->code;
        } else if (t->kind == JINJA_T_LPAREN) {
            if (parse_call(p, *n, n))
                return p->e->code;
        } else {
            return ERR_OK;
        }
    }
}
