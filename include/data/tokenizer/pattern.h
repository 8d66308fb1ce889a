/*
 * What stages of a tokenizer look for in a text: plain text, or a regular expression.
 *
 * The expressions of a tokenizer.json are written for Oniguruma (Ruby syntax, Unicode). PCRE2 reads most of them
 * the same way; where the two differ, the pattern is rewritten, or refused when there is no sure equivalent:
 * \w and \b (another set of characters), \h (another meaning), nested classes, {1,3}+ (not possessive there),
 * ...
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

struct pattern; /* immutable: shared by all threads */

/* The source is borrowed for the call only. ERR_UNSUPPORTED names what has no sure meaning here. */
enum err_code pattern_open(struct pattern **p, const struct pattern_source *source, struct err *e);
void pattern_close(struct pattern *p); /* NULL is fine */

/* A walk over the matches in a text, from left to right; zero-initialise. */
struct pattern_cursor {
    size_t from, last; /* where the next match is sought, where the last one ended */
    bool any;
};

/* The next match, start..end-1. An empty match right at the end of the last one does not count. `scratch` is
 * the thread's own. ERR_DATA when the expression backtracks beyond the limit. */
enum err_code pattern_next(bool *found, size_t *start, size_t *end, struct pattern_cursor *cursor,
                           const struct pattern *p, struct regex_scratch *scratch, const char *text,
                           size_t length, struct err *e);

/* Appends to `out` what says the same to PCRE2 with UTF, UCP, MULTILINE and LF as the newline.
 * ERR_UNSUPPORTED names the construct and its byte offset. */
enum err_code pattern_translate(struct str *out, const char *pattern, size_t length, struct err *e);

#endif
