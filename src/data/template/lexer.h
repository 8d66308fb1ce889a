/*
 * Splits the source of a template into tokens, with jinja2's rules for whitespace: trim_blocks (drops a newline
 * after a block), lstrip_blocks (drops spaces between the start of a line and a block), and the signs - and +
 * inside the braces.
 */
#ifndef MPILORA_DATA_TEMPLATE_LEXER_H
#define MPILORA_DATA_TEMPLATE_LEXER_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

enum jinja_token_kind {
    JINJA_T_END,
    JINJA_T_DATA,
    JINJA_T_PRINT_BEGIN,
    JINJA_T_PRINT_END,
    JINJA_T_BLOCK_BEGIN,
    JINJA_T_BLOCK_END,
    JINJA_T_NAME,
    JINJA_T_STRING,
    JINJA_T_INT,
    JINJA_T_FLOAT,
    JINJA_T_ADD,
    JINJA_T_SUB,
    JINJA_T_MUL,
    JINJA_T_DIV,
    JINJA_T_FLOORDIV,
    JINJA_T_MOD,
    JINJA_T_POW,
    JINJA_T_TILDE,
    JINJA_T_EQ,
    JINJA_T_NE,
    JINJA_T_GT,
    JINJA_T_GE,
    JINJA_T_LT,
    JINJA_T_LE,
    JINJA_T_ASSIGN,
    JINJA_T_DOT,
    JINJA_T_COLON,
    JINJA_T_PIPE,
    JINJA_T_COMMA,
    JINJA_T_SEMICOLON,
    JINJA_T_LPAREN,
    JINJA_T_RPAREN,
    JINJA_T_LBRACKET,
    JINJA_T_RBRACKET,
    JINJA_T_LBRACE,
    JINJA_T_RBRACE,
};

struct jinja_token {
    enum jinja_token_kind kind;
    uint32_t offset;   /* in the source */
    const char *bytes; /* DATA, NAME, STRING (escapes resolved): not zero-terminated */
    size_t length;
    union {
        int64_t integer;
        double real;
    };
};

/* A source after jinja2's first step: all newlines are "\n", and the last one is dropped. */
struct jinja_source {
    const char *name;
    const char *bytes;
    size_t length;
};

/* Makes the list of all tokens of a source, the last one JINJA_T_END; memory from the arena. */
enum err_code jinja_tokenize(struct jinja_token **tokens, size_t *count, const struct jinja_source *source,
                             struct arena *arena, struct err *e);

/* "NAME: line 3, column 14: " and the message. */
enum err_code jinja_source_fail(const struct jinja_source *source, size_t offset, struct err *e,
                                enum err_code code, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

#endif
