/*
 * Facts that a command prints, for two kinds of readers: indented "name: value" lines for people, or one JSON value
 * on one line for programs. In both, foreign text is escaped, so that it cannot control a terminal. Errors are
 * sticky; facts_print() returns the first one.
 */
#ifndef MPILORA_CLI_FACTS_H
#define MPILORA_CLI_FACTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/opt.h"
#include "base/str.h"

struct facts {
    struct str out;
    bool json;
    bool fresh;     /* the innermost open object or list is still empty */
    int depth;      /* number of open objects and lists */
    uint64_t lists; /* bit d: level d is a list, whose members have no names */
    enum err_code code;
    struct err e;
};

void facts_begin(struct facts *f, bool json);
void facts_begin_list(struct facts *f, bool json); /* the whole output is a list */
enum err_code facts_print(struct facts *f,
                          struct err *e); /* to stdout; frees everything, also after an error */

/* `name` is NULL for a member of a list. */
void facts_int(struct facts *f, const char *name, uint64_t value);
void facts_real(struct facts *f, const char *name, double value);
void facts_flag(struct facts *f, const char *name, bool value);
void facts_text(struct facts *f, const char *name, const char *value); /* NULL: null, "none" */
void facts_object(struct facts *f, const char *name);
void facts_list(struct facts *f, const char *name);
void facts_end(struct facts *f); /* closes the innermost object or list */

/* Prints what `add` says of result i, for each of several adapters: for people a block under its path, for programs
 * a list of objects that begin with "adapter", its path. With one adapter, or none, just what it says of result 0. */
typedef void facts_add(struct facts *f, const void *results, size_t i);
enum err_code facts_print_each(const struct opt_list *adapters, bool json, facts_add *add, const void *results,
                               struct err *e);

/* May stdout be coloured? It is a terminal, and the variable NO_COLOR is not set. */
bool facts_coloured(void);

/* Writes text that a model or a tokenizer produced to stdout: the exact bytes into a file or a pipe; on a terminal,
 * control characters except newline and tab are escaped. */
enum err_code facts_print_text(const char *text, size_t length, struct err *e);

#endif
