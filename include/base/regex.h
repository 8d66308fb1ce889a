/*
 * Regular expressions over UTF-8, with PCRE2: Perl's syntax, Unicode classes (\p{L}, \w, \s by Unicode),
 * compiled to machine code where the platform can.
 *
 * A compiled expression is constant and may be used by all threads at once; each thread brings its own
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
    REGEX_TEXT,   /* ^ and $ stand for the ends of the text */
    REGEX_LINES,  /* and of its lines, which LF ends */
    REGEX_LITERAL /* no character has a meaning of its own */
};

/* ERR_USAGE with the place in the pattern and the reason. */
enum err_code regex_open(struct regex **out, const char *pattern, size_t length, enum regex_syntax syntax,
                         struct err *e);
void regex_close(struct regex *r); /* NULL is fine */

/* For any expression. A match takes back at most LIMIT_MATCH_STEPS, and LIMIT_MATCH_STEPS_A_BYTE for each
 * byte of the text (base/limits.def). */
enum err_code regex_scratch_open(struct regex_scratch **out, struct err *e);
void regex_scratch_close(struct regex_scratch *s); /* NULL is fine */

/* Whether some match spans the whole text (Python's re.fullmatch). ERR_USAGE when the expression backtracks
 * beyond that limit, ERR_DATA when the text is not UTF-8. */
enum err_code regex_full_match(bool *matches, const struct regex *r, struct regex_scratch *s,
                               const char *text, size_t length, struct err *e);

/* The leftmost match at or after byte `from` (on a character's border): [*start, *end) in bytes. The text is
 * not checked to be UTF-8: the caller has done so. Errors as above. */
enum err_code regex_find(bool *found, size_t *start, size_t *end, const struct regex *r,
                         struct regex_scratch *s, const char *text, size_t length, size_t from,
                         struct err *e);

#endif
