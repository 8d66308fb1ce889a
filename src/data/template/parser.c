#include "parser.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/str.h"
#include "value.h"

enum err_code jinja_parse_fail(struct jinja_parser *p, size_t offset, const char *format, ...)
{
    char message[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return jinja_source_fail(&p->t->source, offset, p->e, ERR_FORMAT, "%s", message);
}

enum err_code jinja_parse_unexpected(struct jinja_parser *p, const char *expected)
{
    const struct jinja_token *t = jinja_parse_token(p);
    const char *at = p->t->source.bytes + t->offset;
    if (t->kind == JINJA_T_END)
        return jinja_parse_fail(p, t->offset, "expected %s, but the template ends", expected);
    int length = t->kind == JINJA_T_NAME                                        ? (int)t->length
                 : t->kind == JINJA_T_PRINT_END || t->kind == JINJA_T_BLOCK_END ? 2
                                                                                : 1;
    return jinja_parse_fail(p, t->offset, "expected %s, not '%.*s'", expected, length, at);
}

bool jinja_parse_is_name(const struct jinja_token *t, const char *name)
{
    return name && t->kind == JINJA_T_NAME && strlen(name) == t->length && !memcmp(t->bytes, name, t->length);
}

bool jinja_parse_skip(struct jinja_parser *p, enum jinja_token_kind kind)
{
    bool there = jinja_parse_token(p)->kind == kind;
    p->at += there;
    return there;
}

bool jinja_parse_skip_name(struct jinja_parser *p, const char *name)
{
    bool there = jinja_parse_is_name(jinja_parse_token(p), name);
    p->at += there;
    return there;
}

enum err_code jinja_parse_expect(struct jinja_parser *p, enum jinja_token_kind kind)
{
    static const char *const names[] = {
        [JINJA_T_PRINT_END] = "'}}'", [JINJA_T_BLOCK_END] = "'%}'", [JINJA_T_ASSIGN] = "'='",
        [JINJA_T_COLON] = "':'",      [JINJA_T_COMMA] = "','",      [JINJA_T_LPAREN] = "'('",
        [JINJA_T_RPAREN] = "')'",     [JINJA_T_RBRACKET] = "']'",   [JINJA_T_RBRACE] = "'}'",
    };
    return jinja_parse_skip(p, kind) ? ERR_OK : jinja_parse_unexpected(p, names[kind]);
}

enum err_code jinja_parse_expect_name(struct jinja_parser *p, const char **name, size_t *length)
{
    const struct jinja_token *t = jinja_parse_token(p);
    if (t->kind != JINJA_T_NAME)
        return jinja_parse_unexpected(p, "a name");
    p->at++;
    *length = t->length;
    *name = jinja_parse_copy(p, t->bytes, t->length);
    return *name ? ERR_OK : p->e->code;
}

struct jinja_node *jinja_parse_node(struct jinja_parser *p, enum jinja_node_kind kind, size_t offset)
{
    struct jinja_node *n = arena_alloc(&p->t->arena, 1, sizeof *n, "template", p->e);
    if (n) {
        n->kind = (uint8_t)kind;
        n->offset = (uint32_t)offset;
    }
    return n;
}

const char *jinja_parse_copy(struct jinja_parser *p, const char *bytes, size_t length)
{
    return arena_strndup(&p->t->arena, bytes, length, p->e);
}

enum err_code jinja_parse_add(struct jinja_parser *p, struct jinja_node_list *list, struct jinja_node *n)
{
    if (list->nodes.count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 4;
        struct jinja_node **grown =
            arena_alloc(&p->t->arena, capacity, sizeof(struct jinja_node *), "template", p->e);
        if (!grown)
            return p->e->code;
        if (list->nodes.count)
            memcpy(grown, list->nodes.items, list->nodes.count * sizeof *grown);
        list->nodes.items = grown;
        list->capacity = capacity;
    }
    list->nodes.items[list->nodes.count++] = n;
    return ERR_OK;
}

enum err_code jinja_parse_name_id(struct jinja_parser *p, const char *bytes, size_t length, uint32_t *id)
{
    struct jinja_template *t = p->t;
    for (size_t i = 0; i < t->name_count; i++)
        if (!strncmp(t->names[i], bytes, length) && !t->names[i][length]) {
            *id = (uint32_t)i;
            return ERR_OK;
        }
    if (t->name_count == p->name_capacity) {
        size_t capacity = p->name_capacity ? 2 * p->name_capacity : 64;
        const char **grown = arena_alloc(&t->arena, capacity, sizeof *grown, "template", p->e);
        if (!grown)
            return p->e->code;
        if (t->name_count)
            memcpy(grown, t->names, t->name_count * sizeof *grown);
        t->names = grown;
        p->name_capacity = capacity;
    }
    *id = (uint32_t)t->name_count;
    t->names[t->name_count++] = jinja_parse_copy(p, bytes, length);
    return t->names[*id] ? ERR_OK : p->e->code;
}

/* Whether a tuple without parentheses ends here. */
static bool is_tuple_end(const struct jinja_parser *p, const char *end)
{
    const struct jinja_token *t = jinja_parse_token(p);
    return t->kind == JINJA_T_PRINT_END || t->kind == JINJA_T_BLOCK_END || t->kind == JINJA_T_RPAREN ||
           (end && jinja_parse_is_name(t, end));
}

enum err_code jinja_parse_tuple(struct jinja_parser *p, bool condition, const char *end,
                                struct jinja_node **out)
{
    size_t offset = jinja_parse_token(p)->offset;
    struct jinja_node_list list = {0};
    struct jinja_node *n = NULL;
    if (jinja_parse_expression(p, condition, &n))
        return p->e->code;
    if (jinja_parse_token(p)->kind != JINJA_T_COMMA) {
        *out = n;
        return ERR_OK;
    }
    if (jinja_parse_add(p, &list, n))
        return p->e->code;
    while (jinja_parse_skip(p, JINJA_T_COMMA) && !is_tuple_end(p, end))
        if (jinja_parse_expression(p, condition, &n) || jinja_parse_add(p, &list, n))
            return p->e->code;
    *out = jinja_parse_node(p, JINJA_N_TUPLE, offset);
    if (!*out)
        return p->e->code;
    (*out)->items = list.nodes;
    return ERR_OK;
}

/* One name, a parenthesised target, or with `namespaces` a name with a dot. */
static enum err_code parse_one_target(struct jinja_parser *p, bool namespaces, struct jinja_node **out)
{
    const struct jinja_token *t = jinja_parse_token(p);
    static const char *const constants[] = {"true", "True", "false", "False", "none", "None"};
    size_t length;
    if (t->kind == JINJA_T_LPAREN) {
        p->at++;
        return jinja_parse_target(p, NULL, namespaces, out) ? p->e->code
                                                            : jinja_parse_expect(p, JINJA_T_RPAREN);
    }
    for (size_t i = 0; i < sizeof constants / sizeof *constants; i++)
        if (jinja_parse_is_name(t, constants[i]))
            return jinja_parse_fail(p, t->offset, "cannot assign to '%s'", constants[i]);
    struct jinja_node *n = *out = jinja_parse_node(p, JINJA_N_NAME, t->offset);
    if (!n)
        return p->e->code;
    if (t->kind != JINJA_T_NAME)
        return jinja_parse_unexpected(p, "a name to assign to");
    p->at++;
    if (jinja_parse_name_id(p, t->bytes, t->length, &n->name))
        return p->e->code;
    if (namespaces && jinja_parse_skip(p, JINJA_T_DOT)) {
        n->kind = JINJA_N_NAMESPACE_ITEM;
        n->namespace_item.space = n->name;
        return jinja_parse_expect_name(p, &n->namespace_item.name, &length);
    }
    p->stores_loop |= n->name == p->t->loop_name;
    return ERR_OK;
}

enum err_code jinja_parse_target(struct jinja_parser *p, const char *end, bool namespaces,
                                 struct jinja_node **out)
{
    size_t offset = jinja_parse_token(p)->offset;
    struct jinja_node_list list = {0};
    struct jinja_node *n = NULL;
    if (++p->depth > LIMIT_TEMPLATE_NESTING)
        return jinja_parse_fail(p, offset, "more than %d braces inside of each other",
                                LIMIT_TEMPLATE_NESTING);
    if (parse_one_target(p, namespaces, out))
        return p->e->code;
    p->depth--;
    if (jinja_parse_token(p)->kind != JINJA_T_COMMA)
        return ERR_OK;
    if (jinja_parse_add(p, &list, *out))
        return p->e->code;
    while (jinja_parse_skip(p, JINJA_T_COMMA) && !is_tuple_end(p, end))
        if (parse_one_target(p, namespaces, &n) || jinja_parse_add(p, &list, n))
            return p->e->code;
    *out = jinja_parse_node(p, JINJA_N_TUPLE, offset);
    if (!*out)
        return p->e->code;
    (*out)->items = list.nodes;
    return ERR_OK;
}

static enum err_code parse_until(struct jinja_parser *p, const char *const *ends, struct jinja_nodes *out);

/* An unknown filter or test is an error of the template, unless it stands in an if. */
static enum err_code settle_unknown(struct jinja_parser *p)
{
    const struct jinja_node *n = p->unknown;
    p->unknown = NULL;
    if (!n || p->soft)
        return ERR_OK;
    return jinja_parse_fail(p, n->offset, "there is no %s '%s'",
                            n->kind == JINJA_N_FILTER ? "filter" : "test", n->apply.name);
}

/* "%}", statements, and the tag that ends them (one of `ends`, on which the parser stands afterwards). */
static enum err_code parse_body(struct jinja_parser *p, const char *const *ends, struct jinja_nodes *out)
{
    jinja_parse_skip(p, JINJA_T_COLON);
    if (settle_unknown(p) || jinja_parse_expect(p, JINJA_T_BLOCK_END))
        return p->e->code;
    return parse_until(p, ends, out);
}

/* The same with one end, which is skipped. `hard`: a scope of its own, where unknown filters are errors again. */
static enum err_code parse_whole_body(struct jinja_parser *p, const char *end, bool hard,
                                      struct jinja_nodes *out)
{
    const char *const ends[] = {end, NULL};
    jinja_parse_skip(p, JINJA_T_COLON);
    if (settle_unknown(p))
        return p->e->code;
    bool soft = p->soft;
    p->soft = soft && !hard;
    if (parse_body(p, ends, out))
        return p->e->code;
    p->soft = soft;
    p->at++;
    return ERR_OK;
}

static enum err_code parse_if(struct jinja_parser *p, struct jinja_node *n)
{
    static const char *const ends[] = {"elif", "else", "endif", NULL};
    bool soft = p->soft;
    p->soft = true;
    for (;;) {
        n->kind = JINJA_N_IF;
        if (jinja_parse_tuple(p, false, NULL, &n->branch.test) || parse_body(p, ends, &n->branch.yes))
            return p->e->code;
        const struct jinja_token *t = jinja_parse_token(p);
        p->at++;
        if (jinja_parse_is_name(t, "else") && parse_whole_body(p, "endif", false, &n->branch.no))
            return p->e->code;
        if (!jinja_parse_is_name(t, "elif"))
            break;
        struct jinja_node_list list = {0};
        struct jinja_node *elif = jinja_parse_node(p, JINJA_N_IF, t->offset);
        if (!elif || jinja_parse_add(p, &list, elif))
            return p->e->code;
        n->branch.no = list.nodes;
        n = elif;
    }
    p->soft = soft;
    return ERR_OK;
}

static enum err_code parse_for(struct jinja_parser *p, struct jinja_node *n)
{
    static const char *const ends[] = {"endfor", "else", NULL};
    bool stores = p->stores_loop, soft = p->soft;
    p->stores_loop = false;
    if (jinja_parse_target(p, "in", false, &n->loop.target))
        return p->e->code;
    if (!jinja_parse_skip_name(p, "in"))
        return jinja_parse_unexpected(p, "'in'");
    if (jinja_parse_tuple(p, false, "recursive", &n->loop.iterable))
        return p->e->code;
    if (jinja_parse_skip_name(p, "if") && jinja_parse_expression(p, true, &n->loop.test))
        return p->e->code;
    n->loop.recursive = jinja_parse_skip_name(p, "recursive");
    if (settle_unknown(p))
        return p->e->code;
    p->soft = false;
    p->loops++;
    if (parse_body(p, ends, &n->loop.body))
        return p->e->code;
    p->loops--;
    bool has_else = jinja_parse_is_name(jinja_parse_token(p), "else");
    p->at++;
    if (has_else && parse_whole_body(p, "endfor", true, &n->loop.otherwise))
        return p->e->code;
    if (p->stores_loop)
        return jinja_parse_fail(p, n->offset, "a for loop assigns to the special variable 'loop'");
    p->stores_loop = stores;
    p->soft = soft;
    return ERR_OK;
}

static enum err_code parse_set(struct jinja_parser *p, struct jinja_node *n)
{
    if (jinja_parse_target(p, NULL, true, &n->set.target))
        return p->e->code;
    if (jinja_parse_skip(p, JINJA_T_ASSIGN))
        return jinja_parse_tuple(p, true, NULL, &n->set.value);
    n->kind = JINJA_N_SET_BLOCK;
    if (jinja_parse_filters(p, false, NULL, &n->set.value))
        return p->e->code;
    return parse_whole_body(p, "endset", true, &n->set.body);
}

/* (a, b=1) of a macro. */
static enum err_code parse_params(struct jinja_parser *p, struct jinja_signature *s)
{
    struct jinja_node_list defaults = {0};
    struct jinja_node *target = NULL, *value = NULL;
    size_t room = 0;
    if (jinja_parse_expect(p, JINJA_T_LPAREN))
        return p->e->code;
    while (!jinja_parse_skip(p, JINJA_T_RPAREN)) {
        if (s->count && jinja_parse_expect(p, JINJA_T_COMMA))
            return p->e->code;
        if (jinja_parse_token(p)->kind != JINJA_T_NAME)
            return jinja_parse_unexpected(p, "a parameter's name");
        bool stores = p->stores_loop;
        if (parse_one_target(p, false, &target))
            return p->e->code;
        p->stores_loop = stores;
        if (jinja_parse_skip(p, JINJA_T_ASSIGN)) {
            if (jinja_parse_expression(p, true, &value) || jinja_parse_add(p, &defaults, value))
                return p->e->code;
        } else if (defaults.nodes.count) {
            return jinja_parse_fail(p, target->offset,
                                    "a parameter without a default follows one with a default");
        }
        for (size_t i = 0; i < s->count; i++)
            if (s->params[i] == target->name)
                return jinja_parse_fail(p, target->offset, "this parameter is there twice");
        if (s->count == room) {
            room = 2 * room + 4;
            uint32_t *grown = arena_alloc(&p->t->arena, room, sizeof *grown, "template", p->e);
            if (!grown)
                return p->e->code;
            if (s->count)
                memcpy(grown, s->params, s->count * sizeof *grown);
            s->params = grown;
        }
        s->params[s->count++] = target->name;
    }
    s->defaults = defaults.nodes;
    return ERR_OK;
}

/* The body of a macro or call block: a function, which sees no loop to break out of. */
static enum err_code parse_function(struct jinja_parser *p, const char *end, struct jinja_signature *s,
                                    struct jinja_nodes *body)
{
    int loops = p->loops;
    bool caller = p->mentions_caller, varargs = p->mentions_varargs, kwargs = p->mentions_kwargs;
    p->loops = 0;
    p->mentions_caller = p->mentions_varargs = p->mentions_kwargs = false;
    if (parse_whole_body(p, end, true, body))
        return p->e->code;
    s->caller = p->mentions_caller;
    s->varargs = p->mentions_varargs;
    s->kwargs = p->mentions_kwargs;
    p->loops = loops;
    p->mentions_caller |= caller;
    p->mentions_varargs |= varargs;
    p->mentions_kwargs |= kwargs;
    return ERR_OK;
}

static enum err_code parse_macro(struct jinja_parser *p, struct jinja_node *n)
{
    size_t length = 0;
    n->macro.signature = arena_alloc(&p->t->arena, 1, sizeof *n->macro.signature, "template", p->e);
    if (!n->macro.signature || jinja_parse_expect_name(p, &n->macro.name, &length) ||
        jinja_parse_name_id(p, n->macro.name, length, &n->macro.id) || parse_params(p, n->macro.signature))
        return p->e->code;
    return parse_function(p, "endmacro", n->macro.signature, &n->macro.body);
}

static enum err_code parse_call_block(struct jinja_parser *p, struct jinja_node *n)
{
    n->macro.signature = arena_alloc(&p->t->arena, 1, sizeof *n->macro.signature, "template", p->e);
    if (!n->macro.signature ||
        (jinja_parse_token(p)->kind == JINJA_T_LPAREN && parse_params(p, n->macro.signature)))
        return p->e->code;
    if (jinja_parse_expression(p, true, &n->macro.call))
        return p->e->code;
    if (n->macro.call->kind != JINJA_N_CALL)
        return jinja_parse_fail(p, n->macro.call->offset, "expected a call");
    return parse_function(p, "endcall", n->macro.signature, &n->macro.body);
}

static enum err_code parse_filter_block(struct jinja_parser *p, struct jinja_node *n)
{
    return jinja_parse_filters(p, true, NULL, &n->block.filter)
               ? p->e->code
               : parse_whole_body(p, "endfilter", true, &n->block.body);
}

static enum err_code parse_with(struct jinja_parser *p, struct jinja_node *n)
{
    struct jinja_node_list targets = {0}, values = {0};
    struct jinja_node *target = NULL, *value = NULL;
    while (jinja_parse_token(p)->kind != JINJA_T_BLOCK_END) {
        if (targets.nodes.count && jinja_parse_expect(p, JINJA_T_COMMA))
            return p->e->code;
        if (jinja_parse_target(p, NULL, false, &target) || jinja_parse_expect(p, JINJA_T_ASSIGN) ||
            jinja_parse_expression(p, true, &value) || jinja_parse_add(p, &targets, target) ||
            jinja_parse_add(p, &values, value))
            return p->e->code;
    }
    n->with.targets = targets.nodes;
    n->with.values = values.nodes;
    return parse_whole_body(p, "endwith", true, &n->with.body);
}

static enum err_code parse_generation(struct jinja_parser *p, struct jinja_node *n)
{
    struct jinja_signature ignored;
    p->t->generation = true;
    return parse_function(p, "endgeneration", &ignored, &n->block.body);
}

static enum err_code parse_block(struct jinja_parser *p, struct jinja_node *n)
{
    const char *name = "";
    size_t length = 0;
    if (jinja_parse_expect_name(p, &name, &length))
        return p->e->code;
    for (size_t i = 0; i < p->blocks.nodes.count; i++)
        if (!strcmp(p->blocks.nodes.items[i]->text.bytes, name))
            return jinja_parse_fail(p, n->offset, "the block '%s' is there twice", name);
    struct jinja_node *seen = jinja_parse_node(p, JINJA_N_TEXT, n->offset);
    if (!seen || jinja_parse_add(p, &p->blocks, seen))
        return p->e->code;
    seen->text.bytes = name;
    if (jinja_parse_token(p)->kind == JINJA_T_NAME)
        return jinja_source_fail(&p->t->source, n->offset, p->e, ERR_UNSUPPORTED,
                                 "scoped and required blocks are not supported");
    struct jinja_signature ignored;
    if (parse_function(p, "endblock", &ignored, &n->block.body))
        return p->e->code;
    jinja_parse_skip_name(p, name);
    return ERR_OK;
}

static enum err_code parse_print(struct jinja_parser *p, struct jinja_node *n)
{
    struct jinja_node_list list = {0};
    struct jinja_node *value = NULL;
    while (jinja_parse_token(p)->kind != JINJA_T_BLOCK_END) {
        if (list.nodes.count && jinja_parse_expect(p, JINJA_T_COMMA))
            return p->e->code;
        if (jinja_parse_expression(p, true, &value) || jinja_parse_add(p, &list, value))
            return p->e->code;
    }
    n->items = list.nodes;
    return ERR_OK;
}

static enum err_code parse_flow(struct jinja_parser *p, struct jinja_node *n)
{
    if (!p->loops)
        return jinja_parse_fail(p, n->offset, "this stands in no loop");
    return ERR_OK;
}

static const struct {
    const char *tag;
    enum jinja_node_kind kind;
    enum err_code (*parse)(struct jinja_parser *p, struct jinja_node *n);
} statements[] = {
    {"if", JINJA_N_IF, parse_if},
    {"for", JINJA_N_FOR, parse_for},
    {"set", JINJA_N_SET, parse_set},
    {"macro", JINJA_N_MACRO, parse_macro},
    {"call", JINJA_N_CALL_BLOCK, parse_call_block},
    {"filter", JINJA_N_FILTER_BLOCK, parse_filter_block},
    {"with", JINJA_N_WITH, parse_with},
    {"generation", JINJA_N_GENERATION, parse_generation},
    {"block", JINJA_N_BLOCK, parse_block},
    {"print", JINJA_N_PRINT, parse_print},
    {"break", JINJA_N_BREAK, parse_flow},
    {"continue", JINJA_N_CONTINUE, parse_flow},
};

static enum err_code parse_statement(struct jinja_parser *p, const char *const *ends, struct jinja_node **out)
{
    static const char *const refused[] = {"include", "import", "from", "extends", "autoescape"};
    const struct jinja_token *t = jinja_parse_token(p);
    if (t->kind != JINJA_T_NAME)
        return jinja_parse_unexpected(p, "the name of a tag");
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (jinja_parse_is_name(t, refused[i]))
            return jinja_source_fail(&p->t->source, t->offset, p->e, ERR_UNSUPPORTED,
                                     "the tag '%s' is not supported", refused[i]);
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
        if (!jinja_parse_is_name(t, statements[i].tag))
            continue;
        if (++p->depth > LIMIT_TEMPLATE_NESTING)
            return jinja_parse_fail(p, t->offset, "more than %d blocks and braces inside of each other",
                                    LIMIT_TEMPLATE_NESTING);
        size_t outer = p->begin;
        *out = jinja_parse_node(p, statements[i].kind, t->offset);
        p->begin = t->offset;
        p->at++;
        if (!*out || statements[i].parse(p, *out))
            return p->e->code;
        p->begin = outer;
        p->depth--;
        return settle_unknown(p);
    }
    return jinja_parse_fail(p, t->offset, "unknown tag '%.*s'%s%s%s", (int)t->length, t->bytes,
                            ends ? ": looking for '" : "", ends ? ends[0] : "", ends ? "'" : "");
}

