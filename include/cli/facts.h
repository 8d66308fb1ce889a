/*
 * Facts that a command prints, declared once for both of its readers: indented "name: value" lines for a
 * person, or one JSON value on one line for a program. What others have written does nothing
 * on a terminal, in both. Errors are sticky; facts_print() returns the first.
 */
#ifndef MPILORA_CLI_FACTS_H
#define MPILORA_CLI_FACTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct facts {
    struct str out;
    bool json;
    bool fresh;     /* nothing stands in the innermost object or list yet */
    int depth;      /* of objects and lists that are open */
    uint64_t lists; /* bit d: level d is a list, whose members have no names */
    enum err_code code;
    struct err e;
};

void facts_begin(struct facts *f, bool json);
void facts_begin_list(struct facts *f, bool json); /* all of it is a list */
enum err_code facts_print(struct facts *f,
                          struct err *e); /* to stdout; frees everything, also after an error */

/* `name` is NULL for a member of a list. */
void facts_int(struct facts *f, const char *name, uint64_t value);
void facts_real(struct facts *f, const char *name, double value);
void facts_flag(struct facts *f, const char *name, bool value);
void facts_text(struct facts *f, const char *name, const char *value); /* NULL: null, "none" */
void facts_object(struct facts *f, const char *name);
void facts_list(struct facts *f, const char *name);
void facts_end(struct facts *f); /* of the innermost object or list */

/* Text that a model or a tokenizer made, to stdout: exact bytes into a file or a pipe; on a terminal nothing but
 * newlines and tabs acts. */
enum err_code facts_print_text(const char *text, size_t length, struct err *e);

#endif
