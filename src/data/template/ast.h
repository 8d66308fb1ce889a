/*
 * A parsed template: a tree of nodes in one arena, constant after parsing and shared by threads.
 */
#ifndef MPILORA_DATA_TEMPLATE_AST_H
#define MPILORA_DATA_TEMPLATE_AST_H

#include "base/arena.h"
#include "builtin.h"
#include "data/template/jinja.h"
#include "lexer.h"

enum jinja_node_kind {
    /* expressions */
    JINJA_N_CONST,
    JINJA_N_NAME,
    JINJA_N_LIST,
    JINJA_N_TUPLE,
    JINJA_N_DICT,      /* items: key, value, key, value, ... */
    JINJA_N_ATTRIBUTE, /* x.name */
    JINJA_N_ITEM,      /* x[index] */
    JINJA_N_SLICE,     /* x[start:stop:step] */
    JINJA_N_CALL,
    JINJA_N_FILTER,
    JINJA_N_TEST,
    JINJA_N_UNARY,
    JINJA_N_BINARY,
    JINJA_N_CONCAT,
    JINJA_N_COMPARE,
    JINJA_N_AND,
    JINJA_N_OR,
    JINJA_N_NOT,
    JINJA_N_CONDITION,
    /* a target of an assignment, in addition to names and tuples */
    JINJA_N_NAMESPACE_ITEM, /* ns.name */
    /* statements */
    JINJA_N_TEXT,
    JINJA_N_PRINT,
    JINJA_N_IF,
    JINJA_N_FOR,
    JINJA_N_SET,
    JINJA_N_SET_BLOCK,
    JINJA_N_MACRO,
    JINJA_N_CALL_BLOCK,
    JINJA_N_FILTER_BLOCK,
    JINJA_N_WITH,
    JINJA_N_GENERATION,
    JINJA_N_BLOCK,
    JINJA_N_BREAK,
    JINJA_N_CONTINUE,
};

enum jinja_compare { JINJA_EQ, JINJA_NE, JINJA_LT, JINJA_LE, JINJA_GT, JINJA_GE, JINJA_IN, JINJA_NOT_IN };
enum jinja_binary { JINJA_ADD, JINJA_SUB, JINJA_MUL, JINJA_DIV, JINJA_FLOORDIV, JINJA_MOD, JINJA_POW };

struct jinja_nodes {
    struct jinja_node **items;
    size_t count;
};

/* The arguments of a call: f(positional, name=value, *star, **star_star). */
struct jinja_call {
    struct jinja_nodes positional, values;
    const char **names; /* [values.count] */
    struct jinja_node *star, *star_star;
};

/* Parameters of a macro or call block; the last defaults.count ones have defaults. */
struct jinja_signature {
    uint32_t *params; /* ids of names */
    size_t count;
    struct jinja_nodes defaults;
    bool varargs, kwargs, caller; /* does the body mention them? */
};

struct jinja_node {
    uint8_t kind;    /* enum jinja_node_kind */
    uint8_t op;      /* BINARY: enum jinja_binary; UNARY: '+' or '-'; TEST: whether it is negated */
    uint32_t offset; /* in the source */
    union {
        struct jinja_value value; /* CONST */
        uint32_t name;            /* NAME */
        struct jinja_nodes items; /* LIST, TUPLE, DICT, CONCAT, PRINT */
        struct {
            struct jinja_node *object;
            const char *name;
            size_t length;
            struct jinja_methods methods; /* of that name */
        } attribute;
        struct {
            struct jinja_node *object, *index;
        } item;
        struct {
            struct jinja_node *object, *start, *stop, *step; /* NULL: left out */
        } slice;
        struct {
            struct jinja_node *callee;
            struct jinja_call *args;
        } call;
        struct {                                   /* FILTER, TEST */
            struct jinja_node *operand;            /* NULL: the body of a block */
            const struct jinja_function *function; /* NULL: unknown, an error when it is evaluated */
            const char *name;
            struct jinja_call *args;
        } apply;
        struct { /* UNARY, BINARY, AND, OR, NOT */
            struct jinja_node *left, *right;
        } pair;
        struct {
            struct jinja_node *first;
            struct jinja_nodes rest;
            const uint8_t *ops; /* [rest.count] enum jinja_compare */
        } compare;
        struct {
            struct jinja_node *test, *yes, *no; /* no: may be NULL */
        } condition;
        struct {
            uint32_t space;
            const char *name;
        } namespace_item;
        struct {
            const char *bytes;
            size_t length;
        } text;
        struct { /* an elif is an IF node, alone in `no` */
            struct jinja_node *test;
            struct jinja_nodes yes, no;
        } branch;
        struct {
            struct jinja_node *target, *iterable, *test; /* test: may be NULL */
            struct jinja_nodes body, otherwise;
            bool recursive;
        } loop;
        struct { /* SET: value; SET_BLOCK: body, and filters over it, or NULL */
            struct jinja_node *target, *value;
            struct jinja_nodes body;
        } set;
        struct { /* MACRO; CALL_BLOCK: `call` gets the macro as caller */
            const char *name;
            uint32_t id;
            struct jinja_signature *signature;
            struct jinja_node *call;
            struct jinja_nodes body;
        } macro;
        struct { /* FILTER_BLOCK: the filters; GENERATION, BLOCK: none */
            struct jinja_node *filter;
            struct jinja_nodes body;
        } block;
        struct {
            struct jinja_nodes targets, values, body;
        } with;
    };
};

struct jinja_template {
    struct arena arena;
    struct jinja_source source;
    struct jinja_nodes body;
    const char **names; /* [name_count] */
    size_t name_count;
    struct jinja_value *globals; /* [name_count] the value of a name that is not set */
    bool generation;
    uint32_t loop_name, caller_name, varargs_name, kwargs_name; /* ids of these names */
};

#endif