/* Text, print statements and blocks, up to a tag in `ends` (NULL: the end of the template). */
static enum err_code parse_until(struct jinja_parser *p, const char *const *ends, struct jinja_nodes *out)
{
    struct jinja_node_list list = {0};
    for (;;) {
        const struct jinja_token *t = jinja_parse_token(p);
        struct jinja_node *n = NULL;
        if (t->kind == JINJA_T_END && ends)
            return jinja_parse_fail(p, p->begin, "the template ends before the '%s' of this block", ends[0]);
        if (t->kind == JINJA_T_END)
            break;
        p->at++;
        if (t->kind == JINJA_T_DATA) {
            if (!(n = jinja_parse_node(p, JINJA_N_TEXT, t->offset)))
                return p->e->code;
            n->text.bytes = t->bytes;
            n->text.length = t->length;
        } else if (t->kind == JINJA_T_PRINT_BEGIN) {
            struct jinja_node_list one = {0};
            struct jinja_node *value = NULL;
            if (!(n = jinja_parse_node(p, JINJA_N_PRINT, t->offset)) ||
                jinja_parse_tuple(p, true, NULL, &value) || jinja_parse_add(p, &one, value) ||
                jinja_parse_expect(p, JINJA_T_PRINT_END) || settle_unknown(p))
                return p->e->code;
            n->items = one.nodes;
        } else {
            for (const char *const *end = ends; end && *end; end++)
                if (jinja_parse_is_name(jinja_parse_token(p), *end)) {
                    *out = list.nodes;
                    return ERR_OK;
                }
            if (parse_statement(p, ends, &n) || jinja_parse_expect(p, JINJA_T_BLOCK_END))
                return p->e->code;
        }
        if (jinja_parse_add(p, &list, n))
            return p->e->code;
    }
    *out = list.nodes;
    return ERR_OK;
}

enum err_code jinja_parse(struct jinja_parser *p, struct jinja_nodes *body)
{
    return parse_until(p, NULL, body);
}
