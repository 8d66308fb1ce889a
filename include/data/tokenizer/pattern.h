/*
 * Patterns that the stages of a tokenizer search for in a text: plain text, or a regular expression.
 *
 * The expressions in a tokenizer.json are written for Oniguruma (Ruby syntax, Unicode). PCRE2 treats most of them
 * in the same way. Where the two differ, the pattern is rewritten, or refused if there is no certain equivalent: \w
 * and \b (other characters), \h (other meaning), nested classes, {1,3}+ (not possessive in Oniguruma), ...
 */
#ifndef MPILORA_DATA_TOKENIZER_PATTERN_H
#define MPILORA_DATA_TOKENIZER_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/regex.h"
#include "base/str.h"

struct pattern_source {
    const char *text;
    size_t length;
    bool literal; /* plain text */
};

struct pattern; /* immutable, shared by all threads */
struct scan;    /* data/tokenizer/scan.h */

/* The source need not outlive the call. ERR_UNSUPPORTED names the construct that has no certain equivalent. */
enum err_code pattern_open(struct pattern **p, const struct pattern_source *source, struct err *e);
void pattern_close(struct pattern *p); /* NULL is fine */

/* The function that matches the same, NULL: none is known. It belongs to the pattern. */
const struct scan *pattern_scan(const struct pattern *p);

/* The position of a search over all matches in a text, from left to right; zero-initialise it. */
struct pattern_cursor {
    size_t from, last; /* where the next match is searched from, where the last one ended */
    bool any;
};

/* The next match, start..end-1. An empty match directly at the end of the last one does not count. `scratch`
 * belongs to the calling thread. ERR_DATA if the expression backtracks beyond the limit. */
enum err_code pattern_next(bool *found, size_t *start, size_t *end, struct pattern_cursor *cursor,
                           const struct pattern *p, struct regex_scratch *scratch, const char *text,
                           size_t length, struct err *e);

/* Appends the equivalent pattern for PCRE2 with UTF, UCP, MULTILINE and LF as newline to `out`. ERR_UNSUPPORTED
 * names a construct without equivalent and its byte offset. */
enum err_code pattern_translate(struct str *out, const char *pattern, size_t length, struct err *e);

#endif
