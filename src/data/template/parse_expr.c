/* Operators, by their precedence. */
#include <string.h>

#include "base/limits.h"
#include "parser.h"

static struct jinja_node *pair_node(struct jinja_parser *p, enum jinja_node_kind kind, size_t offset,
                                    struct jinja_node *left, struct jinja_node *right)
{
    struct jinja_node *n = jinja_parse_node(p, kind, offset);
    if (n) {
        n->pair.left = left;
        n->pair.right = right;
    }
    return n;
}

static enum err_code parse_unary(struct jinja_parser *p, bool with_filter, struct jinja_node **out)
{
    const struct jinja_token *t = jinja_parse_token(p);
    if (t->kind == JINJA_T_SUB || t->kind == JINJA_T_ADD) {
        struct jinja_node *operand = NULL;
        if (++p->depth > LIMIT_TEMPLATE_NESTING)
            return jinja_parse_fail(p, t->offset, "more than %d signs and braces inside of each other",
                                    LIMIT_TEMPLATE_NESTING);
        p->at++;
        if (parse_unary(p, false, &operand))
            return p->e->code;
        p->depth--;
        *out = pair_node(p, JINJA_N_UNARY, t->offset, operand, NULL);
        if (!*out)
            return p->e->code;
        (*out)->op = t->kind == JINJA_T_SUB ? '-' : '+';
    } else if (jinja_parse_primary(p, out)) {
        return p->e->code;
    }
    if (jinja_parse_postfix(p, out))
        return p->e->code;
    return with_filter ? jinja_parse_applied(p, out) : ERR_OK;
}

/* Binary operators that go from the left, from the loosest to the tightest: + and -, ~, then * / // %, then **. */
enum { LEVEL_SUM, LEVEL_CONCAT, LEVEL_PRODUCT, LEVEL_POWER, LEVEL_UNARY };

static const struct {
    enum jinja_token_kind token;
    int level;
    enum jinja_binary op;
} binaries[] = {
    {JINJA_T_ADD, LEVEL_SUM, JINJA_ADD},     {JINJA_T_SUB, LEVEL_SUM, JINJA_SUB},
    {JINJA_T_MUL, LEVEL_PRODUCT, JINJA_MUL}, {JINJA_T_DIV, LEVEL_PRODUCT, JINJA_DIV},
    {JINJA_T_MOD, LEVEL_PRODUCT, JINJA_MOD}, {JINJA_T_FLOORDIV, LEVEL_PRODUCT, JINJA_FLOORDIV},
    {JINJA_T_POW, LEVEL_POWER, JINJA_POW},
};

static enum err_code parse_level(struct jinja_parser *p, int level, struct jinja_node **out);

static enum err_code parse_concat(struct jinja_parser *p, struct jinja_node **out)
{
    struct jinja_node_list list = {0};
    struct jinja_node *n = NULL;
    if (parse_level(p, LEVEL_PRODUCT, out))
        return p->e->code;
    if (jinja_parse_token(p)->kind != JINJA_T_TILDE)
        return ERR_OK;
    struct jinja_node *concat = jinja_parse_node(p, JINJA_N_CONCAT, jinja_parse_token(p)->offset);
    if (!concat || jinja_parse_add(p, &list, *out))
        return p->e->code;
    while (jinja_parse_skip(p, JINJA_T_TILDE))
        if (parse_level(p, LEVEL_PRODUCT, &n) || jinja_parse_add(p, &list, n))
            return p->e->code;
    concat->items = list.nodes;
    *out = concat;
    return ERR_OK;
}

static enum err_code parse_level(struct jinja_parser *p, int level, struct jinja_node **out)
{
    if (level == LEVEL_UNARY)
        return parse_unary(p, true, out);
    if (level == LEVEL_CONCAT)
        return parse_concat(p, out);
    if (parse_level(p, level + 1, out))
        return p->e->code;
    for (;;) {
        size_t i = 0, count = sizeof binaries / sizeof *binaries;
        const struct jinja_token *t = jinja_parse_token(p);
        while (i < count && (binaries[i].level != level || binaries[i].token != t->kind))
            i++;
        if (i == count)
            return ERR_OK;
        struct jinja_node *right = NULL;
        p->at++;
        if (parse_level(p, level + 1, &right))
            return p->e->code;
        *out = pair_node(p, JINJA_N_BINARY, t->offset, *out, right);
        if (!*out)
            return p->e->code;
        (*out)->op = (uint8_t)binaries[i].op;
    }
}

