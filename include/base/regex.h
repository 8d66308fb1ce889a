/*
 * Regular expressions over UTF-8, with PCRE2: Perl's syntax, Unicode character classes (\p{L}, \w, \s), compiled to
 * machine code on platforms where PCRE2 can do so.
 *
 * A compiled expression is constant, and all threads may use it at the same time; each thread needs its own
 * scratch.
 */
#ifndef MPILORA_BASE_REGEX_H
#define MPILORA_BASE_REGEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct regex;
struct regex_scratch;

enum regex_syntax {
    REGEX_TEXT,   /* ^ and $ match at the ends of the text */
    REGEX_LINES,  /* and at the ends of its lines, which LF separates */
    REGEX_LITERAL /* no character has a special meaning */
};

/* ERR_USAGE with the place in the pattern and the reason. */
enum err_code regex_open(struct regex **out, const char *pattern, size_t length, enum regex_syntax syntax,
                         struct err *e);
void regex_close(struct regex *r); /* NULL is fine */

/* Scratch memory for matching; it fits every expression. A match may backtrack at most LIMIT_MATCH_STEPS times plus
 * LIMIT_MATCH_STEPS_A_BYTE times per byte of the text (base/limits.def). */
enum err_code regex_scratch_open(struct regex_scratch **out, struct err *e);
void regex_scratch_close(struct regex_scratch *s); /* NULL is fine */

/* Does the expression match the whole text (Python's re.fullmatch)? ERR_USAGE if it backtracks beyond that limit,
 * ERR_DATA if the text is not UTF-8. */
enum err_code regex_full_match(bool *matches, const struct regex *r, struct regex_scratch *s,
                               const char *text, size_t length, struct err *e);

/* The leftmost match at or after byte `from` (the start of a character): bytes [*start, *end). The caller must have
 * checked that the text is UTF-8. Errors as above. */
enum err_code regex_find(bool *found, size_t *start, size_t *end, const struct regex *r,
                         struct regex_scratch *s, const char *text, size_t length, size_t from,
                         struct err *e);

#endif