/* The comparison that stands here, or -1. */
static int compare_op(struct jinja_parser *p)
{
    static const struct {
        enum jinja_token_kind token;
        enum jinja_compare op;
    } ops[] = {{JINJA_T_EQ, JINJA_EQ}, {JINJA_T_NE, JINJA_NE}, {JINJA_T_LT, JINJA_LT},
               {JINJA_T_LE, JINJA_LE}, {JINJA_T_GT, JINJA_GT}, {JINJA_T_GE, JINJA_GE}};
    const struct jinja_token *t = jinja_parse_token(p);
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (jinja_parse_skip(p, ops[i].token))
            return (int)ops[i].op;
    if (jinja_parse_skip_name(p, "in"))
        return JINJA_IN;
    if (jinja_parse_is_name(t, "not") && jinja_parse_is_name(t + 1, "in")) {
        p->at += 2;
        return JINJA_NOT_IN;
    }
    return -1;
}

static enum err_code parse_compare(struct jinja_parser *p, struct jinja_node **out)
{
    struct jinja_node_list list = {0};
    struct jinja_node *n, *compare = NULL;
    uint8_t *ops = NULL;
    size_t offset, room = 0;
    if (parse_level(p, LEVEL_SUM, out))
        return p->e->code;
    for (;;) {
        offset = jinja_parse_token(p)->offset;
        int op = compare_op(p);
        if (op < 0)
            break;
        if (!compare && !(compare = jinja_parse_node(p, JINJA_N_COMPARE, offset)))
            return p->e->code;
        if (list.nodes.count == room) {
            uint8_t *grown = arena_alloc(&p->t->arena, 2 * room + 8, 1, "template", p->e);
            if (!grown)
                return p->e->code;
            if (room)
                memcpy(grown, ops, room);
            ops = grown;
            room = 2 * room + 8;
        }
        ops[list.nodes.count] = (uint8_t)op;
        if (parse_level(p, LEVEL_SUM, &n) || jinja_parse_add(p, &list, n))
            return p->e->code;
    }
    if (compare) {
        compare->compare.first = *out;
        compare->compare.rest = list.nodes;
        compare->compare.ops = ops;
        *out = compare;
    }
    return ERR_OK;
}

static enum err_code parse_not(struct jinja_parser *p, struct jinja_node **out)
{
    size_t offset = jinja_parse_token(p)->offset, nots = 0;
    while (jinja_parse_skip_name(p, "not"))
        nots++;
    if (parse_compare(p, out))
        return p->e->code;
    for (size_t i = 0; i < (nots ? 2 - nots % 2 : 0); i++)
        if (!(*out = pair_node(p, JINJA_N_NOT, offset, *out, NULL)))
            return p->e->code;
    return ERR_OK;
}

static enum err_code parse_logic(struct jinja_parser *p, bool is_or, struct jinja_node **out)
{
    struct jinja_node *right = NULL;
    if (is_or ? parse_logic(p, false, out) : parse_not(p, out))
        return p->e->code;
    for (;;) {
        size_t offset = jinja_parse_token(p)->offset;
        if (!jinja_parse_skip_name(p, is_or ? "or" : "and"))
            return ERR_OK;
        if (is_or ? parse_logic(p, false, &right) : parse_not(p, &right))
            return p->e->code;
        *out = pair_node(p, is_or ? JINJA_N_OR : JINJA_N_AND, offset, *out, right);
        if (!*out)
            return p->e->code;
    }
}

/* x if y else z. Inside of it unknown filters fail only when they are reached. */
static enum err_code parse_condition(struct jinja_parser *p, struct jinja_node **out)
{
    const struct jinja_node *unknown = p->unknown;
    if (parse_logic(p, true, out))
        return p->e->code;
    while (jinja_parse_is_name(jinja_parse_token(p), "if")) {
        struct jinja_node *n = jinja_parse_node(p, JINJA_N_CONDITION, jinja_parse_token(p)->offset);
        p->at++;
        if (!n || parse_logic(p, true, &n->condition.test))
            return p->e->code;
        n->condition.yes = *out;
        if (jinja_parse_skip_name(p, "else") && jinja_parse_expression(p, true, &n->condition.no))
            return p->e->code;
        *out = n;
        p->unknown = unknown;
    }
    return ERR_OK;
}

enum err_code jinja_parse_expression(struct jinja_parser *p, bool condition, struct jinja_node **out)
{
    *out = NULL;
    if (++p->depth > LIMIT_TEMPLATE_NESTING)
        return jinja_parse_fail(p, jinja_parse_token(p)->offset,
                                "more than %d blocks and braces inside of each other",
                                LIMIT_TEMPLATE_NESTING);
    if (condition ? parse_condition(p, out) : parse_logic(p, true, out))
        return p->e->code;
    p->depth--;
    return ERR_OK;
}
